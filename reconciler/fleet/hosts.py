"""Host names over all clusters of the controller: each belongs to the cluster that was accepted with it first."""

from collections.abc import Mapping
from dataclasses import replace

from reconciler.fleet.situation import Situation, holds_name
from reconciler.fleet.standing import documents
from reconciler.model import Content, Held, Record
from reconciler.spec import hosts

Claims = dict[str, frozenset[str]]
"""Cluster -> host names that it makes."""


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
    admitted. Of two that were accepted with one name, the older has it.
    """
    kept, held = dict(admitted), dict[str, Held]()
    others = _standing(situation, admitted)
    while takers := _takers(situation, kept, others, held):
        for name, why in takers.items():
            held[name] = why
            before = situation.accepted.get(name) if situation.accepted_document(name) else None
            if before is None:
                del kept[name]
            else:
                kept[name] = before
    return kept, held


def _standing(situation: Situation, admitted: Mapping[str, Content]) -> Claims:
    """The names of clusters that this revision does not admit: of other sources, and those that are removed or held."""
    return {
        name: _accepted(situation, name)
        for name, record in situation.records.items()
        if name not in admitted and holds_name(record)
    }


def _takers(
    situation: Situation, kept: Mapping[str, Content], others: Claims, held: Mapping[str, Held]
) -> dict[str, Held]:
    """The clusters with a name that is another's, but for those that are held already."""
    made = {name: hosts.names(content.specs.clusters[name].cluster) for name, content in kept.items()}
    found = {}

    def rank(one: hosts.Claim) -> tuple[bool, float, str]:
        return _rank(situation, one[1], one[0])

    for (name, host), rivals in hosts.collisions(others | made, rank):
        owner, claim = min((name, host), rivals[0], key=rank)
        if owner != name and name in kept and name not in held:
            found[name] = _taken(situation, kept, (name, host), (owner, claim))
    return found


def _rank(situation: Situation, host: str, name: str) -> tuple[bool, float, str]:
    """Who was accepted with the name comes first, the oldest of them before the others."""
    record = situation.records.get(name)
    return host not in _accepted(situation, name), record.born if record else situation.now, name


def _accepted(situation: Situation, name: str) -> frozenset[str]:
    """The names a cluster was accepted with; a record of an older format does not have them."""
    record, document = situation.records.get(name), situation.accepted_document(name)
    return frozenset(record.hosts if record else ()) | (hosts.names(document.cluster) if document else frozenset())


def _taken(situation: Situation, kept: Mapping[str, Content], taker: hosts.Claim, other: hosts.Claim) -> Held:
    (name, host), (owner, claim) = taker, other
    document, record = kept[name].specs.clusters[name], situation.records.get(owner)
    source = record.source if record else situation.snapshot.source
    told = f"{host} is" if host == claim else f"{host} meets {claim},"
    message = f"{document.path}: {told} the host name of {owner} of source {source}; choose another"
    return Held("HostTaken", message, stalls=True, waits_for=frozenset({host, claim, owner}))
