"""The server's dry-run answer for every object that may differ (P1, P3)."""

from collections.abc import Mapping, Sequence

from reconciler.errors import ApiError, ErrorClass, NidusError
from reconciler.gather import unsent
from reconciler.gather.reader import Key, Reader
from reconciler.kube.client import Client
from reconciler.kube.sending import send
from reconciler.model import GUARDS, Desired, InventoryEntry, Object, Observed, Target, replace
from reconciler.plan import suspects

SILENT = frozenset({ErrorClass.TRANSIENT, ErrorClass.UNAUTHENTICATED})  # no answer about the object at all


def dry_run(
    desired: Sequence[Desired],
    observed: Mapping[Key, Observed],
    entries: Sequence[InventoryEntry],
    settled: Mapping[Key, str],
    reader: Reader,
) -> tuple[dict[Key, Observed], dict[Target, str]]:
    """The observations with the dry-run answer for each object that may differ; and the targets that stopped
    answering."""
    by_key = suspects.firsts(desired)
    answers, silent = dict(observed), dict[Target, str]()
    for key in suspects.suspects(desired, observed, entries, settled):
        layer, item = by_key[key]
        if key[0] in silent:
            continue
        try:
            body = suspects.request(item, layer, observed[key].live, observed[key].driven)
            sent = unsent.without(body, observed[key].live) if reader.asks else body
            seen = _answered(sent, observed[key], reader.client(key[0]), layer.role in GUARDS)
            answers[key] = seen if seen.merged is None else replace(seen, merged=unsent.restored(seen.merged, body))
        except NidusError as error:
            silent[key[0]] = error.message
    return answers, silent


def _answered(body: Object, seen: Observed, client: Client, guard: bool) -> Observed:
    try:
        return replace(seen, merged=send(client, body, seen.live, dry_run=True, guard=guard).object)
    except ApiError as error:
        if error.kind in SILENT:
            raise
        return replace(seen, refused=f"{error.reason}: {error.message}", immutable=error.kind == ErrorClass.IMMUTABLE)
