"""Who may delete, and when: the clusters that one commit of a source changed wait for each other (AD3). Called under the
registry's lock."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from reconciler import fleet
from reconciler.model import Destructive, Merge, Permit, Request, Reviewed, Rules, Snapshot, replace
from reconciler.plan.consent import counted


@dataclass(slots=True)
class Round:
    """The clusters whose bundle was changed last by one commit: who has not reported yet, and what those who did want to destroy.

    `review` is what was shown of the commit before it was merged, `consent` the approval that came with it (B5).
    `trailers` are those of this commit and of every later one: an approval may come in any of them (D3).
    """

    source: str
    commit: str
    revision: str
    tree: str = ""
    review: Reviewed | None = None
    consent: Request | None = None
    trailers: list[tuple[str, str]] = field(default_factory=list)
    pending: set[str] = field(default_factory=set)
    unready: set[str] = field(default_factory=set)
    destructive: dict[str, Destructive] = field(default_factory=dict)


class PruneGate:
    """The rounds of all sources. A cluster is in the round of the commit that changed it last, until it is forgotten."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._newest: dict[str, Round] = {}
        self._of: dict[str, Round] = {}

    def govern(self, rules: Rules) -> None:
        """Other budgets count from now on."""
        self._rules = rules

    def begin(
        self, snapshot: Snapshot, changed: Collection[str], pending: Collection[str], review: Reviewed | None = None
    ) -> frozenset[str]:
        """Put the `changed` clusters into the round of this commit. `pending` are those that will report what they want to destroy.

        Returns the clusters that an approval in its commits may concern: those that want to destroy something.
        """
        source, commit = snapshot.source, snapshot.revision.commit
        known = self._newest.get(source)
        newest = (
            known
            if known is not None and known.commit == commit
            else Round(source, commit, str(snapshot.revision), snapshot.oid, review)
        )
        self._newest[source] = newest
        for name in changed:
            self.forget(name)
            self._of[name] = newest
        newest.unready.update(changed)
        newest.pending.update(pending)
        rounds = {id(one): one for one in (newest, *self._of.values()) if one.source == source}
        for one in rounds.values():
            one.trailers += snapshot.trailers
        wanting = {name for one in rounds.values() for name in one.destructive}
        told = fleet.counting(snapshot.trailers, source, self._rules)
        return frozenset(wanting) if fleet.speaks(told) else frozenset()

    def ask(
        self,
        wanted: Destructive,
        requests: Sequence[Request],
        now: float,
        brought: Callable[[str], Collection[Merge | None]] = lambda name: (None,),
    ) -> tuple[Permit, tuple[str, ...]]:
        """A cluster reports what it wants to destroy; the permit as it is then, and the clusters that this may have released. `brought`:
        the change requests that brought what a cluster is to become, None for what none explains."""
        round_ = self._of.get(wanted.cluster)
        if round_ is None:
            return Permit(), ()
        last = round_.pending == {wanted.cluster}
        round_.pending.discard(wanted.cluster)
        round_.destructive.pop(wanted.cluster, None)
        if wanted.consent.items:
            round_.destructive[wanted.cluster] = wanted
        others = [name for name in round_.destructive if name != wanted.cluster] if last else []
        everybody = [round_.destructive[name] for name in sorted(round_.destructive)]
        requests = (*requests, round_.consent) if round_.consent else requests
        forges = [one for one in requests if one.change]  # each counts for one cluster, and not for the next one
        counting = [
            replace(one, cluster=name)
            for name in (round_.destructive if forges else ())
            for one in counted(forges, brought(name))
            if one.cluster in ("", name)
        ]
        requests = [*(one for one in requests if not one.change), *counting]
        review = round_.review if wanted.cluster in round_.unready else None  # once Ready, it is that commit no longer
        given = (requests, round_.trailers, self._rules, now, review)
        permit = fleet.permit(everybody, round_.source, frozenset(round_.pending), *given)
        return permit, tuple(others)

    def consented(self, source: str, commit: str, review: Reviewed, consent: Request) -> tuple[str, ...] | None:
        """What was shown of a commit was approved with it; the clusters that this may have released. None where no cluster is in the
        round of that commit, or it was not merged as shown."""
        found = [one for one in self._rounds(source, commit) if one.tree == review.tree]
        for one in found:
            one.review, one.consent = review, consent
        return tuple(sorted(name for one in found for name in one.destructive)) if found else None

    def unready(self, source: str, commit: str) -> tuple[str, ...] | None:
        """The clusters that a commit changed and that are not Ready since; None where it is not known, or newer ones changed them all."""
        found = self._rounds(source, commit)
        return tuple(sorted(set[str]().union(*(one.unready for one in found)))) if found else None

    def _rounds(self, source: str, commit: str) -> list[Round]:
        rounds = {id(one): one for one in (*self._newest.values(), *self._of.values())}
        return [one for one in rounds.values() if (one.source, one.commit) == (source, commit)]

    def excuse(self, cluster: str) -> tuple[str, ...]:
        """A cluster whose pass ended without a report blocks nobody; the clusters that this may have released."""
        round_ = self._of.get(cluster)
        if round_ is None or cluster not in round_.pending:
            return ()
        round_.pending.discard(cluster)
        return () if round_.pending else tuple(sorted(round_.destructive))

    def ready(self, cluster: str) -> str:
        """A cluster is Ready; the newest revision of its source, if it was the last one of that, else "" (T3)."""
        round_ = self._of.get(cluster)
        if round_ is None or cluster not in round_.unready:
            return ""
        round_.unready.discard(cluster)
        return round_.revision if not round_.unready and self._newest.get(round_.source) is round_ else ""

    def changing(self, source: str) -> tuple[str, ...]:
        """The clusters that the newest commit of a source changed and that are not Ready since."""
        newest = self._newest.get(source)
        return tuple(sorted(newest.unready)) if newest is not None else ()

    def forget(self, cluster: str) -> None:
        """A cluster is changed by another commit, or over: the round it was in does not wait for it."""
        round_ = self._of.pop(cluster, None)
        if round_ is not None:
            round_.pending.discard(cluster)
            round_.unready.discard(cluster)
            round_.destructive.pop(cluster, None)
