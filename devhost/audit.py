"""Reads the API server's audit log: what chosen users asked for, and what they were answered."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devhost import layout
from devhost.state import Host

Event = dict[str, Any]
READS = {verb: f'"verb":"{verb}",'.encode() for verb in ("get", "list", "watch")}
WRITES = ("create", "update", "patch", "delete", "deletecollection")


@dataclass(frozen=True, slots=True)
class Audit:
    """The log of one host from a moment on. It is written before a request is answered, so it is never behind."""

    path: Path
    start: int = 0
    """Bytes to pass over: what was logged before."""

    def now(self) -> Audit:
        """The same log from this moment on."""
        return Audit(self.path, self.path.stat().st_size if self.path.exists() else 0)

    def events(self, user: str = "", *, verbs: tuple[str, ...] = (), resource: str = "") -> list[Event]:
        """Return the finished requests of `user` (everybody's without), of `verbs` and on `resource` where given.

        `resource` is the plural, with its subresource where it has one (`pods/portforward`).
        """
        return [
            event
            for event in self._read(user, verbs)
            if event["stage"] in ("ResponseComplete", "Panic")
            and (not user or event["user"]["username"] == user)
            and (not verbs or event["verb"] in verbs)
            and (not resource or _resource(event) == resource)
        ]

    def writes(self, user: str) -> list[Event]:
        """Return what `user` wrote, or tried to; dry runs are not writes."""
        return [event for event in self.events(user, verbs=WRITES) if "dryRun=All" not in event["requestURI"]]

    def _read(self, user: str, verbs: tuple[str, ...]) -> Iterator[Event]:
        wanted = json.dumps(user)[1:-1].encode()
        passed = tuple(one for verb, one in READS.items() if verbs and verb not in verbs)
        if not self.path.exists():
            return
        with self.path.open("rb") as log:
            if self.start:
                log.seek(self.start - 1)
                log.readline()  # the end of a line that was half written then: it belongs to what was before
            for line in log:
                if wanted not in line or not line.endswith(b"\n"):  # the last line may be half written
                    continue
                if not line.partition(b'"user":')[0].endswith(passed):  # most are reads, and to decode them takes long
                    yield json.loads(line)


def log_of(host: Host) -> Audit:
    """The whole audit log of `host`, which must have been started with `audit` users."""
    return Audit(layout.audit_log(host.folder))


def _resource(event: Event) -> str:
    about = event.get("objectRef", {})
    return "/".join(filter(None, (about.get("resource"), about.get("subresource"))))
