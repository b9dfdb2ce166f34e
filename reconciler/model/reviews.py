"""What `plan` and a review show: the plans of one revision, with all that could not be planned."""

from collections.abc import Mapping

from msgspec import Struct, field

from reconciler.model.fleet import Held, Revision, Tombstone, Violation
from reconciler.model.flow import FieldChange, Plan


class ClusterReview(Struct, frozen=True):
    """What a revision would do to one cluster.

    `plan` None: there is none, `held` or `unseen` says why. `unseen`: why the cluster was not looked at, "" where it was.
    `later`: those of the plan's unknown layers that wait for a control plane which does not exist yet; that is no failure.
    `declared`: what its document says differently and no object shows, such as its deletion policy.
    `suspended`: why a sync leaves the cluster alone, "" where it does not. `behind`: layers that wait for held ones before them.
    """

    cluster: str
    plan: Plan | None = None
    held: Held | None = None
    tombstone: Tombstone | None = None
    later: frozenset[str] = frozenset()
    unseen: str = ""
    suspended: str = ""
    behind: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    declared: tuple[FieldChange, ...] = ()

    @property
    def failed(self) -> Mapping[str, str]:
        """The layers that should have been planned and could not, with the reason."""
        unknown = self.plan.unknown if self.plan else {}
        return {layer: why for layer, why in unknown.items() if layer not in self.later}


class Review(Struct, frozen=True):
    """One revision of one source against one live host; `at` in seconds. Clusters are in the order of their names.

    `same`: how many further clusters would not change, by their documents, and were not looked at for that. `hidden`: how many of
    those looked at the reader did not ask for. `notes`: what else a reader must know, each one sentence. `warnings`: what is
    probably wrong in documents, and stops nothing.
    """

    source: str
    revision: Revision
    host: str
    at: float
    clusters: tuple[ClusterReview, ...] = ()
    violations: tuple[Violation, ...] = ()
    same: int = 0
    hidden: int = 0
    notes: tuple[str, ...] = ()
    warnings: tuple[Violation, ...] = ()
