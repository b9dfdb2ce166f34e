"""Plans in numbers: the last line of every rendering, and whether the numbers are the whole truth."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from msgspec import Struct

from reconciler.errors import few, printable
from reconciler.model import Change, ClusterReview, Review

ALWAYS = ("create", "configure", "delete")
WORDS: Mapping[str, str] = {
    "create": "to create",
    "configure": "to configure",
    "delete": "to delete",
    "replace": "to replace",
    "adopt": "to adopt",
    "hold": "held",
}
NAMED = 5  # clusters that the last line names
UNREAD = "NotObserved"
REFUSED = frozenset({"Refused", "VersionNotServed"})


class Totals(Struct, frozen=True):
    """A review in numbers. `changes`: action -> how many, all six of WORDS. `held`: clusters that wait as a whole, where no single
    changes are counted as held. `unknown` and `later` are layers (`later` alone is no failure), `unread` objects, `refused` those
    that the server would not take, `unseen` the names of clusters, `documents` those whose document changes in a way that
    no object shows."""

    changes: Mapping[str, int]
    clusters: int = 0
    held: int = 0
    unknown: int = 0
    later: int = 0
    unread: int = 0
    refused: int = 0
    unseen: tuple[str, ...] = ()
    violations: int = 0
    suspended: int = 0
    documents: int = 0

    @property
    def complete(self) -> bool:
        """Whether everything that could be looked at was."""
        return not (self.unknown or self.unread or self.unseen)

    @property
    def failed(self) -> bool:
        """Whether something was not planned that should have been, would fail, or the documents have mistakes."""
        return not self.complete or self.refused > 0 or self.violations > 0

    @property
    def waits(self) -> bool:
        """Whether a human has to decide something."""
        return self.held > 0 or self.changes["hold"] > 0

    @property
    def moves(self) -> bool:
        """Whether anything would change."""
        return any(self.changes.values()) or self.later > 0 or self.documents > 0


def counts(changes: Iterable[Change]) -> dict[str, int]:
    """How many changes of each action that a reader must know of; all six keys, in the order of the last line."""
    found = dict.fromkeys(WORDS, 0)
    for change in changes:
        if change.action in found:
            found[change.action] += 1
    return found


def totals(review: Review) -> Totals:
    """The numbers of a review; every rendering shows these."""
    return _counted(review.clusters, len(review.violations))


def _counted(clusters: Sequence[ClusterReview], violations: int = 0) -> Totals:
    changes = [change for one in clusters if one.plan for change in one.plan.changes]
    return Totals(
        counts(changes),
        sum(one.plan is not None for one in clusters),
        sum(one.held is not None and not _holds(one) for one in clusters),
        sum(len(one.failed) for one in clusters),
        sum(len(one.later) for one in clusters),
        sum(change.reason == UNREAD for change in changes),
        sum(change.reason in REFUSED for change in changes),
        tuple(one.cluster for one in clusters if one.unseen),
        violations,
        sum(bool(one.suspended) for one in clusters),
        sum(bool(one.declared) for one in clusters),
    )


def _holds(one: ClusterReview) -> bool:
    """Whether single changes of the cluster are held, which are counted themselves."""
    return one.plan is not None and any(change.action == "hold" for change in one.plan.changes)


def line(found: Totals) -> str:
    """`Plan: 2 to create, 1 to configure, 0 to delete`; what is replaced, adopted, held or not known is added when there is
    any. Where nothing is known there are no zeros."""
    zeros = ALWAYS if found.complete or any(found.changes.values()) else ()
    named = f": {_named(found.unseen)}" if found.unseen else ""
    told = ", ".join(_parts(found, zeros))
    return f"Plan{'' if found.complete else ' (incomplete)'}: {told}{named}"


def brief(one: ClusterReview) -> str:
    """The same of one cluster, without zeros: `2 to create, 1 layer unknown`."""
    found = _counted((one,))
    return ", ".join(_parts(found, ())) or "no changes"


def _parts(found: Totals, zeros: Collection[str]) -> Iterator[str]:
    for key, word in WORDS.items():
        if found.changes[key] or key in zeros:
            yield f"{found.changes[key]} {word}"
    for number, what, word in (
        (found.held, "cluster", "held"),
        (found.documents, "document", "changed"),
        (found.suspended, "cluster", "suspended"),
        (found.unknown, "layer", "unknown"),
        (found.unread, "object", "not read"),
        (found.refused, "object", "refused by the server"),
        (found.later, "layer", "known after the control plane is up"),
        (found.violations, "mistake", "in documents"),
        (len(found.unseen), "cluster", "not looked at"),
    ):
        if number:
            yield f"{many(number, what)} {word}"


def many(number: int, what: str) -> str:
    """`1 layer`, `2 layers`."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _named(names: tuple[str, ...]) -> str:
    return few([printable(name) for name in names], NAMED)
