"""The verbs that read: get, list by pages, watch."""

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import msgspec

from tests.memory import refusal, scale, selectors
from tests.memory.core import Ask, Core
from tests.memory.refusal import bad
from tests.memory.storage import Change, Object


def get(core: Core, ask: Ask) -> Object:
    """One object, or its Scale."""
    if ask.subresource == "scale":
        return scale.of(core, ask)
    found = core.storage.get(ask.kind.resource, ask.namespace, ask.name)
    if found is None:
        raise refusal.not_found(ask.kind.what(ask.name))
    return as_served(ask, found)


def token(core: Core, ask: Ask) -> Object:
    """A token of a service account, by its UID and its end; it is good for as long as it was asked for."""
    account = get(core, replace(ask, subresource=""))
    ends = core.clock() + ask.body["spec"]["expirationSeconds"]
    said = datetime.fromtimestamp(ends, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    status = {"token": f"{account['metadata']['uid']}.{ends:.0f}", "expirationTimestamp": said}
    return {**ask.body, "metadata": {"name": ask.name, "namespace": ask.namespace}, "status": status}


def as_served(ask: Ask, obj: Object) -> Object:
    """The object at the version it was asked for."""
    return obj if obj.get("apiVersion") == ask.kind.api_version else {**obj, "apiVersion": ask.kind.api_version}


def list_(core: Core, ask: Ask) -> Object:
    """One page of a collection."""
    _not_ahead(core, ask.query.get("resourceVersion", ""))
    start, version = _position(core, ask.query.get("continue", ""))
    matches = selectors.parse(ask.query.get("labelSelector", ""))
    every = [obj for obj in core.storage.all(ask.kind.resource, ask.namespace) if _key(obj) > start]
    found = [obj for obj in every if matches(labels_of(obj)) and _is_named(ask, obj)]
    limit = int(ask.query.get("limit") or 0)
    meta: dict[str, Any] = {"resourceVersion": str(version)}
    if limit and len(found) >= limit and found[limit - 1] is not every[-1]:
        meta |= {"continue": _token(version, _key(found[limit - 1])), "remainingItemCount": len(found) - limit}
        if ask.query.get("labelSelector") or ask.query.get("fieldSelector"):
            del meta["remainingItemCount"]
        found = found[:limit]
    if ask.kind.custom is not None:
        meta.setdefault("continue", "")
    items = [{name: value for name, value in obj.items() if name not in ("kind", "apiVersion")} for obj in found]
    if ask.kind.custom is not None:
        items = [as_served(ask, obj) for obj in found]
    return {"kind": f"{ask.kind.kind}List", "apiVersion": ask.kind.api_version, "metadata": meta, "items": items}


def labels_of(obj: Object) -> dict[str, str]:
    """Its labels."""
    return obj["metadata"].get("labels") or {}


def _is_named(ask: Ask, obj: Object) -> bool:
    """The field selectors every kind has, and those of Events; another one is refused."""
    wanted = [part.partition("=") for part in ask.query.get("fieldSelector", "").split(",") if part]
    for key, _, _ in wanted:
        if key not in ("metadata.name", "metadata.namespace") and not (ask.kind.kind == "Event" and key in OF_EVENTS):
            raise bad(f"field label not supported: {key}")
    return all(_field(obj, key) == value.lstrip("=") for key, _, value in wanted)


def _field(obj: Object, key: str) -> str:
    first, _, rest = key.partition(".")
    return str((obj.get(first) or {}).get(rest, ""))


def _key(obj: Object) -> list[str]:
    return [obj["metadata"].get("namespace", ""), obj["metadata"]["name"]]


def _token(version: int, last: list[str]) -> str:
    return base64.urlsafe_b64encode(json.dumps([version, last]).encode()).decode().rstrip("=")


def _position(core: Core, token: str) -> tuple[list[str], int]:
    """Where a page begins and at which version; Refusal 410 when that version is forgotten."""
    if not token:
        return [], core.storage.version
    try:
        version, last = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    except ValueError:
        raise refusal.bad("continue key is not valid") from None
    if version < core.storage.compacted or version > core.storage.version:
        raise refusal.gone(TOO_OLD)
    return last, version


def _not_ahead(core: Core, version: str) -> None:
    """A version this server has not reached, as after a restore."""
    if version.isdigit() and int(version) > core.storage.version:
        raise refusal.ahead(int(version), core.storage.version)


# Watch


class Watch:
    """An open watch; iterate for lines. `close` from any thread ends it, `hush` keeps it open without a word.

    `hung` says that the reader's patience is over: a silence that was chosen by a test is not waited for. `brief`: it ends as soon as
    everything is said, as a server ends it after the seconds that were asked for.
    """

    def __init__(self, core: Core, ask: Ask, *, brief: bool = False) -> None:
        self.silent = self.hung = False
        self._brief = brief
        self._core, self._ask = core, ask
        self._told: list[bytes] = []
        self._matches = selectors.parse(ask.query.get("labelSelector", ""))
        self._closed = False
        self._epoch = core.storage.epoch
        since = ask.query.get("resourceVersion", "")
        _not_ahead(core, since)
        self._first = _first(core, ask, since)
        self._at = int(since) if since not in ("", "0") else core.storage.version

    def close(self) -> None:
        """End it."""
        with self._core.lock:
            self._closed = True
            self._core.storage.moved.notify_all()

    def hush(self) -> None:
        """Say nothing from now on; whoever reads finds that it was silent for too long."""
        with self._core.lock:
            self.silent = self.hung = True
            self._core.storage.moved.notify_all()

    @property
    def closed(self) -> bool:
        """Whether it has ended, or the storage it follows is another by now."""
        return self._closed or self._epoch != self._core.storage.epoch

    def __iter__(self) -> Iterator[bytes]:
        """Yield each event as a line; waits for the next."""
        while True:
            batch = self.next()
            if batch is None:
                return
            yield from batch

    def next(self, wait: float | None = None) -> list[bytes] | None:
        """The events since the last call, waiting up to `wait` seconds (None: until there are some); None = it has ended."""
        with self._core.lock:
            while not self.closed:
                found = [] if self.silent else self._events()
                if found or self.hung:
                    return found
                if self._brief:
                    self._closed = True
                    self._core.said += 1
                    return None
                if not self._core.storage.moved.wait(wait) and wait is not None:
                    return []
            return None

    def bookmark(self) -> None:
        """Send a bookmark at the present version, where they were asked for."""
        if self._ask.query.get("allowWatchBookmarks") != "true":
            return
        kind = self._ask.kind
        with self._core.lock:
            meta = {"resourceVersion": str(self._core.storage.version), "creationTimestamp": None}
            line = _line("BOOKMARK", {"kind": kind.kind, "apiVersion": kind.api_version, "metadata": meta})
            self._told.append(line)
            self._core.storage.moved.notify_all()

    def _events(self) -> list[bytes]:
        first, self._first = self._first, []
        told, self._told = self._told, []
        if self._at < self._core.storage.compacted:
            self._closed = True
            return [_line("ERROR", _too_old(self._at, self._core.storage.compacted).status)]
        changes = list(self._core.storage.since(self._ask.kind.resource, self._at))
        self._at = self._core.storage.version
        return [*first, *(line for change in changes if (line := self._said(change))), *told]

    def _said(self, change: Change) -> bytes:
        """What a change is for this watch: by its namespace, and by whether its labels matched before and after."""
        before, after = self._seen(change.before), self._seen(change.after)
        if after is not None:
            return _line("MODIFIED" if before is not None else "ADDED", as_served(self._ask, after))
        if before is None:
            return b""
        last = {**before, "metadata": {**before["metadata"], "resourceVersion": str(change.version)}}
        return _line("DELETED", as_served(self._ask, last))

    def _seen(self, obj: Object | None) -> Object | None:
        if obj is None or not self._matches(labels_of(obj)) or not _is_named(self._ask, obj):
            return None
        return obj if self._ask.namespace in ("", obj["metadata"].get("namespace", "")) else None


def _first(core: Core, ask: Ask, since: str) -> list[bytes]:
    """What a watch without a version begins with: all there is."""
    if since not in ("", "0"):
        return []
    matches = selectors.parse(ask.query.get("labelSelector", ""))
    found = core.storage.all(ask.kind.resource, ask.namespace)
    return [_line("ADDED", as_served(ask, obj)) for obj in found if matches(labels_of(obj)) and _is_named(ask, obj)]


def _too_old(version: int, compacted: int) -> refusal.Refusal:
    return refusal.gone(f"too old resource version: {version} ({compacted})")


def _line(kind: str, obj: Object) -> bytes:
    return msgspec.json.encode({"type": kind, "object": obj}) + b"\n"


OF_EVENTS = frozenset(f"involvedObject.{key}" for key in ("kind", "namespace", "name", "uid"))
TOO_OLD = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without "
    "the continue parameter."
)
FORGOTTEN = _token(-1, [])
"""A continue token whose version no server remembers."""
