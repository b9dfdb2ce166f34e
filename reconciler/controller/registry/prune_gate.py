"""When deletions and replacements are permitted: one round per revision of a source, over all its clusters (AD3).
Called under the registry's lock."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from reconciler import fleet
from reconciler.model import Destructive, Permit, Request, Rules, Snapshot


@dataclass(slots=True)
class Round:
    """One revision of one source: the clusters that have not reported yet, and the deletions of those that have.
    `wanting` are clusters that reported some before."""

    trailers: tuple[tuple[str, str], ...]
    pending: set[str]
    unready: set[str]
    commit: str = ""
    wanting: frozenset[str] = frozenset()
    destructive: dict[str, Destructive] = field(default_factory=dict)


class PruneGate:
    """The rounds of all sources."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._rounds: dict[str, Round] = {}

    def begin(self, snapshot: Snapshot, changed: Iterable[str], pending: Iterable[str]) -> frozenset[str]:
        """Begin the round of this snapshot. `pending` are those of the `changed` clusters that will report their
        deletions.

        Returns the clusters that an approval in its commits may concern: those that wanted deletions before.
        """
        last, commit = self._rounds.get(snapshot.source), snapshot.revision.commit
        wanting = (last.wanting | last.destructive.keys()) if last else frozenset[str]()
        same = last.trailers if last and last.commit == commit else ()  # the same commit, admitted once more
        trailers = snapshot.trailers or same
        self._rounds[snapshot.source] = Round(trailers, set(pending), set(changed), commit, wanting)
        return wanting if fleet.speaks(snapshot.trailers) else frozenset()

    def ask(
        self, source: str, wanted: Destructive, requests: Sequence[Request], now: float
    ) -> tuple[Permit, tuple[str, ...]]:
        """A cluster reports its deletions and replacements. Returns its permit, and the clusters that this may have
        released."""
        round_ = self._rounds.get(source)
        if round_ is None:
            return Permit(), ()
        last = round_.pending == {wanted.cluster}
        round_.pending.discard(wanted.cluster)
        round_.destructive.pop(wanted.cluster, None)
        if wanted.consent.items:
            round_.destructive[wanted.cluster] = wanted
        others = [name for name in round_.destructive if name != wanted.cluster] if last else []
        everybody = [round_.destructive[name] for name in sorted(round_.destructive)]
        permit = fleet.permit(everybody, frozenset(round_.pending), requests, round_.trailers, self._rules, now)
        return permit, tuple(others)

    def excuse(self, source: str, cluster: str) -> tuple[str, ...]:
        """A cluster whose pass ended without a report does not block others. Returns the clusters that this may have
        released."""
        round_ = self._rounds.get(source)
        if round_ is None or cluster not in round_.pending:
            return ()
        round_.pending.discard(cluster)
        return () if round_.pending else tuple(sorted(round_.destructive))

    def ready(self, source: str, cluster: str) -> bool:
        """A cluster of the current revision is Ready. Returns whether it was the last one (T3)."""
        round_ = self._rounds.get(source)
        if round_ is None or cluster not in round_.unready:
            return False
        round_.unready.discard(cluster)
        return not round_.unready
