"""What ran of the hooks of each layer, as it stands on record (K7). Pure.

A layer's hooks run once for each digest of the layer, and once more when it leaves (`plan.leaving`).
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence

from reconciler.model import Change, Desired, InventoryEntry, Layer, Ran, Result, replace
from reconciler.plan import leaving, once, stored
from reconciler.plan.hooks import (
    BEGUN,
    DONE,
    EXPIRED,
    FAILED,
    OPEN,
    Ground,
    Hook,
    Stage,
    State,
    broke,
    concerned,
    of,
    of_run,
    phases,
    stage,
    verdict,
    waited,
)
from reconciler.plan.mark import Key, ours, ref_of

GIVEN_UP = "they did not end in time"
LONGEST = 6 * 3600.0  # seconds that the hooks of one layer may take in a cluster that is removed


def pending(desired: Iterable[Desired], known: Mapping[str, Ran]) -> list[Key]:
    """The hook objects to be read besides the inventory: those of layers whose hooks have not all run."""
    return [
        (one.layer.target, ref_of(item))
        for one in desired
        if not _over(known.get(one.layer.name), one.layer)
        for item in one.hooks
    ]


def advanced(ground: Ground, known: Mapping[str, Ran]) -> Mapping[str, Ran]:
    """What ran of each layer, with what was observed now: to be recorded before anything is done because of it. Layers that could
    not be read stay as they were; what is known of layers that are no more goes."""
    gone = leaving.layers(ground.desired)
    if not (known or gone or concerned(ground.desired)):
        return known
    found = dict(known) if ground.bundle.tombstone is not None else _present(ground, known)
    return found | {one.layer.name: _left(one, known.get(one.layer.name), ground) for one in gone}


def _present(ground: Ground, known: Mapping[str, Ran]) -> dict[str, Ran]:
    own = [one for one in ground.desired if one.layer.name not in ground.dark and not stored.is_kept(one)]
    desired = {one.layer.name: one for one in own}
    found: dict[str, Ran] = {}
    for layer in ground.bundle.layers:
        one, before = desired.get(layer.name), known.get(layer.name)
        ran = before if one is None else _current(one, before, ground)
        if ran is not None:
            found[layer.name] = ran if one is None else _seen(one, ran, ground)
    return found


def _left(one: Desired, known: Ran | None, ground: Ground) -> Ran:
    """The run of a layer that leaves. In a cluster that is removed it is over with the first hook that fails, and in time: the cluster
    goes all the same."""
    layer, dark = one.layer, one.layer.name in ground.dark
    ran = known if known is not None and known.event == leaving.EVENT else None
    if ran is None:
        ran = Ran(layer.digest, leaving.EVENT, _name(layer, known, ground.now), before=known)
    elif not dark and ran.digest != layer.digest:
        ran = replace(ran, digest=layer.digest, run=_name(layer, ran, ground.now), steps={}, over=False)
    ran = ran if dark else _seen(one, ran, ground)
    tombstone = ground.bundle.tombstone
    if tombstone is None or ran.over:
        return ran
    if missed(ran):
        return replace(ran, over=True)
    if ran.since >= tombstone.due and ground.now > ran.since + min(layer.timeout * (len(one.hooks) + 1), LONGEST):
        return replace(ran, steps={"": broke(GIVEN_UP).text}, over=True)
    return ran


def missed(ran: Ran) -> str:
    """Why a hook of a layer that leaves did not end well, "" where none failed."""
    failed = f"{State.BROKE}: "
    return next((text.removeprefix(failed) for _, text in sorted(ran.steps.items()) if text.startswith(failed)), "")


def recorded(
    known: Mapping[str, Ran], desired: Sequence[Desired], results: Sequence[Result], *, removed: bool
) -> Mapping[str, Ran]:
    """What ran, with the results of this pass. `removed`: the cluster is, and a hook that fails is not tried again. Nothing is known of
    a layer that has gone with what was kept of its hooks."""
    found = dict(known)
    for result in results:
        change = result.change
        if result.outcome == "deleted" and leaving.is_kept(change.ref) and not change.target.nested:
            found.pop(change.layer, None)
        ran = found.get(change.layer)
        if change.hook and ran is not None and not ran.over and (step := _step(result, desired, removed)) != OPEN:
            found[change.layer] = replace(ran, steps={**ran.steps, f"{change.hook} {change.ref}": step.text})
    return found


def counted(
    known: Mapping[str, Ran],
    desired: Sequence[Desired],
    changes: Iterable[Change],
    results: Iterable[Result],
    due: float,
    now: float,
) -> Mapping[str, Ran]:
    """What ran in a cluster whose removal is `due`, with the time since when a layer's hooks take theirs: since the first pass that sent
    one, or that could not know them, after all that leaves before. Time in which they are held counts for none."""
    sent = {one.change.layer for one in results if one.change.hook and one.outcome != "held"}
    idle = {one.layer for one in changes if one.hook} - sent
    found = dict(known)
    for layer in (one.layer for one in leaving.layers(desired) if one.layer.name not in idle):
        ran = known.get(layer.name)
        open_ = ran is not None and not ran.over and ran.since < due
        if ran is not None and open_ and not leaving.ahead(layer, desired, known):
            found[layer.name] = replace(ran, since=now)
    return found


def _over(ran: Ran | None, layer: Layer) -> bool:
    return ran is not None and ran.over and ran.digest == layer.digest


def _current(one: Desired, known: Ran | None, ground: Ground) -> Ran | None:
    """The run of the layer's digest, None for a layer without hooks; where none of them runs now it is over at once. A layer is installed
    once all hooks of an install ran; until then a later digest is installed, too. One that comes back while it was leaving is installed
    where hooks of that had begun."""
    layer = one.layer
    if known is not None and known.event == leaving.EVENT:
        if one.hooks and (known.over or known.steps):
            return Ran(layer.digest, "install", _name(layer, known, ground.now))
        known = known.before
    if not one.hooks or (known is not None and known.digest == layer.digest):
        return known if one.hooks else None
    if known is not None:
        installed = known.over or known.event == "upgrade"
    else:
        installed = any(entry.layer == layer.name and entry.state == "owned" for entry in ground.entries.values())
    return Ran(layer.digest, "upgrade" if installed else "install", _name(layer, known, ground.now))


def _name(layer: Layer, before: Ran | None, now: float) -> str:
    """What marks the objects of a run that begins now, after another one or the first of its layer."""
    last = before.run if before is not None else ""
    return hashlib.sha256(f"{layer.name} {layer.digest} {now} {last}".encode()).hexdigest()[:12]


def _seen(one: Desired, ran: Ran, ground: Ground) -> Ran:
    if ran.over:
        return ran
    hooks = [hook for phase in phases(one, ran) for hook in phase]
    known = {hook.key: stage(ran, hook) for hook in hooks}
    for hook in hooks:
        if known[hook.key].state in (State.OPEN, State.BEGUN):
            found = _found(hook, ran, (one.layer.target, hook.ref), ground)
            known |= {hook.key: found} if found != OPEN else {}
    if all(each == DONE for each in known.values()):
        return replace(ran, steps={}, over=True)
    told = {key: each.text for key, each in known.items() if each != OPEN}
    return replace(ran, steps={**ran.steps, **told})


def _found(hook: Hook, ran: Ran, key: Key, ground: Ground) -> Stage:
    """What an observation says of a hook. One that was begun and that its ttl removed has ended."""
    seen, entry = ground.observed.get(key), ground.entries.get(key)
    if seen is None or seen.unknown:
        return OPEN
    if seen.live is None:
        return _expired(entry) if entry is not None and stage(ran, hook) == BEGUN else OPEN
    if not ours(entry, seen, ground.bundle.cluster, ground.nonce) or not of_run(seen, hook, ran):
        return OPEN
    return DONE if verdict(hook.ref, seen.live, 0.0, 0.0) == DONE else BEGUN


def _expired(entry: InventoryEntry) -> Stage:
    if not entry.once:
        return OPEN
    return broke(EXPIRED) if entry.once.endswith(once.FAILED) else DONE


def _step(result: Result, desired: Sequence[Desired], removed: bool) -> Stage:
    """What the record says of a hook after a result, OPEN where that is nothing new. A failure is kept where the hook is deleted
    for it, and where the cluster is removed."""
    change = result.change
    if result.outcome in ("created", "configured", "replaced"):
        return BEGUN if waited(change.ref) else DONE
    if result.reason != "HookFailed" or result.outcome != "failed":
        return OPEN
    if removed:
        return broke(result.error[:500])
    hooks = (one.hooks for one in desired if one.layer.name == change.layer)
    policies = [hook.policies for objects in hooks for hook in of(objects, change.hook) if hook.ref == change.ref]
    return broke(result.error[:500]) if any(FAILED in one for one in policies) else OPEN
