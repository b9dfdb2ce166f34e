"""Writes one JSON object a line to standard error. All texts are made printable; callers pass no secret."""

import json
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any, TextIO

from reconciler.errors import printable
from reconciler.report.transitions import Transition

_lock = threading.Lock()


def line(event: str, stream: TextIO | None = None, **fields: object) -> None:
    """Write one line: time, event, then the fields that are not empty."""
    kept = {name: value for name, value in fields.items() if value not in ("", None)}
    now = time.time_ns() // 1_000_000
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now // 1000)) + f".{now % 1000:03d}Z"
    text = json.dumps(shown({"time": stamp, "event": event, **kept}))
    with _lock:
        print(text, file=stream or sys.stderr, flush=True)


def shown(value: Any) -> Any:
    """A JSON value with printable texts; a value that is no JSON becomes its text."""
    if isinstance(value, Mapping):
        return {printable(str(key)): shown(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [shown(item) for item in value]
    return value if value is None or isinstance(value, bool | int | float) else printable(str(value))


def transition(one: Transition) -> None:
    line(
        one.reason,
        cluster=one.cluster,
        layer=one.layer,
        object=one.object,
        revision=one.revision,
        message=one.message,
        level="warning" if one.warning else "info",
    )
