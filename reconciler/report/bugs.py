"""Reports a bug of ours: its type, its stack frames and a count. Never text from a repository or a server."""

import traceback

from prometheus_client import Counter

from reconciler.report import log

FRAMES = 30  # of the innermost ones; a recursion without end has thousands
MESSAGE = 200  # characters
COUNTED = Counter("nidus_bugs_total", "Bugs of the controller, by where they came out", ["where"], registry=None)
_NAMING = (AttributeError, KeyError, TypeError, NameError, AssertionError)
"""Their messages name code, never values of the outside."""


def tell(where: str, error: BaseException, subject: str = "") -> str:
    """Log and count a bug; returns its type and place, which may be shown to a user.

    `where` is one of a few words (pass, sync, admission, requests, ...): it becomes a label. `subject` is a cluster or source.
    """
    frames = traceback.extract_tb(error.__traceback__)[-FRAMES:]
    COUNTED.labels(where).inc()
    log.line(
        "Bug",
        error=type(error).__name__,
        message=str(error)[:MESSAGE] if isinstance(error, _NAMING) else "",
        where=where,
        subject=subject,
        traceback=[f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
        level="error",
    )
    file, _, _ = (frames[-1].filename if frames else "").rpartition(".py")
    place = f" in {file.rpartition('/')[2]}.py:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{place}"
