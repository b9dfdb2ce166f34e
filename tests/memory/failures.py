"""Failures a test chooses: what happens to a call instead of, or after, what the server does."""

from collections.abc import Callable
from dataclasses import dataclass, field

REASONS = {
    401: "Unauthorized", 403: "Forbidden", 409: "Conflict", 410: "Expired", 429: "TooManyRequests", 500: "InternalError",
    503: "ServiceUnavailable", 504: "Timeout",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Call:
    """One call as the log keeps it and failures are chosen by. `target` is the server's name; `status` 0 = no answer came."""

    number: int
    target: str
    verb: str
    group: str = ""
    kind: str = ""
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    dry_run: bool = False
    status: int = 0

    @property
    def writes(self) -> bool:
        """Whether it is meant to change something."""
        return self.verb in WRITES and not self.dry_run

    @property
    def ref(self) -> tuple[str, str, str, str]:
        """Group, kind, namespace and name."""
        return self.group, self.kind, self.namespace, self.name


WRITES = frozenset({"create", "apply", "patch", "replace", "delete"})


@dataclass(frozen=True, slots=True)
class Failure:
    """What goes wrong. `form`:

    refused   no connection, nothing was done            lost      the call is done, its answer does not come
    timeout   nothing was done, no answer by the deadline    hang      the call is done, no answer by the deadline
    answer    a Status with `code`, nothing was done     raw       a body as given with `code`, nothing was done
    cut       the call is done, the body ends early      expired   a list: a page that has a next one, which is 410
    closed    a watch that ends at once                  silent    a watch that stays open and says nothing
    """

    form: str
    code: int = 0
    reason: str = ""
    message: str = "chosen by the test"
    after: int | None = None
    body: bytes = b""


REFUSED, LOST, TIMEOUT, HANG = Failure("refused"), Failure("lost"), Failure("timeout"), Failure("hang")
CUT, EXPIRED, CLOSED, SILENT = Failure("cut"), Failure("expired"), Failure("closed"), Failure("silent")


def answer(code: int, reason: str = "", *, message: str = "chosen by the test", after: int | None = None) -> Failure:
    """A Status with this code; `after` is Retry-After in seconds."""
    return Failure("answer", code, reason or REASONS.get(code, ""), message, after)


def raw(body: bytes, code: int = 200) -> Failure:
    """This body, whatever it is."""
    return Failure("raw", code, body=body)


Chooser = Callable[[Call], Failure | None]


@dataclass(slots=True)
class Rule:
    """A failure for some of the calls that match `when`: from the `nth` (1 = the first), `times` of them (None: all)."""

    failure: Failure
    when: Callable[[Call], bool] = lambda call: True
    nth: int = 1
    times: int | None = 1
    seen: int = field(default=0, init=False)
    done: int = field(default=0, init=False)

    def __call__(self, call: Call) -> Failure | None:
        """The failure of this call, if it is one of them."""
        if not self.when(call):
            return None
        self.seen += 1
        if self.seen < self.nth or (self.times is not None and self.done >= self.times):
            return None
        self.done += 1
        return self.failure


def on(
    *verbs: str,
    group: str | None = None,
    kind: str | None = None,
    namespace: str | None = None,
    name: str | None = None,
    dry_run: bool | None = None,
) -> Callable[[Call], bool]:
    """A test of calls: one of `verbs` (none = any), and everything else that is given."""
    wanted = {"group": group, "kind": kind, "namespace": namespace, "name": name, "dry_run": dry_run}
    given = {key: value for key, value in wanted.items() if value is not None}
    return lambda call: (not verbs or call.verb in verbs) and all(getattr(call, k) == v for k, v in given.items())
