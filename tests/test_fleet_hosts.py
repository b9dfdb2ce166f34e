"""fleet.admit: a host name belongs to the cluster that was accepted with it first, over all sources."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model import (
    ClusterDocument,
    Deletion,
    Expose,
    Record,
    Rollout,
    Sync,
    ToHost,
    Tombstone,
    Violation,
    replace,
)
from tests.fleets import RULES, A, admit, cluster, record, snapshot
from tests.fleets import accepted as contents


def exposed(name: str, host: str) -> ClusterDocument:
    return cluster(name, expose=Expose(type="Ingress", host=host))


def owners(rollout: Rollout) -> dict[str, str]:
    """Cluster -> host name that is enforced."""
    found = {}
    for name, content in rollout.admitted.items():
        found[name] = content.specs.clusters[name].cluster.spec.expose.host
    return found


def known(**hosts: str) -> dict[str, Record]:
    """Records of this source, the oldest first."""
    return {name: record(name, hosts=(host,), born=float(at)) for at, (name, host) in enumerate(hosts.items())}


def test_a_host_name_of_another_source_is_not_taken() -> None:
    records = {"x": record("x", source="other", hosts=("h.example.com",))}
    rollout = admit(snapshot(exposed("a", "h.example.com"), exposed("b", "b.example.com")), {}, records)
    assert owners(rollout) == {"b": "b.example.com"}
    held = rollout.held["a"]
    assert (held.reason, held.stalls, held.waits_for) == ("HostTaken", True, {"h.example.com", "x"})
    assert held.message == "clusters/a.yaml: h.example.com is the host name of x of source other; choose another"


def test_a_running_cluster_that_asks_for_it_stays_as_accepted() -> None:
    records = known(a="a.example.com") | {"x": record("x", source="other", hosts=("h.example.com",))}
    before = contents(exposed("a", "a.example.com"))
    rollout = admit(snapshot(exposed("a", "h.example.com")), before, records)
    assert rollout.admitted == before
    assert rollout.held["a"].reason == "HostTaken"
    assert rollout.tombstones == {}


def test_a_cluster_whose_end_waits_for_an_approval_keeps_the_name_it_gives_up() -> None:
    before = contents(exposed("a", "h.example.com"), exposed("b", "b.example.com"))
    ends = cluster("a", deletion=Deletion(ttl="1h"))
    rules = replace(RULES, unreviewed="Hold")
    rollout = admit(
        snapshot(ends, exposed("b", "h.example.com")), before, known(a="h.example.com", b="b.example.com"), rules=rules
    )
    assert {name: held.reason for name, held in rollout.held.items()} == {"a": "Unreviewed", "b": "HostTaken"}
    assert rollout.admitted == before


@pytest.mark.parametrize(("policy", "taken"), [("Retain", True), ("Delete", False), ("Orphan", False)])
def test_a_removed_cluster_gives_its_host_name_back(policy: str, taken: bool) -> None:
    """While it is being removed it has it; afterwards only where its data stays."""
    found = snapshot(exposed("a", "h.example.com"))
    for done in (False, True):
        gone = record("x", source="other", hosts=("h.example.com",), tombstone=Tombstone(0.0, 1.0, policy, False, done))
        assert ("a" in admit(found, {}, {"x": gone}).held) is (taken or not done)


def test_a_removal_of_this_source_keeps_it_until_it_is_over() -> None:
    records = known(x="h.example.com", z="z.example.com")
    before = contents(exposed("x", "h.example.com"), exposed("z", "z.example.com"))
    found = snapshot(exposed("a", "h.example.com"), exposed("z", "z.example.com"))
    rollout = admit(found, before, records)
    assert set(rollout.tombstones) == {"x"} and rollout.held["a"].reason == "HostTaken"


def test_a_name_moves_within_one_revision() -> None:
    records = known(a="1.example.com", b="2.example.com")
    before = contents(exposed("a", "1.example.com"), exposed("b", "2.example.com"))
    swapped = snapshot(exposed("a", "2.example.com"), exposed("b", "1.example.com"))
    assert owners(admit(swapped, before, records)) == {"a": "2.example.com", "b": "1.example.com"}


def test_who_cannot_move_holds_up_those_behind_it() -> None:
    """a wants b's name, b wants c's, and c's file is broken: all stay."""
    records = known(a="1.example.com", b="2.example.com", c="3.example.com")
    old = [exposed("a", "1.example.com"), exposed("b", "2.example.com"), exposed("c", "3.example.com")]
    broken = Violation("clusters/c.yaml", 3, 1, "NID1", "no such field", subject="cluster/c")
    found = snapshot(exposed("a", "2.example.com"), exposed("b", "3.example.com"), violations=(broken,))
    rollout = admit(found, contents(*old), records)
    assert owners(rollout) == {"a": "1.example.com", "b": "2.example.com", "c": "3.example.com"}
    assert {name: why.reason for name, why in rollout.held.items()} == {"a": "HostTaken", "b": "HostTaken"}


def test_of_two_that_have_one_name_already_the_older_has_it() -> None:
    """An installation of before: neither is changed, and the younger is told to choose another."""
    one, two = exposed("b", "h.example.com"), exposed("a", "h.example.com")
    records = {"b": record("b", born=1.0), "a": record("a", born=2.0)}
    rollout = admit(snapshot(one, two), contents(one, two), records)
    assert owners(rollout) == {"a": "h.example.com", "b": "h.example.com"}
    assert rollout.admitted["a"] == contents(one, two)["a"]
    assert set(rollout.held) == {"a"}
    freed = admit(snapshot(one, exposed("a", "other.example.com")), contents(one, two), records)
    assert owners(freed)["a"] == "other.example.com" and freed.held == {}


def test_a_cluster_without_a_host_name_has_no_part_in_it() -> None:
    assert admit(snapshot(A), {}, {"x": record("x", source="other", hosts=("h",))}).held == {}


def copying(name: str, host: str) -> ClusterDocument:
    return cluster(name, sync=Sync(to_host=ToHost(ingresses=True, ingress_hosts=(host,))))


def test_nobody_takes_a_domain_above_the_name_of_another() -> None:
    """The tenant of a cluster with ingress host `example.com` may make an Ingress for any name below."""
    records = {"x": record("x", source="other", hosts=("api.shop.example.com",))}
    held = admit(snapshot(copying("a", "shop.example.com"), copying("b", "example.com")), {}, records).held
    assert {name: why.reason for name, why in held.items()} == {"a": "HostTaken", "b": "HostTaken"}
    assert held["a"].message == (
        "clusters/a.yaml: *.shop.example.com meets api.shop.example.com, the host name of x of source other;"
        " choose another"
    )
    assert admit(snapshot(copying("a", "api.example.com"), copying("b", "p.example.com")), {}, records).held == {}


def test_nobody_takes_a_name_below_the_domain_of_another() -> None:
    old = copying("a", "example.com")
    records = {"a": record("a", born=1.0)}
    rollout = admit(
        snapshot(old, exposed("b", "api.shop.example.com"), copying("c", "x.example.com")), contents(old), records
    )
    assert set(rollout.admitted) == {"a"} and set(rollout.held) == {"b", "c"}


NAMES = st.sampled_from("abcdef")
HOSTS = st.sampled_from(["", "1", "2", "3"])


@given(st.dictionaries(NAMES, HOSTS), st.dictionaries(NAMES, HOSTS), st.dictionaries(st.sampled_from("xyz"), HOSTS))
def test_nobody_gets_a_name_that_another_has(before: Any, now: Any, elsewhere: Any) -> None:
    """Whatever was accepted: a name that a cluster gets by this revision is nobody else's then."""
    old = [exposed(name, host) for name, host in before.items()]
    records = {
        name: record(name, born=float(ord(name)), hosts=(host,) if host else ()) for name, host in before.items()
    }
    records |= {name: record(name, source="other", hosts=(host,) if host else ()) for name, host in elsewhere.items()}
    rollout = admit(snapshot(*(exposed(name, host) for name, host in now.items())), contents(*old), records)
    held = [one.hosts for name, one in records.items() if name not in rollout.admitted]
    for name, host in owners(rollout).items():
        others = [other for other in owners(rollout).items() if other[0] != name and other[1] == host]
        if host and before.get(name) != host:
            assert others == [] and (host,) not in held
    assert all(name in now for name in rollout.held if rollout.held[name].reason == "HostTaken")
