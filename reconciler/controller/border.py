"""The border against bugs: what nobody expected becomes the failure of one cluster, source or round, never of the process.

Only a lost Lease, or a loop without a sign of life (H3), ends the process.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from reconciler.errors import NidusError, Retry
from reconciler.report import bugs


@contextmanager
def contained(where: str, subject: str = "") -> Iterator[None]:
    """Let errors of ours pass, and turn everything else into Retry, reason Bug, after it was logged and counted.

    The caller handles it like every other failure of the `subject` (a cluster or source): says so, and backs off.
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
    """Log and count what nobody expected, and go on: for a callback whose work is done again anyhow. Errors of ours pass."""
    try:
        yield
    except NidusError:
        raise
    except Exception as error:
        bugs.tell(where, error, subject)
