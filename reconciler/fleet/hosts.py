"""Host names over all clusters of the controller: each belongs to the cluster that was accepted with it first."""

from collections.abc import Collection, Iterator, Mapping

from reconciler.fleet.situation import Situation, holds_name
from reconciler.fleet.standing import documents
from reconciler.model import Content, Held, Record, replace
from reconciler.spec import hosts
from reconciler.spec.claims import Claim, Claims


def names(accepted: Mapping[str, Content]) -> frozenset[str]:
    """The names that accepted clusters have: their own, and those of hosts."""
    return frozenset(accepted).union(*(hosts.names(one.cluster) for one in documents(accepted).values()))


def hosted(records: Mapping[str, Record], accepted: Mapping[str, Content]) -> dict[str, Record]:
    """The records with the host names of what is enforced now: a pass may not have stored them yet, and a record of an
    older format has none."""
    known = {name: hosts.sorted_names(one.cluster) for name, one in documents(accepted).items()}
    return {
        name: record if known.get(name, record.hosts) == record.hosts else replace(record, hosts=known[name])
        for name, record in records.items()
    }


def settle(situation: Situation, admitted: Mapping[str, Content]) -> tuple[dict[str, Content], dict[str, Held]]:
    """The admitted clusters, and why some of them are held: another cluster has their host name.

    A held cluster stays as it was accepted, and keeps the names it had then; one that was never accepted is not
    admitted. Of two that were accepted with one name, the older has it. Those that are held at once are judged before any
    of them gives its names back.
    """
    contest = _Contest(situation, admitted)
    takers = contest.takers()
    while takers:
        contest.held.update({name: contest.why(name) for name in takers})
        takers = contest.give_back(takers)
    return contest.kept, contest.held


class _Contest:
    """The clusters of one revision, and who is held. Every cluster is held once at most, so that a chain of clusters that wait for
    one another's names costs as much as its length."""

    def __init__(self, situation: Situation, admitted: Mapping[str, Content]) -> None:
        self._situation = situation
        self.kept, self.held = dict(admitted), dict[str, Held]()
        self._accepted: dict[str, frozenset[str]] = {}
        self._made = {name: _names(content, name) for name, content in admitted.items()}
        mine = [(name, host) for name, hosts_ in self._made.items() for host in hosts_]
        self._free = Claims(mine, self._rank)  # of those that are not held
        self._all = Claims([*mine, *self._standing()], self._rank)

    def takers(self) -> list[str]:
        """The clusters with a name that another has."""
        return [name for name, made in self._made.items() if any(self._all.preceded((name, host)) for host in made)]

    def why(self, name: str) -> Held:
        """What a taker is told: of its last name that another has, in the order of names."""
        for claim in sorted(((name, host) for host in self._made[name]), key=hosts.by_name, reverse=True):
            other = self._all.preceded(claim)
            if other is not None:
                return _taken(self._situation, self.kept, claim, other)
        raise LookupError(name)

    def give_back(self, takers: Collection[str]) -> list[str]:
        """Put held clusters back to what was accepted of them. Returns the clusters with a name that one of these has by that."""
        given = [claim for name in takers for claim in self._revert(name)]
        return [*dict.fromkeys(other for claim in given for other, _ in self._free.following(claim))]

    def _revert(self, name: str) -> list[Claim]:
        """The claims that a held cluster makes again."""
        before = self._situation.accepted.get(name) if self._situation.accepted_document(name) else None
        made, again = self._made[name], _names(before, name) if before else frozenset[str]()
        if before is None:
            del self.kept[name]
        else:
            self.kept[name] = before
        for host in made:
            self._free.remove((name, host))
        for host in made - again:
            self._all.remove((name, host))
        given = [(name, host) for host in again - made]
        for claim in given:
            self._all.add(claim)
        return given

    def _standing(self) -> Iterator[Claim]:
        """The names of clusters that this revision does not admit: of other sources, and those that are removed or held."""
        for name, record in self._situation.records.items():
            if name not in self.kept and holds_name(record):
                yield from ((name, host) for host in self._had(name))

    def _rank(self, claim: Claim) -> tuple[bool, float, str]:
        """Who was accepted with the name comes first, the oldest of them before the others."""
        name, host = claim
        record = self._situation.records.get(name)
        return host not in self._had(name), record.born if record else self._situation.now, name

    def _had(self, name: str) -> frozenset[str]:
        """The names a cluster was accepted with; a record of an older format does not have them."""
        found = self._accepted.get(name)
        if found is None:
            record, document = self._situation.records.get(name), self._situation.accepted_document(name)
            found = frozenset(record.hosts if record else ())
            self._accepted[name] = found = found | (hosts.names(document.cluster) if document else frozenset())
        return found


def _names(content: Content, name: str) -> frozenset[str]:
    return hosts.names(content.specs.clusters[name].cluster)


def _taken(situation: Situation, kept: Mapping[str, Content], taker: Claim, other: Claim) -> Held:
    (name, host), (owner, claim) = taker, other
    document, record = kept[name].specs.clusters[name], situation.records.get(owner)
    source = record.source if record else situation.snapshot.source
    told = f"{host} is" if host == claim else f"{host} meets {claim},"
    message = f"{document.path}: {told} the host name of {owner} of source {source}; choose another"
    return Held("HostTaken", message, stalls=True, waits_for=frozenset({host, claim, owner}))
