"""The planner: computes the changes of one pass over a nested cluster, from values alone (P1, P3, P4, P6).

desired + observed + inventory -> changes in apply order, and the consent their destructive part needs
"""

from collections.abc import Iterator, Mapping, Sequence

from reconciler.model import DESTRUCTIVE, GUARDS, Bundle, Change, Desired, InventoryEntry, Observed, Plan, Ran, replace
from reconciler.plan import allocations, consent, drift, hook_changes, once, order, prune
from reconciler.plan.compare import UNSERVED, Wanted, compare
from reconciler.plan.hooks import Ground
from reconciler.plan.kinds import GONE, made_by_kubernetes
from reconciler.plan.mark import entries_of, ours, ref_of
from reconciler.plan.request import left, request
from reconciler.plan.suspects import Key

ENDED = "Ended"
LATER = "known after the control plane is up"
NO_KIND = "KindMissing"
LATER_KIND = "known after the server has this kind"
NO_HOOKS: Mapping[str, Ran] = {}


def compute(
    bundle: Bundle,
    desired: Sequence[Desired],
    observed: Mapping[Key, Observed],
    inventory: Sequence[InventoryEntry],
    *,
    salt: bytes,
    unknown: Mapping[str, str],
    nonce: str,
    now: float = 0.0,
    consented: frozenset[str] = DESTRUCTIVE,
    absent: frozenset[Key] = frozenset(),
    hooks: Mapping[str, Ran] = NO_HOOKS,
) -> Plan:
    """The plan of one cluster; same inputs, equal plan, whatever order they come in.

    `observed` holds every desired object and inventory entry that was read; one that is missing is skipped as
    NotObserved and never taken as absent. A live object without `merged` needed no dry-run (`plan.suspects`) and is
    unchanged. `unknown`: layers that could not be rendered or read, with the reason; nothing is deleted on their
    targets. `now` (seconds) matters to tombstones alone: before they are due, what they would delete is held.
    `consented`: the actions that need a consent. `absent`: what must go because the cluster sleeps. `hooks`: what ran of each layer,
    this observation included (`hooks.advanced`).
    """
    listed = {(entry.target, entry.ref): entry for entry in inventory}
    entries = entries_of(inventory, observed)
    wanted = [] if bundle.tombstone else list(_wanted(bundle, desired, observed, entries))
    made = [_decide(one, bundle, salt, nonce) for one in wanted if one.layer.name not in unknown]
    kept = {one.key for one in wanted} | (set() if bundle.tombstone else hook_changes.keys(desired))
    made += [] if bundle.tombstone else _unplaced(desired, unknown)
    unplaced = frozenset(one.layer.name for one in desired if one.unplaced)
    known = frozenset(one.layer.name for one in desired) - unplaced - unknown.keys()
    gone = [entry for key, entry in sorted(listed.items()) if key not in kept]
    same = frozenset((one.key[0], one.seen.uid) for one in wanted if one.seen and one.seen.uid)
    gone, claimed = prune.claimed(bundle, gone)
    pruned = list(prune.changes(bundle, gone, observed, known, same, nonce, now))
    pruned += prune.tenants(bundle, claimed, observed, absent)
    made, pruned = allocations.arranged(made, pruned, observed)
    ground = Ground(bundle, desired, observed, entries, frozenset(unknown), nonce, now)
    ordered = order.arranged([*made, *hook_changes.changes(ground, hooks)], pruned, bundle.layers)
    return Plan(bundle.cluster, bundle.revision, ordered, consent.of(ordered, consented), _told(unknown, bundle))


def _unplaced(desired: Sequence[Desired], unknown: Mapping[str, str]) -> list[Change]:
    """Changes for objects whose kind is not served yet: their scope, and so their identity, is not known (A2)."""
    return [
        _unserved(Change("skip", one.layer.target, ref_of(item), one.layer.name))
        for one in desired
        if one.layer.name not in unknown
        for item in one.unplaced
    ]


def _unserved(change: Change) -> Change:
    """A kind that Kubernetes itself removed does not come any more; others may come with their CRD."""
    instead = GONE.get((change.ref.group, change.ref.kind))
    if instead is None:
        return replace(change, reason=NO_KIND, flags=(LATER_KIND,))
    told = f"Kubernetes serves no {change.ref.kind} of {change.ref.group} any more; {instead}"
    return replace(change, reason=UNSERVED, detail=told, flags=(told,))


def _told(unknown: Mapping[str, str], bundle: Bundle) -> dict[str, str]:
    """The unknown layers with the reason, in the bundle's order. One without a reason waits for its nested control plane
    (P6)."""
    at = {layer.name: index for index, layer in enumerate(bundle.layers)}
    return {name: unknown[name] or LATER for name in sorted(unknown, key=lambda name: (at.get(name, len(at)), name))}


def _wanted(
    bundle: Bundle,
    desired: Sequence[Desired],
    observed: Mapping[Key, Observed],
    entries: Mapping[Key, InventoryEntry],
) -> Iterator[Wanted]:
    """Every desired object, layers in the bundle's order. If two layers name one object, the second is marked with the
    first."""
    first: dict[Key, str] = {}
    at = {layer.name: index for index, layer in enumerate(bundle.layers)}
    for one in sorted(desired, key=lambda each: (at.get(each.layer.name, len(at)), each.layer.name)):
        for obj in one.objects:
            key = (one.layer.target, ref_of(obj))
            yield Wanted(one.layer, obj, key, observed.get(key), entries.get(key), first.get(key, ""))
            first.setdefault(key, one.layer.name)


def _decide(one: Wanted, bundle: Bundle, salt: bytes, nonce: str) -> Change:
    target, ref = one.key
    seen, guard = one.seen, one.layer.role in GUARDS
    change = Change(
        "unchanged", target, ref, one.layer.name, uid=seen.uid if seen else "", desired=one.obj, guard=guard
    )
    if one.claimed:
        return replace(
            change, action="hold", reason="ClaimedTwice", flags=(f"layer {one.claimed} has it",), desired=None
        )
    if seen is None:
        return replace(change, action="skip", reason="NotObserved", desired=None)
    if _of_kubernetes(one):
        return _taken(change, one, seen)
    if seen.live is None:
        return _create(change, one, seen)
    if "deletionTimestamp" in seen.live["metadata"]:
        return replace(change, action="skip", reason="Terminating", desired=None)
    if not ours(one.entry, seen, bundle.cluster, nonce):
        return replace(change, action="hold", reason="NotOwner", desired=None)
    return compare(change, one, seen, bundle, salt)


def _ended(change: Change, *, failed: bool) -> Change:
    """A Job that ended and was removed by its ttl. It runs again when its content changes in Git (A2: its absence is no drift)."""
    told = f"{'it failed' if failed else 'it ended'} and its ttlSecondsAfterFinished removed it; it runs again when it changes in Git"
    return replace(
        change, action="skip", reason="EndedFailed" if failed else ENDED, detail=told, flags=(told,), desired=None
    )


def _of_kubernetes(one: Wanted) -> bool:
    """Whether it is an object inside a nested cluster that Kubernetes makes itself, and is not ours yet."""
    owned = one.entry is not None and one.seen is not None and one.entry.uid in ("", one.seen.uid)
    return bool(one.key[0].nested) and made_by_kubernetes(one.key[1]) and not (owned and one.entry and one.entry.uid)


def _taken(change: Change, one: Wanted, seen: Observed) -> Change:
    """It is never made by us, as whoever is first would decide: it is waited for, and taken over where its manifest says so."""
    if seen.live is None:
        return replace(change, action="skip", reason="Awaited", desired=None)
    if (one.obj["metadata"].get("annotations") or {}).get(ADOPT) != "true":
        return replace(
            change, action="hold", reason="NotOwner", detail=HOW_TO_ADOPT, flags=(HOW_TO_ADOPT,), desired=None
        )
    body = request(one.obj, one.layer, seen.live, seen.driven)
    return replace(change, action="adopt", reason="Adopted", desired=body)


ADOPT = "nidus.dev/adopt"
HOW_TO_ADOPT = f'Kubernetes makes it itself; annotate it with {ADOPT}: "true" to take it over'


def _create(change: Change, one: Wanted, seen: Observed) -> Change:
    body = request(one.obj, one.layer, None)
    change = replace(change, flags=left(one.obj, one.layer))
    if seen.unserved:
        return replace(change, action="create", reason=UNSERVED, flags=(*change.flags, seen.unserved), desired=body)
    if seen.unknown:
        told = (*change.flags, "known after apply")
        return replace(change, action="create", reason=seen.unknown, flags=told, desired=body)
    removed = one.entry is not None and one.entry.state == "owned" and one.entry.uid != ""
    if removed and one.entry and one.entry.once and one.entry.once.removesuffix(once.FAILED) == once.mark(body):
        return _ended(change, failed=one.entry.once.endswith(once.FAILED))
    if removed and one.layer.drift != "correct":
        return drift.tolerated(change, one.layer, ("deleted by somebody else",))
    return replace(change, action="create", reason="Deleted" if removed else "", desired=body)
