"""fleet.hosts.settle: the same as by its definition, at a cost that grows as the clusters do, also where all wait in a row."""

import sys
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.fleet import hosts
from reconciler.fleet.situation import Situation, holds_name
from reconciler.model import ClusterDocument, Content, Expose, Sync, ToHost
from reconciler.spec.hosts import names
from tests.fleets import NOW, RULES, accepted, cluster, record, snapshot


def made(name: str, expose: str, below: tuple[str, ...]) -> ClusterDocument:
    """A cluster that exposes one name and copies Ingresses for others and what lies below them."""
    exposed = Expose(type="Ingress", host=expose) if expose else Expose()
    return cluster(name, expose=exposed, sync=Sync(to_host=ToHost(ingresses=bool(below), ingress_hosts=below)))


def of(content: Content, name: str) -> frozenset[str]:
    return names(content.specs.clusters[name].cluster)


def meet(one: str, other: str) -> bool:
    """`*.NAME` is all below NAME."""
    return one == other or any(
        upper.startswith("*.") and lower.removeprefix("*.").endswith(upper[1:])
        for upper, lower in ((one, other), (other, one))
    )


def by_definition(situation: Situation, admitted: Mapping[str, Content]) -> tuple[dict[str, Content], dict[str, str]]:
    """Again and again: whoever has a name that somebody else has before them is put back, all of them at once."""
    kept, held = dict(admitted), dict[str, str]()

    def had(name: str) -> frozenset[str]:
        found, document = situation.records.get(name), situation.accepted_document(name)
        names = of(situation.accepted[name], name) if document else frozenset[str]()
        return names | frozenset(found.hosts if found else ())

    def rank(name: str, host: str) -> tuple[Any, ...]:
        found = situation.records.get(name)
        return host not in had(name), found.born if found else situation.now, name, name, host

    others = {name: had(name) for name, one in situation.records.items() if name not in admitted and holds_name(one)}
    while True:
        now = others | {name: of(content, name) for name, content in kept.items()}
        taken = {}
        for name in kept.keys() - held.keys():
            for host in sorted(now[name], key=lambda one: (one.startswith("*."), one)):
                rivals = [(rank(other, claim), other, claim) for other, claims in now.items() for claim in claims
                          if other != name and meet(host, claim) and rank(other, claim) < rank(name, host)]  # fmt: skip
                if rivals:
                    _, owner, claim = min(rivals)
                    taken[name] = f"{host} {'is' if host == claim else f'meets {claim},'} the host name of {owner}"
        if not taken:
            return kept, held
        held |= taken
        for name in taken:
            if situation.accepted_document(name):
                kept[name] = situation.accepted[name]
            else:
                del kept[name]


HOSTS = ["a.x", "b.x", "c.b.x", "x", "b.y", "y"]
WISHES = st.tuples(st.sampled_from(["", *HOSTS]), st.lists(st.sampled_from(HOSTS), max_size=2, unique=True).map(tuple))
FLEETS = st.dictionaries(st.sampled_from("abcdefgh"), WISHES, max_size=8)
BORN = st.lists(st.integers(0, 3), min_size=8, max_size=8)


def settled(before: Any, now: Any, elsewhere: Any, born: list[int]) -> tuple[Situation, Mapping[str, Content]]:
    old = accepted(*(made(name, *wish) for name, wish in before.items()))
    records = {
        name: record(name, born=float(born[ord(name) - ord("a")]), hosts=tuple(sorted(of(content, name))))
        for name, content in old.items()
    }
    records |= {name: record(name, source="other", hosts=(host,)) for name, host in elsewhere.items() if host}
    wanted = accepted(*(made(name, *wish) for name, wish in now.items()))
    return Situation(snapshot(), old, records, (), RULES, NOW), wanted


@given(FLEETS, FLEETS, st.dictionaries(st.sampled_from("xyz"), st.sampled_from(HOSTS)), BORN)
def test_it_is_what_its_definition_says(before: Any, now: Any, elsewhere: Any, born: list[int]) -> None:
    situation, wanted = settled(before, now, elsewhere, born)
    kept, held = hosts.settle(situation, wanted)
    simply, why = by_definition(situation, wanted)
    assert kept == simply
    told = {name: one.message.partition(": ")[2].partition(" of source")[0] for name, one in held.items()}
    assert told == why


def chain(count: int) -> tuple[Situation, Mapping[str, Content]]:
    """Each wants the name of the next one, and the last one's is another's: one after the other stays."""
    names = [f"c{number:05}" for number in range(count)]
    old = accepted(*(made(name, f"{name}.x", ()) for name in names))
    records = {name: record(name, born=float(at), hosts=(f"{name}.x",)) for at, name in enumerate(names)}
    records["z"] = record("z", source="other", hosts=("z.x",))
    following = [*names[1:], "z"]
    wanted = accepted(*(made(name, f"{after}.x", ()) for name, after in zip(names, following, strict=True)))
    return Situation(snapshot(), old, records, (), RULES, NOW), wanted


def one_domain(count: int) -> tuple[Situation, Mapping[str, Content]]:
    """All want names below the domain of the oldest."""
    names = [f"c{number:05}" for number in range(count)]
    old = accepted(made("first", "", ("x",)))
    records = {"first": record("first", born=1.0, hosts=("*.x", "x"))}
    wanted = accepted(made("first", "", ("x",)), *(made(name, f"{name}.x", ()) for name in names))
    return Situation(snapshot(), old, records, (), RULES, NOW), wanted


def calls(situation: Situation, wanted: Mapping[str, Content], expected: int) -> int:
    """How many functions of Python are called to settle it."""
    count = 0

    def seen(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(seen)
    try:
        _, held = hosts.settle(situation, wanted)
    finally:
        sys.setprofile(None)
    assert len(held) == expected
    return count


@pytest.mark.parametrize("made_of", [chain, one_domain])
def test_twice_as_many_cost_twice_as_much(made_of: Callable[[int], tuple[Situation, Mapping[str, Content]]]) -> None:
    few, many = (calls(*made_of(count), count) for count in (100, 400))
    assert many < few * 5
