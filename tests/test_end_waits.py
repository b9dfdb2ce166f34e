"""An end by ttl waits where it would pass over what Git says to keep: the newest document of the cluster, which is held, breaks a rule
or cannot be read, puts the end off, protects the cluster or destroys less (O6, V4)."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model import ClusterDocument, Deletion, Expiry, Expose, Suspend, Tombstone, Violation, replace
from reconciler.operations import expiry
from tests.examples import examples
from tests.fleets import NOW, B, accepted, admit, cluster, record, snapshot
from tests.memory.failures import answer
from tests.passes import Fleet
from tests.test_called_off import BROKEN, HOLD, KEPT, at_first_delete, engine, files, later, made, there
from tests.test_expiry import HOUR

__all__ = ["made"]

LONG = 1000 * HOUR
HARSH = ["Orphan", "Retain", "Delete"]
TTLS, GRACES = ["", "1h", "200h"], ["", "0s", "1h", "48h"]
DELETIONS = st.builds(
    Deletion,
    policy=st.sampled_from(HARSH),
    protect=st.booleans(),
    grace=st.sampled_from(GRACES),
    ttl=st.sampled_from(TTLS),
)
MISTAKE = Violation("clusters/a.yaml", 2, 5, "NID1", "wrong", subject="cluster/a")
NOT_EXPOSED = Expose()
SUSPENDS = st.sampled_from([None, None, None, Suspend("stop")])


def document(deletion: Deletion, suspend: Suspend | None = None, expose: Expose = NOT_EXPOSED) -> ClusterDocument:
    return cluster("a", deletion=deletion, suspend=suspend, expose=expose)


def harsh(one: Deletion) -> tuple[float, float, int]:
    """How early and how much an end destroys: greater is harsher."""
    hours = {"": 24.0, "0s": 0.0, "1h": 1.0, "48h": 48.0}
    return -float(one.ttl.rstrip("h") or "inf"), -hours[one.grace], HARSH.index(one.policy)


@examples(300)
@given(
    old=DELETIONS.filter(lambda one: bool(one.ttl) and not one.protect),
    new=DELETIONS,
    suspend=SUSPENDS,
    state=st.sampled_from(["held", "rewritten", "refused", "broken", "unparsed", "same"]),
    begun=st.booleans(),
)
def test_an_end_is_carried_out_only_where_the_newest_document_keeps_nothing(
    old: Deletion, new: Deletion, suspend: Suspend | None, state: str, begun: bool
) -> None:
    """Whatever is wrong with that document; a stricter one changes nothing."""
    by, newest = document(old), document(new, suspend)
    grave = Tombstone(NOW - 5, NOW - 5, old.policy, protect=False, expired=True) if begun else None
    known = {
        "a": record("a", expiry=Expiry(expiry.ttl_of(by), NOW - LONG), tombstone=grave),
        "b": record("b"),
        "x": record("x", source="other", hosts=("x.example.com",)),
    }
    found = {
        "held": snapshot(document(new, suspend, Expose(type="Ingress", host="x.example.com")), B),
        "rewritten": snapshot(newest, descends=False),
        "refused": snapshot(B, violations=(MISTAKE,), refused={"a": newest}),
        "broken": snapshot(B, violations=(MISTAKE,)),
        "unparsed": snapshot(B, violations=(replace(MISTAKE, subject=""),)),
        "same": snapshot(by, B),
    }[state]
    rollout = admit(found, accepted(by, B), known)
    keeps = new.protect or suspend is not None or any(n < o for n, o in zip(harsh(new), harsh(old), strict=True))
    if state in ("broken", "unparsed") or (keeps and state != "same"):
        assert "a" not in rollout.tombstones and ("a" in rollout.admitted) is not begun  # what began is not made again
        assert rollout.held["a"].end and "its end waits, because" in rollout.held["a"].message
    elif state == "rewritten":  # nothing begins
        assert ("a" in rollout.tombstones) is begun
    else:
        assert rollout.tombstones["a"].policy == old.policy
        assert "a" not in rollout.held or not rollout.held["a"].end


def wrong(texts: dict[str, str]) -> dict[str, str]:
    """With a field that there is not."""
    return {**texts, "a.yaml": texts["a.yaml"].replace('"spec":{', '"spec":{"nonsense":1,', 1)}


def unlawful(texts: dict[str, str]) -> dict[str, str]:
    """With a profile that there is not: every field can be read."""
    return {**texts, "a.yaml": texts["a.yaml"].replace('"profiles":[{"name":"web"', '"profiles":[{"name":"no"', 1)}


KEEPING: dict[str, dict[str, str]] = {
    "longer, shorter grace": files(ttl="200h", grace="0s"),
    "protected, shorter ttl": files(ttl="1h", protect=True),
    "softer, shorter grace": files(ttl="48h", policy="Retain", grace="0s"),
    "no ttl, a wrong field": wrong(files()),
    "no ttl, breaks a rule": unlawful(files()),
    "protected, breaks a rule": unlawful(files(ttl="48h", protect=True)),
    "broken YAML": {**files(), "a.yaml": BROKEN["x.yaml"]},
    "twice": {**files(), "more/a.yaml": files(ttl="48h")["a.yaml"]},
}


def ending(made: Callable[..., Fleet]) -> Fleet:
    """A cluster that ends in 48 hours, by an approval."""
    fleet = made(HOLD, ttl="48h")
    fleet.run()
    return fleet


def home(fleet: Fleet) -> str:
    found = fleet.host.get("", "Namespace", "", "vcluster-a")
    return found["metadata"]["uid"] if found is not None else ""


@pytest.mark.parametrize("case", KEEPING)
def test_what_git_says_to_keep_is_not_destroyed(made: Callable[..., Fleet], case: str) -> None:
    """The controller and `nidus plan` say why the end waits; by the file as it was it comes."""
    fleet = ending(made)
    first = home(fleet)
    fleet.push(KEEPING[case])
    for _ in range(3):
        later(fleet, 26 * HOUR)
    fleet.restart()
    later(fleet, 26 * HOUR)
    assert (home(fleet), fleet.word("a")) == (first, "Expired")
    assert "its end waits, because" in fleet.condition("a").message
    planned = next(one for one in fleet.review().clusters if one.cluster == "a")
    assert planned.held is not None and planned.held.end == fleet.held["a"].end != ""
    assert planned.plan is not None and not planned.plan.consent.items
    fleet.push(files(ttl="48h"))
    later(fleet, HOUR)
    assert not there(fleet)


STRICTER = {
    "sooner and harsher, held": files(ttl="1h", grace="0s"),
    "sooner, breaks a rule": unlawful(files(ttl="1h", grace="0s")),
    "the same, breaks a rule": unlawful(files(ttl="48h")),
    "the same, beside somebody else's broken file": {**files(ttl="48h"), **BROKEN},
}


@pytest.mark.parametrize("case", STRICTER)
def test_what_is_stricter_changes_nothing(made: Callable[..., Fleet], case: str) -> None:
    fleet = ending(made)
    fleet.push(STRICTER[case])
    for _ in range(4):
        later(fleet, 13 * HOUR)
    assert not there(fleet)


@pytest.mark.parametrize("case", KEEPING)
@pytest.mark.parametrize("restarts", [False, True])
def test_an_end_that_began_stays_where_it_is(made: Callable[..., Fleet], case: str, restarts: bool) -> None:
    """It is neither carried on nor called off, and is said."""
    fleet = ending(made)
    later(fleet, 48 * HOUR + 1)
    fleet.host.fail(answer(500), lambda call: call.verb == "delete" and call.kind == "Namespace", times=None)
    later(fleet, HOUR)
    assert there(fleet) and not engine(fleet)
    fleet.host.heal()
    fleet.push(KEEPING[case])
    if restarts:
        fleet.restart()
    for _ in range(2):
        later(fleet, HOUR)
        assert (there(fleet), engine(fleet), fleet.word("a")) == (True, False, "Held")
    assert fleet.held["a"].message in fleet.condition("a").message
    planned = next(one for one in fleet.review().clusters if one.cluster == "a")
    told = planned.held.message if planned.held else planned.unseen
    assert fleet.held["a"].message in told and planned.plan is None
    fleet.push(files(ttl="48h"))
    later(fleet, HOUR)
    assert not there(fleet)


@pytest.mark.parametrize("case", ["longer, shorter grace", "no ttl, a wrong field"])
def test_an_end_that_is_put_off_while_it_is_carried_out_goes_no_further(made: Callable[..., Fleet], case: str) -> None:
    """Not by one object; once that document is admitted, what is gone is made again."""
    fleet = ending(made)
    later(fleet, 48 * HOUR + 1)
    fleet.now += HOUR
    fleet.admit()
    found = at_first_delete(fleet.host, lambda: fleet.push(KEEPING[case]))
    fleet.run()
    assert (len(found), there(fleet), fleet.word("a")) == (1, True, "Held")
    if fleet.held["a"].consent:
        fleet.ask("approve", consent=fleet.held["a"].consent)
        fleet.admit()
    else:
        fleet.push(files())
    fleet.run()
    assert (fleet.word("a"), fleet.held) == ("Ready", {})


@pytest.mark.parametrize("restored", [False, True])
def test_what_was_asked_is_asked_still_while_a_file_cannot_be_read(made: Callable[..., Fleet], restored: bool) -> None:
    """An approval given meanwhile counts; where the file is back, it does not."""
    fleet = made(HOLD)
    fleet.push(KEPT)
    asked = fleet.held["a"].consent
    fleet.push({**KEPT, **BROKEN})
    fleet.run()
    assert (fleet.held["a"].reason, fleet.held["a"].consent) == ("Unparsed", asked)
    fleet.ask("approve", consent=asked)
    fleet.admit()
    assert (fleet.held["a"].reason, fleet.held["a"].consent) == ("Unparsed", asked)
    if restored:
        fleet.push(files())
    fleet.push(KEPT)
    assert ("a" in fleet.held) is restored


def test_a_name_that_cannot_be_told_apart_is_not_read(made: Callable[..., Fleet]) -> None:
    """A document that breaks a rule does not count where another of its name cannot be read."""
    fleet = made(ttl="48h")
    both = {**unlawful(files(ttl="48h")), "more/a.yaml": wrong(files(ttl="48h"))["a.yaml"]}
    fleet.git.commit(unlawful(files(ttl="48h")))
    assert set(fleet.git.read(fleet.git.newest, fleet.rules).refused) == {"a"}
    fleet.git.commit(both)
    assert fleet.git.read(fleet.git.newest, fleet.rules).refused == {}
