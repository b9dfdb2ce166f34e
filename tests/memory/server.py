"""An API server in memory for tests: what the product uses of a real one, answered as the real one answers.

It knows nothing of the product. tests/host/test_memory_differential.py holds it to a real server.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from tests.memory import controllers, reads, refusal, routes, writes
from tests.memory.core import Ask, Core
from tests.memory.failures import Call, Chooser, Failure, Rule
from tests.memory.reads import Watch
from tests.memory.refusal import Refusal
from tests.memory.storage import Object, Snapshot

LOGGED = 100_000
USER = "test-user"  # who every client is
VERSION = {"major": "1", "minor": "36", "gitVersion": "v1.36.3", "platform": "linux/amd64"}


@dataclass(frozen=True, slots=True)
class Response:
    """An answer. `stream` is an open watch instead of a body; `failure` says how it fails to arrive (failures.py), "" = it does."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    stream: Watch | None = None
    failure: str = ""


class Server:
    """One API server. Thread-safe. `name` is what failures and the log call it, `clock` gives its time in seconds."""

    def __init__(self, name: str = "", clock: Callable[[], float] | None = None) -> None:
        self.name = name
        self.core = Core(clock)
        self.log: list[Call] = []
        self.choosers: list[Chooser] = []
        self.controllers = controllers.ALL
        self.ready = True
        self.version = VERSION["gitVersion"]
        self.forbidden: set[tuple[str, str]] = (
            set()
        )  # (verb, plural) that reviews of access deny; requests are answered
        self.tokens: dict[str, dict[str, Any]] = {}  # token -> the user that a TokenReview tells
        self.rights: set[tuple[str, str, str]] = set()
        """(user or group, verb, name, "" = all) that SubjectAccessReviews allow"""
        self.logs: dict[tuple[str, str], bytes] = {}  # (namespace, pod) -> what its log is
        self.stale: set[str] = set()  # groups whose kinds nobody can tell now
        self.brief = False  # whether watches end when everything is said
        self._count = 0
        self._watches: list[Watch] = []
        for namespace in ("default", "kube-system", "kube-public", "kube-node-lease"):
            self.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        self.log.clear()

    # What a client does

    def request(
        self, method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str], body: bytes = b""
    ) -> Response:
        """Answer one request; `query` is decoded, `headers` are read without regard to case."""
        heads = {name.lower(): value for name, value in headers.items()}
        with self.core.lock:
            found = routes.parse(self.core, method, path, dict(query), heads)
            self._count += 1
            call = _call(self._count, self.name, found)
            failure = self._failure(call)
            response = self._failed(failure, found, body) if failure else self._answer(found, body)
            if len(self.log) < LOGGED:
                self.log.append(replace(call, status=0 if response.failure else response.status))
            return response

    # What a test does

    def fail(
        self, failure: Failure, when: Callable[[Call], bool] = lambda call: True, *, nth: int = 1, times: int | None = 1
    ) -> Rule:
        """Let calls that match `when` fail: from the `nth`, `times` of them (None: all). The rule can be given to `heal`."""
        rule = Rule(failure, when, nth, times)
        self.choosers.append(rule)
        return rule

    def heal(self, rule: Chooser | None = None) -> None:
        """Take back one rule, or all."""
        self.choosers = [one for one in self.choosers if rule is not None and one is not rule]

    def put(self, obj: Mapping[str, Any], *, manager: str = "test", subresource: str = "") -> Object:
        """Create an object or replace it, as `manager`, without failures and log; return it as stored."""
        return self._own("put", obj, manager, subresource)

    def apply(
        self, obj: Mapping[str, Any], *, manager: str = "test", force: bool = True, subresource: str = ""
    ) -> Object:
        """Server-side apply as `manager`, without failures and log."""
        return self._own("apply", obj, manager, subresource, force)

    def get(self, group: str, kind: str, namespace: str, name: str) -> Object | None:
        """The stored object."""
        with self.core.lock:
            found = self.core.named(group, kind)
            return self.core.storage.get(found.resource, namespace, name) if found else None

    def objects(self, group: str, kind: str, namespace: str = "") -> list[Object]:
        """Every stored object of a kind, "" = of every namespace."""
        with self.core.lock:
            found = self.core.named(group, kind)
            return self.core.storage.all(found.resource, namespace) if found else []

    def delete(self, group: str, kind: str, namespace: str, name: str, **options: Any) -> None:
        """Delete as somebody else would, without failures and log."""
        with self.core.lock:
            found = self.core.named(group, kind)
            if found is None:
                raise refusal.unknown_path()
            writes.delete(self.core, Ask("delete", found, namespace, name, body=options))
            self.settle()

    def snapshot(self) -> Snapshot:
        """The whole storage as it is."""
        with self.core.lock:
            return self.core.storage.snapshot()

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to a snapshot: versions go back too, uids are as they were, every watch ends."""
        with self.core.lock:
            self.core.storage.restore(snapshot)
            self.core.serve()

    def compact(self) -> None:
        """Forget every past change: a watch or a page from before gets 410."""
        with self.core.lock:
            self.core.storage.compact()

    def settle(self) -> None:
        """Let the server's own controllers (`controllers`) work until nothing changes."""
        with self.core.lock:
            controllers.settle(self.core, self.controllers, everything=True)

    def watches(self) -> list[Watch]:
        """The open watches."""
        with self.core.lock:
            self._watches = [one for one in self._watches if not one.closed]
            return list(self._watches)

    def bookmark(self) -> None:
        """Send a bookmark to every open watch."""
        for watch in self.watches():
            watch.bookmark()

    def close(self) -> None:
        """End every watch."""
        for watch in self.watches():
            watch.close()

    # Parts

    def _own(self, verb: str, obj: Mapping[str, Any], manager: str, subresource: str, force: bool = True) -> Object:
        with self.core.lock:
            ask = routes.ask_for(self.core, verb, obj, manager, subresource, force)
            known = self.core.storage.get(ask.kind.resource, ask.namespace, ask.name) is not None
            act = writes.apply if verb == "apply" else (writes.replace if known else writes.create)
            _, stored = act(self.core, ask)
            controllers.settle(self.core, self.controllers)
            return self.core.storage.get(ask.kind.resource, ask.namespace, ask.name) or stored

    def _failure(self, call: Call) -> Failure | None:
        found = [one(call) for one in self.choosers]  # each sees every call, so that it counts right
        return next((one for one in found if one is not None), None)

    def _answer(self, found: routes.Found, body: bytes) -> Response:
        try:
            if isinstance(found, Ask):
                return self._object(replace(found, body=routes.body_of(found, body)))
            return self._plain(found, body)
        except Refusal as error:
            return Response(error.code, {"Content-Type": "application/json", **error.headers}, _json(error.status))

    def _plain(self, found: str, body: bytes) -> Response:
        """What is asked besides objects."""
        match found:
            case "/version":
                return _ok({**VERSION, "gitVersion": self.version})
            case "/readyz" | "/livez" | "/healthz":
                return Response(
                    200 if self.ready else 500, {"Content-Type": "text/plain"}, b"ok" if self.ready else b"failed"
                )
            case "/apis/authentication.k8s.io/v1/selfsubjectreviews":
                return _ok({"status": {"userInfo": {"username": USER}}}, 201)
            case "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews":
                asked = json.loads(body)["spec"]["resourceAttributes"]
                return _ok({"status": {"allowed": (asked["verb"], asked["resource"]) not in self.forbidden}}, 201)
            case "/apis/authentication.k8s.io/v1/tokenreviews":
                user = self.tokens.get(json.loads(body)["spec"]["token"])
                return _ok({"status": {"authenticated": True, "user": user} if user else {"error": "invalid"}}, 201)
            case "/apis/authorization.k8s.io/v1/subjectaccessreviews":
                return _ok({"status": {"allowed": self._allows(json.loads(body)["spec"])}}, 201)
            case "/api" | "/apis":
                told = self.core.discovery(found == "/api", frozenset(self.stale))
                return Response(200, {"Content-Type": "application/json"}, told)
        raise refusal.unknown_path()

    def _allows(self, spec: Mapping[str, Any]) -> bool:
        asked = spec["resourceAttributes"]
        who = {spec["user"], *spec.get("groups", ())}
        return any(
            one in who and verb == asked["verb"] and name in ("", asked.get("name")) for one, verb, name in self.rights
        )

    def _object(self, ask: Ask) -> Response:
        match ask.verb:
            case "get" if ask.subresource == "log":
                reads.get(self.core, replace(ask, subresource=""))
                return Response(200, {"Content-Type": "text/plain"}, self.logs.get((ask.namespace, ask.name), b""))
            case "create" if ask.subresource == "token":
                return _ok(reads.token(self.core, ask), 201)
            case "get":
                return _ok(reads.get(self.core, ask))
            case "list":
                return _ok(reads.list_(self.core, ask))
            case "watch":
                watch = Watch(self.core, ask, brief=self.brief)
                self._watches = [one for one in self._watches if not one.closed] + [watch]
                return Response(200, {"Content-Type": "application/json"}, stream=watch)
        status, obj = _WRITES[ask.verb](self.core, ask)
        controllers.settle(self.core, self.controllers)
        return _ok(obj, status)

    def _failed(self, failure: Failure, found: routes.Found, body: bytes) -> Response:
        match failure.form:
            case "refused" | "timeout":
                return Response(0, failure=failure.form)
            case "answer":
                made = refusal.failing(failure.code, failure.reason, failure.message, failure.after)
                return Response(failure.code, made.headers, _json(made.status))
            case "raw":
                return Response(failure.code, {"Content-Type": "application/json"}, failure.body)
        done = self._answer(found, body)
        return _spoilt(failure.form, done)


def _spoilt(form: str, done: Response) -> Response:
    """An answer that does not arrive as it is."""
    if form in ("closed", "silent") and done.stream is not None:
        done.stream.hush()
        if form == "closed":
            done.stream.close()
        return done
    if form == "expired" and done.status == 200 and done.stream is None:
        page = json.loads(done.body)
        page["metadata"]["continue"] = reads.FORGOTTEN
        page["items"] = page["items"][: len(page["items"]) // 2]
        return replace(done, body=_json(page))
    return replace(done, failure={"lost": "lost", "hang": "timeout", "cut": "cut"}.get(form, ""))


_WRITES = {
    "create": writes.create,
    "replace": writes.replace,
    "patch": writes.patch,
    "apply": writes.apply,
    "delete": writes.delete,
}


def _call(number: int, target: str, found: routes.Found) -> Call:
    if not isinstance(found, Ask):
        return Call(number, target, "discover" if found in ("/api", "/apis") else found.lstrip("/"))
    kind = found.kind
    place = (kind.group, kind.kind, found.namespace, found.name, found.subresource)
    return Call(number, target, found.verb, *place, found.dry_run)


def _ok(obj: Mapping[str, Any], status: int = 200) -> Response:
    return Response(status, {"Content-Type": "application/json"}, _json(obj))


def _json(value: Any) -> bytes:
    return msgspec.json.encode(value)
