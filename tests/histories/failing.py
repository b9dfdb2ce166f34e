"""Which requests fail and how: one in twenty, of writes one in eight, since they are fewer; the same in each run.

Every form that a request can meet is drawn as often as another, but those that only some requests can meet three times as often.

Whether a call fails follows from the seed, from what it asks and from how often that was asked before: not from the order in which
threads send what does not depend on each other. What is written in the background kills nobody, and how often a status is written
depends on the machine: what it says at the end does not.
"""

from __future__ import annotations

import hashlib
from collections import Counter

from tests.memory.failures import (
    CLOSED,
    CUT,
    EXPIRED,
    HANG,
    LOST,
    REFUSED,
    SILENT,
    TIMEOUT,
    Call,
    Failure,
    answer,
)

ONE_IN, WRITES_IN = 20, 8
STATUSES = ("NestedCluster", "Source")  # written by threads of their own, as Events and histories are
ANY: dict[str, Failure] = {
    "refused": REFUSED,
    "timeout": TIMEOUT,
    "429": answer(429, after=1),
    "500": answer(500),
    "503": answer(503),
}
WRITES = ANY | {"lost": LOST, "hang": HANG, "409": answer(409)}
LISTS = ANY | {"cut": CUT, "expired": EXPIRED}
WATCHES = ANY | {"closed": CLOSED, "silent": SILENT}
EVERY_FORM = frozenset(WRITES | LISTS | WATCHES)
EVERY_VERB = {
    ("get", "host"), ("list", "host"), ("watch", "host"), ("discover", "host"), ("apply", "host"), ("create", "host"),
    ("replace", "host"), ("get", "nested"), ("list", "nested"), ("watch", "nested"), ("discover", "nested"), ("apply", "nested"),
    ("delete", "host"), ("delete", "nested"), ("apply", "status"), ("list", "status"),
}  # fmt: skip


def in_background(call: Call) -> bool:
    """Whether a thread of its own sends it, whenever it comes to it."""
    return call.kind in ("Event", *STATUSES) or call.name.startswith("nidus-history-")


class Killed(BaseException):
    """The process is gone in the middle of a request."""


class Failing:
    """A chooser of failures. `met` counts them by form, verb and kind of target; `deadly`: one call in so many ends the process."""

    def __init__(self, seed: int, met: Counter[tuple[str, str, str]]) -> None:
        self.deadly = 0
        self._seed, self._met = seed, met
        self._asked: Counter[tuple[object, ...]] = Counter()
        self._dead = False

    def __call__(self, call: Call) -> Failure | None:
        if in_background(call) and call.kind not in STATUSES:
            return None
        drawn = self._drawn(call)
        if not in_background(call) and (self._dead or (self.deadly and (drawn >> 32) % self.deadly == 0)):
            self._dead = True
            raise Killed
        if drawn % (WRITES_IN if _may_write(call) else ONE_IN):
            return None
        forms = _forms(call)
        names = [name for name in sorted(forms) for _ in range(1 if name in ANY else 3)]
        name = names[(drawn >> 16) % len(names)]
        self._met[name, call.verb, _where(call)] += 1
        return forms[name]

    def born_again(self) -> None:
        """Another process begins."""
        self._dead, self.deadly = False, 0

    def deaf(self) -> bool:
        """Whether the watch of a nested server has gone silent; now and then."""
        silent = self._number(("watch",)) % ONE_IN == 0
        self._met["silent", "watch", "nested"] += silent
        return silent

    def _drawn(self, call: Call) -> int:
        return self._number((call.target, call.verb, *call.ref, call.subresource, call.dry_run))

    def _number(self, what: tuple[object, ...]) -> int:
        self._asked[what] += 1
        text = f"{self._seed} {what} {self._asked[what]}"
        return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())


def _where(call: Call) -> str:
    if call.kind in STATUSES:
        return "status"
    return "host" if call.target == "host" else "nested"


def _forms(call: Call) -> dict[str, Failure]:
    if _may_write(call):
        return WRITES
    return {"list": LISTS, "watch": WATCHES}.get(call.verb, ANY)


def _may_write(call: Call) -> bool:
    return call.writes or call.dry_run
