"""One JSON object a line on standard error. Control characters are escaped by JSON itself; nothing secret is ever handed in."""

import json
import sys
import threading
import time
from typing import TextIO

from reconciler.report.transitions import Transition

_lock = threading.Lock()


def line(event: str, stream: TextIO | None = None, **fields: object) -> None:
    """Write one line: time, event, then the fields that are not empty."""
    kept = {name: value for name, value in fields.items() if value not in ("", None)}
    now = time.time_ns() // 1_000_000
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now // 1000)) + f".{now % 1000:03d}Z"
    text = json.dumps({"time": stamp, "event": event, **kept}, default=str)
    with _lock:
        print(text, file=stream or sys.stderr, flush=True)


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
