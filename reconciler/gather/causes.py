"""Reads what is below an object that is not Current, for its cause (U1): a few lists, none of them whole.

What cannot be read is left out: it is shown, and nothing is decided by it.
"""

from reconciler.errors import LeaseLost, NidusError
from reconciler.gather.reader import Reads
from reconciler.health import causes
from reconciler.kube.client import Client
from reconciler.model import Object

SOME = 100  # objects of one list


def read(root: Object, client: Client, reads: Reads) -> tuple[Object, ...]:
    """The objects on the way down from `root`, and the Events of the last of them, in as many reads as `reads` has left."""
    found: list[Object] = []
    at: Object | None = root if causes.followed(root) else None
    last = at
    while at is not None:
        for query in causes.queries(at):
            found += _listed(query, client, reads)
        at = causes.below(at, found)
        last = at or last
    if last is not None:
        found += _listed(causes.events(last), client, reads)
    return tuple(found)


def _listed(query: causes.Query, client: Client, reads: Reads) -> list[Object]:
    if not reads.take():
        return []
    try:
        return client.some(
            query.group, query.kind, namespace=query.namespace, labels=query.labels, fields=query.fields, limit=SOME
        )
    except LeaseLost:
        raise
    except NidusError:
        return []
