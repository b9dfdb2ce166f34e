"""Packs that leave with hooks to run (K7): their hooks before, their objects, their hooks after. Nothing waits here.

A hook before that fails keeps its pack where it is, as `helm uninstall` does. A cluster that is removed goes all the same: its packs are
thrown away with it, and no hook of a tenant may keep it for ever.
"""

from collections.abc import Generator, Iterator, Sequence

from reconciler.apply import hooks
from reconciler.apply import layers as standing
from reconciler.apply.run import Run, Step, all_gone, hooked, waits
from reconciler.model import PRUNING_WAITS, Change, Desired, Layer, LayerStatus, Result
from reconciler.plan import hook_runs, leaving, mark

UNDONE = frozenset({"Terminating", "NotObserved", "LayerUnknown"})
"""Reasons of a skip of an object that leaves, and is not known to be gone."""


def before_removal(run: Run) -> Generator[Step, None, str]:
    """The hooks before the removal of a cluster: what it waits for, "" where it may go."""
    because = ""
    for one in leaving.layers(run.gathered.desired):
        layer, ran = one.layer, run.gathered.ran[one.layer.name]
        if ran.over:
            if why := hook_runs.missed(ran):
                yield _told(standing.failed(layer, f"the cluster is removed without its pre-delete hooks: {why}"))
            continue
        status = _stuck(run, one) or (yield from hooked(run, hooks.changes(layer, run.plan, -1), layer, []))
        yield _told(status or standing.waiting(layer, "its hooks ran"))
        because = because or (f"layer {layer.name}: {status.message}" if status else f"layer {layer.name}")
    return because


def pruned(run: Run, doomed: Sequence[Change], done: list[Result]) -> Generator[Step, None, list[Change]]:
    """Deletes what leaves with hooks, and appends the results to `done`; returns the changes of everything else."""
    layers = leaving.layers(run.gathered.desired)
    for one in layers:
        name = one.layer.name
        mine = [change for change in doomed if change.layer == name and change.ref.kind != "Namespace"]
        for step in _pruned(run, one, mine):
            done += step.results
            yield step
    names = {one.layer.name for one in layers}
    return [change for change in doomed if change.layer not in names or change.ref.kind == "Namespace"]


def _pruned(run: Run, one: Desired, doomed: Sequence[Change]) -> Iterator[Step]:
    """Its objects inside, then what its hooks left, then what is kept on the host, each when what must be before is over."""
    made = {mark.ref_of(each) for each in one.hooks}
    inside = [change for change in doomed if change.target.nested]
    own, left = ([change for change in inside if (change.ref in made) is hooks_own] for hooks_own in (False, True))
    parts = [own, left, [change for change in doomed if not change.target.nested]]
    results: list[Result] = []
    for at, before in enumerate((_before, _after, _emptied)):
        if (status := (yield from before(run, one, results))) is not None:
            yield _put_off([change for part in parts[at:] for change in part], status)
            return
        results = [run.carry(change) for change in parts[at]]
        yield Step(tuple(results))


Waits = Generator[Step, None, LayerStatus | None]
"""The state of a layer that must wait, None where it goes on."""


def _before(run: Run, one: Desired, results: Sequence[Result]) -> Waits:
    """Its hooks before."""
    return _stuck(run, one) or (yield from hooked(run, hooks.changes(one.layer, run.plan, -1), one.layer, []))


def _after(run: Run, one: Desired, results: Sequence[Result]) -> Waits:
    """Its objects are gone; its hooks after that."""
    layer = one.layer
    status = _unfinished(run, layer) if all_gone(results) else _going(layer, "its objects are being deleted")
    status = status or (yield from hooked(run, hooks.changes(layer, run.plan, 1), layer, []))
    return status or (None if run.gathered.ran[layer.name].over else _going(layer, "its hooks ran"))


def _emptied(run: Run, one: Desired, results: Sequence[Result]) -> Waits:
    """What its hooks left is gone."""
    yield from ()
    return None if all_gone(results) else _going(one.layer, "what its hooks left is being deleted")


def _stuck(run: Run, one: Desired) -> LayerStatus | None:
    """Why the hooks of a layer may not begin yet; None where they may."""
    layer, unknown, gathered = one.layer, run.plan.unknown, run.gathered
    if layer.target in gathered.down:
        return standing.waiting(layer, gathered.down[layer.target], sleeps=gathered.sleep.asleep)
    if layer.name in unknown:
        return standing.unknown(layer, unknown[layer.name])
    if unknown and run.assignment.bundle.tombstone is None:
        return standing.waiting(layer, f"waits for {next(iter(unknown))}")
    ahead = leaving.ahead(layer, gathered.desired, gathered.ran)
    return standing.waiting(layer, f"{', '.join(ahead)} leaves first") if ahead else None


def _unfinished(run: Run, layer: Layer) -> LayerStatus | None:
    """The state of a layer of which something is not known to be gone."""
    stays = (
        one
        for one in run.plan.changes
        if one.layer == layer.name and one.action == "skip" and not one.hook and one.reason in UNDONE
    )
    first = next(stays, None)
    return _going(layer, f"{first.ref}: {first.reason}") if first is not None else None


def _going(layer: Layer, told: str) -> LayerStatus:
    return LayerStatus(layer.name, str(layer.target), "InProgress", told)


def _put_off(changes: Sequence[Change], status: LayerStatus) -> Step:
    because = f"pruning waits for the hooks of layer {status.name}"
    return Step(tuple(waits(one, because, PRUNING_WAITS) for one in changes), {status.name: status})


def _told(status: LayerStatus) -> Step:
    return Step(layers={status.name: status})
