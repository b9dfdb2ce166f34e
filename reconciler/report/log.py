"""Writes one JSON object a line to standard error, or a line for people where that is a terminal. All texts are made printable;
callers pass no secret."""

import json
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any, TextIO

from reconciler.errors import parted, printable
from reconciler.report.transitions import Transition

_lock = threading.Lock()


def line(event: str, stream: TextIO | None = None, **fields: object) -> None:
    """Write one line: time, event, then the fields that are not empty."""
    kept = {name: value for name, value in fields.items() if value not in ("", None)}
    now = time.time_ns() // 1_000_000
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now // 1000)) + f".{now % 1000:03d}Z"
    entry, to = shown({"time": stamp, "event": event, **kept}), stream or sys.stderr
    text = readable(entry) if to.isatty() else json.dumps(entry)
    with _lock:
        print(text, file=to, flush=True)


def readable(entry: Mapping[str, Any]) -> str:
    """An entry of the log as a line for people: time of day, level where it is not info, event, what it is about, message, the rest."""
    told = {key: str(value) for key, value in entry.items() if value not in ("", None)}
    time_, event, message = (told.pop(key, "") for key in ("time", "event", "message"))
    level = told.pop("level", "info")
    about = [told.pop(key) for key in ("cluster", "source", "layer") if key in told]
    if told.get("object", "") in message:
        told.pop("object", None)
    head, _, short = parted(told.get("revision", ""))
    told |= {"revision": f"{head}@{short[:7]}"} if short else {}
    rest = " ".join(f"{key}={value}" for key, value in told.items())
    mark = "" if level == "info" else f" {level.upper()}"
    text = f"{time_[11:23] or '-'}{mark} {event or '-'} {' '.join(about)}".rstrip()
    return printable(text + (f": {message}" if message else "") + (f"  ({rest})" if rest else ""))


def shown(value: Any) -> Any:
    """A JSON value with printable texts; a value that is no JSON becomes its text."""
    if type(value) is str:
        return printable(value)
    if isinstance(value, Mapping):
        return {printable(str(key)): shown(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [shown(item) for item in value]
    return value if value is None or isinstance(value, bool | int | float) else printable(str(value))


def standby(holder: str) -> None:
    """This process waits for the Lease of another."""
    line("Standby", holder=holder, message=f"waiting for the Lease held by {holder}")


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
