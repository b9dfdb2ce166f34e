"""fleet.permit: which deletions and replacements of objects go (AD3, P7, D3)."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler import fleet
from reconciler.fleet.approvals import consent_of
from reconciler.model import Budget, Destructive, EngineChart, ObjectRef, Permit, Request, Rules, replace

NOW = 1000.0
RULES = Rules("vcluster-{name}", (EngineChart("0.36.1", "d", ()),), ("v1.36.0",))


def wants(cluster: str, count: int, size: int = 100, kind: str = "ConfigMap") -> Destructive:
    refs = tuple(ObjectRef("", kind, "ns", f"{cluster}-{index}") for index in range(count))
    return Destructive(cluster, consent_of(f"local {ref} uid delete" for ref in refs), refs, size)


def permit(
    *destructive: Destructive,
    pending: frozenset[str] = frozenset(),
    requests: tuple[Request, ...] = (),
    trailers: tuple[tuple[str, str], ...] = (),
    rules: Rules = RULES,
) -> Permit:
    return fleet.permit(destructive, "platform", pending, requests, trailers, rules, NOW)


def approve(one: Destructive, **fields: Any) -> Request:
    return replace(Request("approve", "platform", one.cluster, "ops", 0.0, 0.0, one.consent.digest), **fields)


@pytest.mark.parametrize(
    ("count", "size", "goes"),
    [(3, 3, True), (4, 3, False), (10, 100, True), (11, 100, False), (4, 45, True), (5, 49, False)],
)
def test_the_budget_is_the_larger_of_minimum_and_percent(count: int, size: int, goes: bool) -> None:
    one = wants("a", count, size)
    found = permit(one)
    assert found.released == (frozenset({one.consent.digest}) if goes else frozenset())
    assert [held.reason for held in found.held.values()] == ([] if goes else ["ObjectBudget"])


def test_the_budget_is_the_operators() -> None:
    strict = replace(RULES, budget=Budget(objects_percent=0, objects_minimum=0))
    assert not permit(wants("a", 1), rules=strict).released
    assert permit(wants("a", 100), rules=replace(RULES, budget=Budget(objects_percent=100))).released


@pytest.mark.parametrize("kind", ["CustomResourceDefinition", "PersistentVolumeClaim", "Namespace"])
def test_what_holds_others_or_data_always_waits(kind: str) -> None:
    one = wants("a", 1, 1000, kind)
    found = permit(one)
    assert found.released == frozenset()
    held = found.held[one.consent.digest]
    assert (held.reason, held.consent, held.items) == ("ObjectBudget", one.consent.digest, one.consent.items)
    assert permit(one, requests=(approve(one),)).released == {one.consent.digest}


def test_one_over_its_budget_holds_all() -> None:
    little, much = wants("a", 1), wants("b", 50)
    found = permit(little, much)
    assert found.released == frozenset()
    assert {digest: held.reason for digest, held in found.held.items()} == {
        little.consent.digest: "HeldTogether",
        much.consent.digest: "ObjectBudget",
    }
    assert permit(little, much, requests=(approve(much),)).released == {little.consent.digest, much.consent.digest}


def test_nothing_goes_before_everybody_reported() -> None:
    one = wants("a", 1)
    found = permit(one, pending=frozenset({"b"}))
    assert found.released == frozenset()
    assert found.held[one.consent.digest].reason == "Gathering"


def test_what_was_approved_does_not_wait_for_others() -> None:
    one = wants("a", 50)
    assert permit(one, pending=frozenset({"b"}), requests=(approve(one),)).released == {one.consent.digest}


@pytest.mark.parametrize(
    "fields",
    [{"kind": "sync"}, {"cluster": "b"}, {"expires": NOW}, {"consent": "other"}, {"consent": "", "items": ("x",)}],
)
def test_what_does_not_approve(fields: dict[str, Any]) -> None:
    one = wants("a", 50)
    assert permit(one, requests=(approve(one, **fields),)).released == frozenset()


def test_a_wider_approval_and_a_trailer_approve() -> None:
    one, wider = wants("a", 50), wants("a", 60)
    within = approve(one, consent="", items=wider.consent.items)
    assert permit(one, requests=(within,)).released == {one.consent.digest}
    trailers = (("Nidus-Approve", one.consent.digest),)
    assert permit(one, trailers=trailers).released == {one.consent.digest}


def test_nothing_destructive_needs_nothing() -> None:
    assert permit() == permit(wants("a", 0)) == Permit()


REPORTED = st.lists(
    st.builds(
        wants,
        st.sampled_from("abcd"),
        st.integers(0, 12),
        st.integers(0, 200),
        st.sampled_from(["ConfigMap", "Secret", "Namespace"]),
    ),
    max_size=4,
    unique_by=lambda one: one.cluster,
)


@given(REPORTED, st.lists(st.integers(0, 3), max_size=3), st.frozensets(st.sampled_from("xy")))
def test_permit_is_monotone(reported: list[Destructive], picks: list[int], pending: frozenset[str]) -> None:
    requests = tuple(approve(reported[pick]) for pick in picks if pick < len(reported))
    bare = permit(*reported, pending=pending)
    more = permit(*reported, pending=pending, requests=requests)
    assert bare.released <= more.released
    assert more.released <= permit(*reported, requests=requests).released
    fewer = permit(*reported[:-1], pending=pending)
    assert all(digest in fewer.released for one in reported[:-1] if (digest := one.consent.digest) in bare.released)


@given(REPORTED, st.frozensets(st.sampled_from("xy")))
def test_every_set_is_released_or_held(reported: list[Destructive], pending: frozenset[str]) -> None:
    found = permit(*reported, pending=pending)
    digests = {one.consent.digest for one in reported if one.consent.items}
    assert found.released | set(found.held) == digests
    assert not found.released & set(found.held)


@given(REPORTED)
def test_nothing_over_budget_goes_unapproved(reported: list[Destructive]) -> None:
    found = permit(*reported)
    for one in reported:
        if one.consent.items and one.consent.digest in found.released:
            assert len(one.refs) <= max(3, one.size * 10 // 100)
            assert all(ref.kind != "Namespace" for ref in one.refs)
