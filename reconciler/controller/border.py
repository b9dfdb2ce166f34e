"""Contains bugs: an unexpected exception becomes the failure of one cluster, source or round, never of the process.

Only a lost Lease, or a loop that does not move for too long (H3), ends the process.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from reconciler.errors import NidusError, Retry
from reconciler.report import bugs


@contextmanager
def contained(where: str, subject: str = "") -> Iterator[None]:
    """Let our own errors pass; log and count any other exception and raise Retry, reason Bug, in its place.

    The caller handles it like every other failure of the `subject` (a cluster or source): it reports it and backs off.
    `where` is one of a few fixed words, since it becomes the label of `nidus_bugs_total`.
    """
    try:
        yield
    except NidusError:
        raise
    except Exception as error:
        found = bugs.tell(where, error, subject)
        raise Retry(f"a bug of the controller ({found}); its log has the traceback", reason="Bug") from error


@contextmanager
def dropped(where: str, subject: str = "") -> Iterator[None]:
    """Log and count an unexpected exception and go on: for a callback whose work is repeated later. Our own errors
    pass."""
    try:
        yield
    except NidusError:
        raise
    except Exception as error:
        bugs.tell(where, error, subject)
