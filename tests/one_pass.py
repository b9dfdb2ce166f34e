"""One pass over some objects with the product's own client, without the controller: observe, dry-run, plan, apply,
confirm."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from reconciler.apply.object import WRITING, Ground, execute, stand
from reconciler.gather import Reader
from reconciler.gather.dry_run import dry_run
from reconciler.gather.observe import observe
from reconciler.inventory import ledger
from reconciler.kube.client import Client
from reconciler.model import InventoryEntry, Plan, Result, Target
from reconciler.plan import mark
from reconciler.plan.compute import compute
from tests.server_model import HOST, NONCE, SALT, bundle, layer, wanted

Entries = tuple[InventoryEntry, ...]


@dataclass(frozen=True)
class Done:
    """What a pass came to."""

    plan: Plan
    results: tuple[Result, ...]
    entries: Entries

    @property
    def outcomes(self) -> list[tuple[str, str]]:
        return [(str(one.change.ref), one.outcome) for one in self.results]

    @property
    def removed(self) -> list[str]:
        return [one.path for change in self.plan.changes for one in change.fields if one.after == "(none)"]


def run(client: Client, objects: Sequence[Any], entries: Entries = (), target: Target = HOST, **more: Any) -> Done:
    """Bring these objects, of one layer, nearer to what is asked; everything the inventory has besides goes."""
    one = layer("web/base", target, **more)
    desired = [wanted(one, *objects)]
    reader = Reader(lambda _: client, lambda *_: None, lambda _: (), lambda *_: None)
    of = bundle(one)
    seen, _ = dry_run(desired, observe(of, desired, entries, reader).objects, entries, {}, reader)
    todo = compute(of, desired, seen, entries, salt=SALT, unknown={}, nonce=NONCE)
    entries = ledger.intend(entries, todo.changes, b"")
    known = {(entry.target, entry.ref): entry for entry in entries}
    results = []
    for change in todo.changes:
        key = (change.target, change.ref)
        results.append(_carry(change, client, Ground(seen.get(key), known.get(key))))
    return Done(todo, tuple(results), ledger.confirm(entries, todo, results))


def _carry(change: Any, client: Client, ground: Ground) -> Result:
    return execute(change, client, ground) if change.action in WRITING else stand(change, ground)


def live(client: Client, obj: Any) -> Any:
    """An object as it stands."""
    found = client.get(mark.ref_of(obj))
    assert found is not None
    return found
