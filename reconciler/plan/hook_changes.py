"""The changes of hooks (K7): which are made, which are deleted by their policy, and which stay. Pure.

Hooks of later turns are in the plan for whoever reads it; a pass sends them when those before them have ended.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence

from reconciler.model import Change, Desired, ObjectRef, Observed, Ran, replace
from reconciler.plan import flags, hooks, leaving, prune
from reconciler.plan.hooks import BEFORE, DEFINITION, DONE, FAILED, SUCCEEDED, Ground, Hook, Stage, State
from reconciler.plan.mark import Key, ours, ref_of
from reconciler.plan.request import request

HOOK = "Hook"
RUNNING = "HookRunning"
BROKEN = "HookFailed"
RAN = "HookRan"
OBSTRUCTED = "HookExists"
ONCE_MORE = "HookLater"
OBSTACLE = f"an earlier run left it, and its helm.sh/hook-delete-policy does not say {BEFORE}: delete it in the cluster"
NO_HOOK = "no hook made what is there"


def changes(ground: Ground, known: Mapping[str, Ran]) -> list[Change]:
    """The changes of all hooks, each with its turn. `known`: what ran of each layer."""
    found: list[Change] = []
    for one in ground.desired:
        if one.hooks and one.layer.name not in ground.dark:
            found += _of(one, known.get(one.layer.name), ground)
    return found


def keys(desired: Sequence[Desired]) -> set[Key]:
    """The hook objects. None of them is pruned while its chart has it."""
    return {(one.layer.target, ref_of(item)) for one in desired for item in one.hooks}


def _of(one: Desired, ran: Ran | None, ground: Ground) -> Iterator[Change]:
    if one.layer.role != leaving.ROLE:
        yield from _layer(one, ran, ground) if ground.bundle.tombstone is None else ()
    elif ran is not None and not ran.over:
        yield from (each for each in _layer(one, ran, ground) if each.hook or ground.bundle.tombstone is None)
    elif ground.bundle.tombstone is None:
        by_policy = [each for each in _layer(one, ran, ground) if each.action == "delete"]
        yield from by_policy
        yield from _leftovers(one, {each.ref for each in by_policy}, ground)


def _leftovers(one: Desired, told: Collection[ObjectRef], ground: Ground) -> Iterator[Change]:
    """What else the hooks of a layer left that has gone: it goes with the layer."""
    for ref in (each for each in dict.fromkeys(map(ref_of, one.hooks)) if each not in told):
        entry, seen = ground.entries.get((one.layer.target, ref)), ground.observed.get((one.layer.target, ref))
        if entry is not None:
            blank = Change("skip", one.layer.target, ref, one.layer.name, uid=entry.uid)
            change = prune.deletion(blank, entry, seen, ground.bundle.cluster, ground.nonce)
            yield replace(change, ran=seen is not None and hooks.of_any_run(seen))


def _layer(one: Desired, ran: Ran | None, ground: Ground) -> Iterator[Change]:
    """Of an object that is a hook of several events, what the first of them asks for; the others wait."""
    told: set[Key] = set()
    before, after = hooks.phases(one, ran) if ran is not None else ([], [])
    for change in [*_phase(one, before, ran, ground, -1), *_phase(one, after, ran, ground, 1)]:
        key = (change.target, change.ref)
        yield (
            change
            if key not in told
            else replace(change, action="skip", reason=ONCE_MORE, detail=change.hook, desired=None)
        )
        told.add(key)
    for ref in dict.fromkeys(map(ref_of, one.hooks)):
        key = (one.layer.target, ref)
        if key not in told and key in ground.entries:
            yield _left(Change("unchanged", *key, one.layer.name), ground)


def _phase(one: Desired, phase: Sequence[Hook], ran: Ran | None, ground: Ground, sign: int) -> Iterator[Change]:
    """The hooks of one phase that are open, then the deletions of those that ran, the last one first, as Helm has them."""
    if ran is None:
        return
    stages = [DONE if ran.over else _stage(one, hook, ran, ground) for hook in phase]
    broken = next((at for at, stage in enumerate(stages) if stage.state is State.BROKE), None)
    end, first = len(phase), 1 if sign > 0 else -2 * len(phase)
    ended = range(end) if all(stage == DONE for stage in stages) else range((-1 if broken is None else broken) + 1)
    for at, hook in enumerate(phase[: end if broken is None else broken + 1]):
        if stages[at] != DONE and not (at == broken and _goes(hook, FAILED, ran, _key(one, hook), ground)):
            yield _open(_blank(one, hook, first + at), one, hook, ran, ground)
    for at in ended:
        policy = SUCCEEDED if stages[at] == DONE else FAILED
        if _goes(phase[at], policy, ran, _key(one, phase[at]), ground):
            change = _blank(one, phase[at], first + 2 * end - 1 - at)
            yield _deleted(change, stages[at], ground.observed[change.target, change.ref])


def _blank(one: Desired, hook: Hook, turn: int) -> Change:
    return Change("unchanged", one.layer.target, hook.ref, one.layer.name, hook=hook.event, turn=turn)


def _key(one: Desired, hook: Hook) -> Key:
    return one.layer.target, hook.ref


def _stage(one: Desired, hook: Hook, ran: Ran, ground: Ground) -> Stage:
    """What the record says of a hook, or else that it is seen to have failed."""
    known, seen = hooks.stage(ran, hook), ground.observed.get(_key(one, hook))
    ended = known.state in (State.DONE, State.BROKE)
    if ended or seen is None or seen.live is None or not hooks.of_run(seen, hook, ran):
        return known
    found = hooks.verdict(hook.ref, seen.live, one.layer.timeout, ground.now)
    return found if found.state is State.BROKE else known


def _open(change: Change, one: Desired, hook: Hook, ran: Ran, ground: Ground) -> Change:
    """The change of a hook that has not ended well."""
    seen = ground.observed.get((change.target, change.ref))
    known = hooks.stage(ran, hook)
    body = request(hooks.stamp(hook, ran, nested=bool(change.target.nested)), one.layer, None)
    told = f"{hook.event} hook, weight {hook.weight}"
    if known.state is State.BROKE:
        return replace(change, action="skip", reason=BROKEN, detail=known.why)
    if seen is None:
        return replace(change, action="skip", reason="NotObserved")
    if seen.live is None:
        flags = ("known after apply",) if seen.unknown else ()
        return replace(change, action="create", reason=HOOK, detail=told, flags=flags, desired=body)
    if not _mine(change, seen, ground):
        return replace(change, action="hold", reason="NotOwner")
    change = replace(change, uid=seen.uid, desired=body, detail=told)
    if "deletionTimestamp" in seen.live["metadata"]:
        return replace(change, action="skip", reason="Terminating", desired=None)
    return _again(change, hook, seen, ran, ground)


def _again(change: Change, hook: Hook, seen: Observed, ran: Ran, ground: Ground) -> Change:
    """The change of a hook whose object is there: it runs, an earlier run left it, or no hook made it."""
    if hooks.of_run(seen, hook, ran):
        return replace(change, reason=RUNNING)
    if _kind(hook.ref) == DEFINITION:
        return replace(change, action="configure", reason=HOOK)
    if BEFORE in hook.policies and hooks.of_any_run(seen):
        return replace(
            change, action="replace", reason=HOOK, detail=f"{change.detail}; made anew for this run", ran=True
        )
    if BEFORE in hook.policies:
        return _no_hook(change, seen, ground)
    return replace(change, action="skip", reason=OBSTRUCTED, detail=OBSTACLE, flags=(OBSTACLE,), desired=None)


def _no_hook(change: Change, seen: Observed, ground: Ground) -> Change:
    """The change of a hook whose place an object of the pack has that was no hook: it is replaced where any other object would be (P4)."""
    turned = flags.replaced(change, seen.live or {}, ground.bundle)
    if turned.action == "replace":
        return replace(turned, reason=HOOK, detail=f"{change.detail}; {NO_HOOK}")
    return replace(turned, reason=OBSTRUCTED, detail=f"{NO_HOOK}, and it {turned.detail}")


def _goes(hook: Hook, policy: str, ran: Ran, key: Key, ground: Ground) -> bool:
    """Whether the object of a hook that ended is there and its policy says that it goes. A failure is recorded before; a definition
    stays always, since its objects would go with it."""
    seen = ground.observed.get(key)
    if seen is None or seen.live is None or policy not in hook.policies or _kind(hook.ref) == DEFINITION:
        return False
    if policy == FAILED and hooks.stage(ran, hook).state is not State.BROKE:
        return False
    there = "deletionTimestamp" not in seen.live["metadata"] and hooks.of_run(seen, hook, ran)
    return there and ours(ground.entries.get(key), seen, ground.bundle.cluster, ground.nonce)


def _deleted(change: Change, stage: Stage, seen: Observed) -> Change:
    done = stage == DONE
    told = f"{change.hook} hook that ran, as its helm.sh/hook-delete-policy says" if done else stage.why
    change = replace(change, uid=seen.uid, ran=hooks.of_any_run(seen))
    return replace(change, action="delete", reason=RAN if done else BROKEN, detail=told)


def _left(change: Change, ground: Ground) -> Change:
    """The change of a hook object of which nothing is asked now."""
    seen = ground.observed.get((change.target, change.ref))
    if seen is None or seen.unknown:
        return replace(change, action="skip", reason="NotObserved")
    if seen.live is None:
        return replace(change, action="skip", reason="Gone")
    return (
        replace(change, uid=seen.uid)
        if _mine(change, seen, ground)
        else replace(change, action="skip", reason="NotOwner")
    )


def _mine(change: Change, seen: Observed, ground: Ground) -> bool:
    return ours(ground.entries.get((change.target, change.ref)), seen, ground.bundle.cluster, ground.nonce)


def _kind(ref: ObjectRef) -> tuple[str, str]:
    return ref.group, ref.kind
