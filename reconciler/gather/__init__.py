"""Everything a pass reads before it decides: render, observe, dry-run. Writes nothing.

What could not be read is returned as a value and never taken as absent: `broken` layers, `unreachable` and `down`
targets, unplaced objects.
"""

from collections.abc import Mapping

from msgspec import Struct

from reconciler.assignment import Assignment, Facts
from reconciler.gather import leftovers, scope
from reconciler.gather import render as rendering
from reconciler.gather.dry_run import dry_run
from reconciler.gather.observe import observe
from reconciler.gather.reader import Key as Key
from reconciler.gather.reader import Reader as Reader
from reconciler.gather.reader import beating as beating
from reconciler.model import Desired, InventoryEntry, Observed, Target


class Gathered(Struct, frozen=True):
    """What a pass knows when it plans. `broken`: layer -> why it could not be rendered. `unreachable`: target -> why it did not
    answer; `down`: nested targets whose control plane is not up. `entries`: the inventory under the objects' real names, with
    what the engine of a removed cluster left."""

    desired: tuple[Desired, ...]
    observed: Mapping[Key, Observed]
    broken: Mapping[str, str]
    unreachable: Mapping[Target, str]
    down: Mapping[Target, str]
    entries: tuple[InventoryEntry, ...]

    @property
    def dark(self) -> dict[str, str]:
        """Layer -> why its objects could not be read or rendered."""
        silent = {**self.down, **self.unreachable}
        return {one.layer.name: silent[one.layer.target] for one in self.desired if one.layer.target in silent}


def gather(assignment: Assignment, facts: Facts, reader: Reader) -> Gathered:
    """Read all that the plan of one cluster needs. Raises NidusError only where the leftovers of a removal cannot be listed."""
    bundle, nonce = assignment.bundle, assignment.state.record.nonce
    rendered, broken = rendering.render(bundle, reader)
    known = rendering.scopes(rendered, reader)
    desired = rendering.desired(bundle, rendered, known, nonce)
    entries = scope.settled(assignment.state.entries, known)
    entries = (*entries, *leftovers.claims(bundle, entries, reader, Target(facts.host.name)))
    seen = observe(bundle, desired, entries, reader)
    observed, silent = dry_run(desired, seen.objects, entries, assignment.memory.settled, reader)
    return Gathered(desired, observed, broken, {**seen.unreachable, **silent}, seen.down, entries)
