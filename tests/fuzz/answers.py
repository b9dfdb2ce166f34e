"""What a hostile API server answers, through the product's client: objects, lists, watches, discovery, versions and errors."""

import json
from collections.abc import Callable, Iterator, Mapping
from random import Random
from typing import Any

from reconciler.errors import NidusError
from reconciler.kube.client import Client
from reconciler.kube.secret import context, credentials
from reconciler.kube.transport import Limits, Transport
from reconciler.model import ObjectRef
from tests.answering import DISCOVERY, NO_GROUPS
from tests.fuzz import values
from tests.fuzz.harness import Case

REF = ObjectRef("", "ConfigMap", "default", "a")
META: dict[str, Any] = {"name": "a", "namespace": "default", "uid": "u1", "resourceVersion": "7"}
LIVE: dict[str, Any] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": META, "data": {"a": "1"}}
WANTED = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "a", "namespace": "default"},
    "data": {"a": "1"},
}
NO_TIME_TO_LOSE = Limits(deadline=5.0, listing=5.0, size=1 << 20)
VERBS: Mapping[str, Callable[[Client], object]] = {
    "get": lambda client: client.get(REF),
    "list": lambda client: client.list("", "ConfigMap", namespace="default"),
    "heads": lambda client: client.heads("", "ConfigMap", namespace="default"),
    "watch": lambda client: list(client.watch("", "ConfigMap", since="1", namespace="default", seconds=5, silence=5)),
    "apply": lambda client: client.apply(WANTED),
    "dry-run": lambda client: client.apply(WANTED, dry_run=True),
    "create": lambda client: client.create(WANTED),
    "replace": lambda client: client.replace(LIVE),
    "status": lambda client: client.patch_status(REF, {"apiVersion": "v1", "kind": "ConfigMap", "status": {}}),
    "hand over": lambda client: client.rewrite(REF, LIVE, {"managedFields": []}),
    "delete": lambda client: client.delete(REF, "u1"),
    "version": lambda client: client.version(),
    "ready": lambda client: client.readyz(),
}


class Given:
    """As the official client shows a server: answers discovery properly, and everything else by `status` and `body`."""

    def __init__(self) -> None:
        self.status, self.body, self.headers = 200, b"{}", {"Retry-After": ""}
        self.groups: Mapping[str, bytes] = {"/api": json.dumps(DISCOVERY).encode(), "/apis": NO_GROUPS}
        self._left = b""

    def param_serialize(self, method: str, path: str, **_: Any) -> tuple[str, str]:
        return method, path

    def call_api(self, method: str, path: str, **_: Any) -> Any:
        del method
        known = self.groups.get(path)
        answer = Given()
        answer.status, answer.headers = (self.status, self.headers) if known is None else (200, {})
        answer._left = self.body if known is None else known
        return answer

    @property
    def response(self) -> "Given":
        return self

    def read1(self, size: int) -> bytes:
        found, self._left = self._left[:size], self._left[size:]
        return found

    def stream(self, size: int) -> Iterator[bytes]:
        while found := self.read1(size):
            yield found

    def close(self) -> None:
        self._left = b""

    shutdown = close


def objects(draw: Random) -> Any:
    """An object that is nearly the one asked for, as often as not."""
    found = {**LIVE, "metadata": {**META, **values.hostile_metadata(draw)}}
    return values.change(draw, found) if draw.random() < 0.4 else found


def listed(draw: Random) -> bytes:
    head = {"kind": "ConfigMapList", "apiVersion": "v1", "metadata": {"resourceVersion": "9"}}
    if draw.random() < 0.2:
        head["metadata"]["continue"] = draw.choice(values.TEXTS)  # type: ignore[index]
    items = draw.choice(([objects(draw) for _ in range(draw.randrange(4))], [LIVE] * 3, [{}] * draw.randrange(2000)))
    whole = {**head, "items": items}
    return values.encoded(whole if draw.random() < 0.7 else values.change(draw, whole))


def status(draw: Random) -> bytes:
    cause = {
        "reason": draw.choice(("FieldManagerConflict", "x")),
        "message": draw.choice(values.TEXTS),
        "field": draw.choice(values.TEXTS),
    }
    details = {
        "name": draw.choice(("a", *values.SIGNS)),
        "group": "",
        "kind": draw.choice(("configmaps", "namespaces")),
        "causes": [cause],
    }
    told = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": draw.choice(("NotFound", "Conflict", "x")),
            "message": draw.choice(values.TEXTS), "code": draw.choice((404, 409, 410, *values.NUMBERS)), "details": details}  # fmt: skip
    return values.encoded(told if draw.random() < 0.6 else values.change(draw, told))


def lines(draw: Random) -> bytes:
    kinds = ("ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR", "PLEASED")
    return b"".join(
        values.encoded({"type": draw.choice(kinds), "object": objects(draw)}) + b"\n" for _ in range(draw.randrange(5))
    )


BODIES: tuple[Callable[[Random], bytes], ...] = (
    lambda draw: values.encoded(objects(draw)),
    listed,
    status,
    lines,
    lambda draw: values.encoded(values.value(draw)),
    lambda draw: values.damage(draw, values.encoded(LIVE)),
    lambda draw: draw.choice((b"[", b'{"a":', b'{"metadata":', b"{},")) * draw.randrange(3000),
)


def answers() -> Case:
    """Each verb, with any status and body."""
    given = Given()
    client = Client(Transport(given, limits=NO_TIME_TO_LOSE))
    client.namespaced("", "ConfigMap")
    verbs = sorted(VERBS)

    def case(draw: Random) -> None:
        verb = draw.choice(verbs)
        fitting = {"list": listed, "heads": listed, "watch": lines}.get(verb, BODIES[0])
        given.status = draw.choice((200, 200, 200, 201, 302, 400, 401, 403, 404, 409, 410, 422, 429, 500, 503))
        body = (fitting if given.status < 300 else status) if draw.random() < 0.6 else draw.choice(BODIES)
        given.body, given.headers = body(draw), {"Retry-After": draw.choice(("", *values.TEXTS))}
        try:
            found = VERBS[verb](client)
        except NidusError as error:
            assert error.message.isprintable()
            return
        if verb == "get" and found is not None:
            sound(found)

    return case


def sound(found: Any) -> None:
    """What the rest of the product relies on."""
    meta = found["metadata"]
    assert (meta["name"], type(meta["uid"])) == ("a", str)
    for key in ("labels", "annotations"):
        assert all(isinstance(one, str) for one in (meta.get(key) or {}).values())
    assert all(isinstance(one, dict) for one in meta.get("managedFields") or ())


GROUP = {"metadata": {"name": "x.io"}, "versions": [{"version": "v1", "resources": [
    {"resource": "widgets", "scope": "Namespaced", "responseKind": {"kind": "Widget"}}]}]}  # fmt: skip
STALE = {"metadata": {"name": "x.io"}, "versions": [{"version": "v1", "freshness": "Stale", "resources": []}]}
NAMED = {"name": "x.io", "versions": [{"groupVersion": "x.io/v1"}], "preferredVersion": {"groupVersion": "x.io/v1"}}
LEGACY = {"kind": "APIGroupList", "groups": [NAMED], "versions": ["v1"]}
RESOURCES = {
    "kind": "APIResourceList",
    "resources": [
        {"name": "widgets", "kind": "Widget", "namespaced": True},
        {"name": "widgets/status", "kind": "Widget"},
    ],
}


def discovery() -> Case:
    """The list of kinds, aggregated or one by one, as a server may tell it."""

    def case(draw: Random) -> None:
        given = Given()
        client = Client(Transport(given, limits=NO_TIME_TO_LOSE))
        told = (
            {**DISCOVERY, "items": draw.choices((GROUP, GROUP, STALE), k=draw.randint(1, 3))}
            if draw.random() < 0.6
            else LEGACY
        )
        given.groups = {path: _spoilt(draw, told) for path in ("/api", "/apis")}
        given.body = _spoilt(draw, RESOURCES)
        try:
            found = client.resource("x.io", "Widget")
            assert "/.." not in found.path("a", "b") and " " not in found.path("a", "b")
            client.kinds()
        except NidusError as error:
            assert error.message.isprintable()

    return case


def _spoilt(draw: Random, told: Any) -> bytes:
    how = draw.random()
    if how < 0.2:
        return values.encoded(told)
    if how < 0.85:
        return values.encoded(values.change(draw, told))
    return values.damage(draw, values.encoded(told))


def secrets() -> Case:
    """The Secret with the credentials of a nested cluster, which its engine writes."""
    import base64

    pem = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
    key = pem.replace("CERTIFICATE", "PRIVATE KEY")
    pieces = (
        pem,
        key,
        "-----BEGIN CERTIFICATE-----\n",
        " " * 200,
        "!",
        "A" * 64 + "\n",
        "\n",
        "-----END CERTIFICATE-----",
        *values.TEXTS,
    )

    def case(draw: Random) -> None:
        data = {}
        for name, sound_one in (
            ("certificate-authority", pem),
            ("client-certificate", pem),
            ("client-key", key),
            ("token", "t"),
        ):
            text = (
                sound_one
                if draw.random() < 0.5
                else "".join(draw.choice(pieces) for _ in range(draw.randrange(9))) * draw.choice((1, 1, 40))
            )
            encoded = base64.b64encode(text.encode("utf-8", "replace")).decode()
            data[name] = encoded if draw.random() < 0.8 else values.value(draw, 1)
        whole: Any = {"data": data} if draw.random() < 0.9 else values.value(draw)
        if not isinstance(whole, dict):
            return
        try:
            context(credentials(whole))
        except NidusError as error:
            assert error.message.isprintable()

    return case
