"""The audit log of a host, as tests read it: what is written is found among the reads, whatever the reads are of."""

import json
from pathlib import Path
from typing import Any

from devhost.audit import Audit

USER = "system:serviceaccount:nidus-system:nidus"


def line(verb: str, user: str = USER, uri: str = "/api/v1/x", **more: Any) -> str:
    """An event as the server writes it: compact, the request before who made it."""
    event = {"kind": "Event", "stage": "ResponseComplete", "requestURI": uri, "verb": verb, "user": {"username": user}}
    return json.dumps({**event, "objectRef": {"resource": "things"}, **more}, separators=(",", ":")) + "\n"


def test_writes_are_found_among_reads(tmp_path: Path) -> None:
    log = Audit(tmp_path / "audit.log")
    log.path.write_text(line("create", uri="/before"))
    since = log.now()
    reads = {"spec": {"verb": "get", "user": "x"}}
    log.path.write_text(
        log.path.read_text()
        + line("get")
        + line("watch")
        + line("create", requestObject=reads)
        + line("patch", uri="/api/v1/x?dryRun=All")
        + line("delete", user="somebody")
        + line("update")
        + line("list")
        + line("delete")[:-9]
    )
    assert [one["verb"] for one in since.writes(USER)] == ["create", "update"]
    assert [one["verb"] for one in since.events(USER)] == ["get", "watch", "create", "patch", "update", "list"]
    assert [one["verb"] for one in since.events(USER, verbs=("get",))] == ["get"]
    assert [one["verb"] for one in since.events(verbs=("delete",))] == ["delete"]
