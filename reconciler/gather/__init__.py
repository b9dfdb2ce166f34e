"""Everything a pass reads before it decides: render, observe, dry-run. Writes nothing.

What could not be read is returned as a value and never taken as absent: `broken` layers, `unreachable` and `down`
targets, unplaced objects.
"""

from collections.abc import Mapping

from msgspec import Struct, field

from reconciler.assignment import Assignment, Facts
from reconciler.gather import departing, leftovers, sandbox, scope, volumes
from reconciler.gather import render as rendering
from reconciler.gather.dry_run import dry_run
from reconciler.gather.observe import observe
from reconciler.gather.reader import Key as Key
from reconciler.gather.reader import Reader as Reader
from reconciler.gather.reader import beating as beating
from reconciler.model import (
    AWAKE,
    NO_VERSIONS,
    Desired,
    InventoryEntry,
    ObjectRef,
    Observed,
    Outside,
    Ran,
    Sleeping,
    Target,
    Versions,
    Volumes,
    replace,
)
from reconciler.operations import Situation, amend, decide
from reconciler.operations.restore import running, taken_over
from reconciler.operations.sleep import later
from reconciler.plan import hook_runs, suspects


class Gathered(Struct, frozen=True):
    """What a pass knows when it plans. `broken`: layer -> why it could not be rendered. `unreachable`: target -> why it did not
    answer; `down`: nested targets whose control plane is not up. `entries`: the inventory under the objects' real names, with
    what the engine of a removed or sleeping cluster left. `sleep`: whether it is to sleep; `absent`: what must go for that,
    `staying` the pods of its engine that still run. `ran`: what ran of each layer's hooks, with what was observed now (K7).
    `fetching`: layer -> the content from elsewhere that it waits for. Why the engine's layer is not applied now: `upgrade`, a snapshot
    comes first; `lacking`, what the host does not have. `outside`: how it is exposed, as far as the host says; read where it
    is applied. `volumes`: those of the control plane that are to grow. `runs`: versions of the live engine that belong on record before
    anything is applied."""

    desired: tuple[Desired, ...]
    observed: Mapping[Key, Observed]
    broken: Mapping[str, str]
    unreachable: Mapping[Target, str]
    down: Mapping[Target, str]
    entries: tuple[InventoryEntry, ...]
    sleep: Sleeping = AWAKE
    absent: frozenset[Key] = frozenset()
    staying: tuple[ObjectRef, ...] = ()
    ran: Mapping[str, Ran] = field(default_factory=dict)
    fetching: Mapping[str, str] = field(default_factory=dict)
    upgrade: str = ""
    lacking: str = ""
    outside: Outside | None = None
    volumes: Volumes | None = None
    runs: Versions = NO_VERSIONS

    @property
    def waits(self) -> str:
        """Why the engine's layer is not applied now, "" where it is."""
        return self.upgrade or self.lacking

    @property
    def dark(self) -> dict[str, str]:
        """Layer -> why its objects could not be read, or are not known yet."""
        silent = {**self.down, **self.unreachable}
        unread = {one.layer.name: silent[one.layer.target] for one in self.desired if one.layer.target in silent}
        return {**unread, **self.fetching}


def gather(assignment: Assignment, facts: Facts, now: float, reader: Reader) -> Gathered:
    """Read all that the plan of one cluster needs, and amend what is desired. Raises NidusError only where the leftovers of an
    engine cannot be listed."""
    bundle, record, host = assignment.bundle, assignment.state.record, Target(facts.host.name)
    situation, run = Situation(bundle, record, assignment.requests, now), running(record)
    sleeping = decide(situation)
    situation = replace(situation, sleeping=sleeping)
    own = tuple(one for one in assignment.requests if one.expires > now and one.cluster == bundle.cluster)
    private = rendering.Private(bundle, assignment.state, facts.salt, own, facts.host.share, {}, now)
    rendered, broken, fetching = rendering.render(bundle, reader, private)
    known = rendering.scopes(rendered, reader)
    rendered, twice = rendering.distinct(rendered, known)
    desired = rendering.desired(bundle, rendered, known, record.nonce)
    desired = (*desired, *rendering.stored(bundle, desired, record.nonce, private))
    leaves, unsure = departing.read(assignment, desired, reader, facts, now)
    entries = scope.settled(assignment.state.entries, known)
    entries = (*entries, *leftovers.claims(bundle, entries, reader, host))
    more = hook_runs.pending((*desired, *leaves), record.hooks)
    seen = observe(bundle, desired, entries, reader, later(sleeping), more)
    growing = volumes.read(assignment, desired, seen.objects, reader, host)
    amended = amend(replace(situation, volumes=growing), desired, seen.objects)
    desired, absent = amended.desired, leftovers.absent(bundle, amended.absent, entries, reader, host)
    entries = (*entries, *absent.claims(entries))
    if run is not None:
        at = {key: layer.name for key, (layer, _) in suspects.firsts(desired).items()}
        entries = taken_over(run, entries, seen.objects, at)
    objects = {**seen.objects, **{(one.target, one.ref): one for one in absent.found}}
    observed, silent = dry_run(desired, objects, entries, assignment.memory.settled, reader)
    unreachable = {**seen.unreachable, **silent}
    goes = frozenset((one.target, one.ref) for one in absent.found)
    return Gathered(
        (*desired, *leaves),
        observed,
        {**broken, **twice, **unsure},
        unreachable,
        seen.down,
        entries,
        sleeping,
        goes,
        absent.staying,
        fetching=fetching,
        upgrade=amended.stops,
        lacking=""
        if sleeping.asleep
        else sandbox.missing(desired, reader, host) or (growing.refused if growing else ""),
        volumes=growing,
        runs=amended.runs,
    )
