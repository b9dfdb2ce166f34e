"""Clusters with a ttl: warned, asleep at the end, removed after the grace, and not born again (O6). The clock is the test's own."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from reconciler.inventory import requests
from reconciler.model import replace
from reconciler.report import bodies
from tests.passes import HOME, RULES, START, Fleet, cluster, config_map, pack, profile
from tests.test_sleep import engine

HOUR, DAY = 3600.0, 86400.0
TTL = {"ttl": "72h", "policy": "Delete", "grace": "2h"}
ENDS = 72 * HOUR


def files(names: str = "az", **deletion: Any) -> dict[str, str]:
    packs = profile(pack("base", config_map("greeting", text="one")))
    made = {f"{name}.yaml": cluster(name, deletion=deletion) for name in names if name != "z"}
    return {"p.yaml": packs, "z.yaml": cluster("z"), **made}


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    made = Fleet()
    yield made
    made.close()


def standing(fleet: Fleet, names: str = "az", **deletion: Any) -> Fleet:
    fleet.push(files(names, **deletion))
    fleet.run()
    assert {fleet.word(name) for name in names} == {"Ready"}
    return fleet


def at(fleet: Fleet, seconds: float) -> str:
    """Time passes until then; the word of cluster a."""
    fleet.now = seconds
    fleet.run()
    return fleet.word("a") if "a" in fleet.reporter.clusters else "gone"


def status(fleet: Fleet, key: str, name: str = "a") -> Any:
    return bodies.cluster(fleet.reporter.clusters[name])[1].get(key)


def ends(fleet: Fleet, name: str = "a") -> float:
    """When it ends, in seconds after the start."""
    state = fleet.state(name)
    assert state is not None and state.record.expiry is not None
    return state.record.expiry.ends - START


def extend(fleet: Fleet, until: float, name: str = "a", *, run: bool = True) -> None:
    """`nidus extend`: a request that stands until the new end. Without `run` it is heard, and no pass goes on."""
    end = datetime.fromtimestamp(START + until, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    spec = {"kind": "extend", "who": "ann", "cluster": name, "expires": end}
    meta = {"name": f"extend-{fleet.now}", "namespace": HOME}
    fleet.host.put({"apiVersion": requests.API, "kind": "Request", "metadata": meta, "spec": spec})
    fleet.unheard = True
    if run:
        fleet.run()
    else:
        fleet.look()


def told(fleet: Fleet) -> list[str]:
    """The warnings of its end, as Events."""
    events = fleet.host.objects("events.k8s.io", "Event", HOME)
    return [one["note"] for one in sorted(events, key=lambda one: one["eventTime"]) if one["reason"] == "Expires"]


def test_it_warns_sleeps_and_goes(fleet: Fleet) -> None:
    standing(fleet, **TTL)
    assert (ends(fleet), status(fleet, "expiryWarning")) == (ENDS, None)
    assert status(fleet, "expiresAt").startswith(datetime.fromtimestamp(START + ENDS, UTC).strftime("%Y-%m-%dT%H:%M"))
    assert (at(fleet, ENDS - DAY - 60), status(fleet, "expiryWarning")) == ("Ready", None)
    assert (at(fleet, ENDS - DAY + 1), status(fleet, "expiryWarning")) == ("Ready", "day")
    assert (at(fleet, ENDS - HOUR + 1), status(fleet, "expiryWarning")) == ("Ready", "hour")
    assert at(fleet, ENDS + 1) == "Expired"
    assert engine(fleet)[0] == 0
    ready, stalled = fleet.condition("a"), fleet.condition("a", "Stalled")
    assert (ready.status, ready.reason, stalled.status) == ("False", "Expired", "False")
    assert "policy Delete is carried out at" in ready.message
    assert at(fleet, ENDS + HOUR) == "Expired"
    assert fleet.host.get("", "Namespace", "", "vcluster-a") is not None
    at(fleet, ENDS + 2 * HOUR + 1)
    assert fleet.host.get("", "Namespace", "", "vcluster-a") is None
    assert fleet.word("z") == "Ready"
    fleet.close()
    assert len(told(fleet)) == 2 and "in less than a day" in told(fleet)[0] and "an hour" in told(fleet)[1]


def gone(fleet: Fleet, **deletion: Any) -> Fleet:
    standing(fleet, **{**TTL, **deletion})
    at(fleet, ENDS + 1)
    at(fleet, ENDS + 2 * HOUR + 1)
    at(fleet, ENDS + 3 * HOUR)
    return fleet


@pytest.mark.parametrize("policy", ["Delete", "Retain", "Orphan"])
def test_its_file_does_not_bring_it_back(fleet: Fleet, policy: str) -> None:
    gone(fleet, policy=policy)
    assert fleet.word("a") == "Expired"
    assert "its ttl ended" in fleet.condition("a").message
    fleet.push({**files(**{**TTL, "policy": policy}), "more.yaml": cluster("b")})
    assert at(fleet, fleet.now + DAY) == "Expired"
    fleet.restart()
    assert at(fleet, fleet.now + DAY) == "Expired"
    assert fleet.word("b") == "Ready"
    there = fleet.host.get("apps", "StatefulSet", "vcluster-a", "a")
    assert (there is not None) is (policy == "Orphan")


def test_it_is_born_again_after_its_file_left(fleet: Fleet) -> None:
    gone(fleet)
    fleet.push({"p.yaml": files()["p.yaml"], "z.yaml": cluster("z")})
    fleet.run()
    assert fleet.state("a") is None and "a" not in fleet.reporter.clusters
    fleet.push(files(**TTL))
    fleet.run()
    assert fleet.word("a") == "Ready"
    assert ends(fleet) == pytest.approx(fleet.now + ENDS, abs=60)


@pytest.mark.parametrize("change", [{"ttl": "200h"}, {"ttl": None}])
def test_it_is_born_again_with_a_longer_ttl(fleet: Fleet, change: dict[str, Any]) -> None:
    gone(fleet)
    now = fleet.now
    fleet.push(files(**{key: value for key, value in {**TTL, **change}.items() if value}))
    fleet.run()
    assert fleet.word("a") == "Ready"
    state = fleet.state("a")
    assert state is not None and state.record.born == pytest.approx(START + now, abs=60)


def test_with_data_that_was_kept_it_is_born_again_with_it(fleet: Fleet) -> None:
    gone(fleet, policy="Retain")
    home = fleet.host.get("", "Namespace", "", "vcluster-a")
    fleet.push(files(**{**TTL, "policy": "Retain", "ttl": "300h"}))
    fleet.run()
    again = fleet.host.get("", "Namespace", "", "vcluster-a")
    assert home is not None and again is not None
    assert (fleet.word("a"), again["metadata"]["uid"]) == ("Ready", home["metadata"]["uid"])


@pytest.mark.parametrize("passes", [False, True])
@pytest.mark.parametrize("ttl", ["72h", "80h"])
def test_what_was_retained_is_born_again_after_its_file_left(fleet: Fleet, ttl: str, passes: bool) -> None:
    """Whether a pass saw that it left."""
    gone(fleet, policy="Retain")
    fleet.push({"p.yaml": files()["p.yaml"], "z.yaml": cluster("z")})
    if passes:
        fleet.run()
        fleet.restart()
    fleet.now += 5 * HOUR
    fleet.push(files(**{**TTL, "policy": "Retain", "ttl": ttl}))
    fleet.run()
    assert (fleet.held, fleet.word("a")) == ({}, "Ready")
    assert ends(fleet) == pytest.approx(fleet.now + float(ttl[:-1]) * HOUR, abs=60)


def test_a_file_that_cannot_be_read_frees_no_name(fleet: Fleet) -> None:
    gone(fleet)
    fleet.push(
        {"p.yaml": files()["p.yaml"], "z.yaml": cluster("z"), "a.yaml": "apiVersion: nidus.dev/v1alpha1\nkind: ["}
    )
    fleet.run()
    assert fleet.state("a") is not None


def test_extend_in_time_keeps_it(fleet: Fleet) -> None:
    standing(fleet, **TTL)
    at(fleet, ENDS - HOUR + 1)
    extend(fleet, ENDS + DAY)
    assert ends(fleet) == ENDS + DAY
    assert at(fleet, ENDS + HOUR) == "Ready"
    assert at(fleet, ENDS + DAY + 1) == "Expired"


def test_extended_after_its_end_and_within_the_grace_it_wakes(fleet: Fleet) -> None:
    standing(fleet, **TTL)
    assert at(fleet, ENDS + 1) == "Expired"
    extend(fleet, ENDS + DAY)
    assert (fleet.word("a"), engine(fleet)) == ("Ready", (1, set()))


def test_an_extension_outlives_its_request_and_never_shortens(fleet: Fleet) -> None:
    standing(fleet, **TTL)
    extend(fleet, ENDS + DAY)
    fleet.now += 5
    extend(fleet, ENDS + HOUR)
    assert ends(fleet) == ENDS + DAY
    for one in fleet.host.objects("nidus.dev", "Request", HOME):
        fleet.host.delete("nidus.dev", "Request", HOME, one["metadata"]["name"])
    fleet.restart()
    fleet.run()
    assert ends(fleet) == ENDS + DAY


def test_no_extension_goes_beyond_max_ttl(fleet: Fleet) -> None:
    fleet.rules = replace(RULES, max_ttl=80 * HOUR)
    fleet.restart()
    standing(fleet, **TTL)
    extend(fleet, ENDS + 10 * DAY)
    assert ends(fleet) == 80 * HOUR


def test_a_ttl_above_max_ttl_is_a_mistake(fleet: Fleet) -> None:
    fleet.rules = replace(RULES, max_ttl=48 * HOUR)
    fleet.restart()
    fleet.push(files(**TTL))
    fleet.run()
    assert (fleet.word("a"), "NID179" in fleet.condition("a").message) == ("Invalid", True)


def test_protect_holds_its_deletion(fleet: Fleet) -> None:
    standing(fleet, **TTL, protect=True)
    at(fleet, ENDS + 1)
    fleet.now = ENDS + 8 * DAY
    fleet.admit()
    assert at(fleet, ENDS + 9 * DAY) == "Expired"
    assert engine(fleet)[0] == 0 and fleet.host.get("", "Namespace", "", "vcluster-a") is not None
    assert "it is protected and stays asleep" in fleet.condition("a").message
    fleet.push(files(**TTL))
    at(fleet, fleet.now + 60)
    assert fleet.host.get("", "Namespace", "", "vcluster-a") is None


def test_what_is_suspended_is_not_removed(fleet: Fleet) -> None:
    standing(fleet, **TTL)
    packs = files()["p.yaml"]
    held = cluster("a", deletion=TTL, suspend={"reason": "looking into it"})
    fleet.push({"p.yaml": packs, "z.yaml": cluster("z"), "a.yaml": held})
    assert at(fleet, ENDS + 9 * DAY) == "Suspended"
    fleet.admit()
    fleet.run()
    assert engine(fleet) == (1, set())


def test_a_short_ttl_of_a_new_cluster_warns_at_birth(fleet: Fleet) -> None:
    standing(fleet, ttl="30m", policy="Delete", grace="1h")
    assert (ends(fleet), status(fleet, "expiryWarning")) == (1800.0, "hour")
    fleet.restart()
    fleet.run()
    fleet.close()
    assert len(told(fleet)) == 1


def test_a_commit_that_would_end_three_running_clusters_within_a_day_is_held(fleet: Fleet) -> None:
    standing(fleet, "abcz", ttl="72h")
    fleet.now = 50 * HOUR
    fleet.run()
    before = {name: ends(fleet, name) for name in "abc"}
    fleet.push(files("abcz", ttl="51h"))
    fleet.run()
    assert {name: fleet.held[name].reason for name in "abc"} == dict.fromkeys("abc", "RemovalBudget")
    assert fleet.held["a"].message == "ends within a day 3 clusters in one revision, budget 1: {}".format(
        ", ".join(f"{name} (Retain after 0s)" for name in "abc")
    )
    assert {name: ends(fleet, name) for name in "abc"} == before
    digest = fleet.held["a"].consent
    fleet.ask("approve", consent=digest)
    fleet.run()
    fleet.admit()
    fleet.run()
    assert fleet.held == {}
    assert [ends(fleet, name) for name in "abc"] == pytest.approx([50 * HOUR + DAY] * 3, abs=120)


def test_removals_and_ends_of_one_revision_are_held_together(fleet: Fleet) -> None:
    standing(fleet, "abz", ttl="72h")
    fleet.now = 50 * HOUR
    left = files("az", ttl="51h")
    fleet.push(left)
    fleet.run()
    assert {name: one.reason for name, one in fleet.held.items()} == dict.fromkeys("ab", "RemovalBudget")
    assert (
        fleet.held["a"].message
        == "removes or ends within a day 2 clusters in one revision, budget 1: b (Retain after 0s), a (Retain after 0s)"
    )
    assert fleet.word("b") in ("Held", "Ready")


@pytest.mark.parametrize("ttl", ["1h", "51h"])
def test_a_ttl_set_on_a_running_cluster_warns_for_a_day_first(fleet: Fleet, ttl: str) -> None:
    standing(fleet)
    now = fleet.now = 50 * HOUR
    fleet.push(files(ttl=ttl, policy="Delete", grace="1h"))
    fleet.run()
    assert fleet.held == {}
    assert ends(fleet) == pytest.approx(now + DAY, abs=60)
    assert (fleet.word("a"), status(fleet, "expiryWarning")) == ("Ready", "day")
    assert at(fleet, now + DAY - HOUR) == "Ready"
    assert at(fleet, now + DAY + 60) == "Expired"
    fleet.close()
    assert len(told(fleet)) == 2


def test_a_ttl_that_is_lowered_again_and_again_is_no_way_around_the_longest_life(fleet: Fleet) -> None:
    fleet.rules = replace(RULES, max_ttl=72 * HOUR)
    fleet.registry.govern(fleet.rules)
    fleet.push(files("az", ttl="72h"))
    fleet.run()
    end = ends(fleet)
    fleet.now += 2.5 * DAY
    for less in (1, 2, 3):
        fleet.push(files("az", ttl=f"{72 * 60 - less}m"))
        fleet.run()
        assert ends(fleet) <= end


def test_the_day_counts_from_the_admission_also_after_a_restart(fleet: Fleet) -> None:
    standing(fleet)
    now = fleet.now = 50 * HOUR
    fleet.push(files(ttl="1h"))
    fleet.run()
    first = ends(fleet)
    fleet.now = now + 5 * HOUR
    fleet.restart()
    fleet.run()
    assert ends(fleet) == first


def test_a_ttl_that_is_raised_or_taken_away_moves_the_end(fleet: Fleet) -> None:
    standing(fleet, **TTL)
    fleet.push(files(**{**TTL, "ttl": "100h"}))
    fleet.run()
    assert ends(fleet) == 100 * HOUR
    fleet.push(files(policy="Delete"))
    fleet.run()
    state = fleet.state("a")
    assert state is not None and state.record.expiry is None
    assert status(fleet, "expiresAt") is None


def test_raised_within_the_grace_it_is_not_removed(fleet: Fleet) -> None:
    standing(fleet, **TTL)
    assert at(fleet, ENDS + 1) == "Expired"
    fleet.push(files(**{**TTL, "ttl": "100h"}))
    fleet.run()
    assert fleet.word("a") == "Ready"
    assert at(fleet, ENDS + 3 * HOUR) == "Ready"


def test_an_end_missed_while_the_controller_was_down_is_made_up(fleet: Fleet) -> None:
    """It sleeps for its grace as it would have; the deletion comes when that is over."""
    standing(fleet, **TTL)
    fleet.now = ENDS + HOUR
    fleet.restart()
    fleet.run()
    assert (fleet.word("a"), fleet.host.get("", "Namespace", "", "vcluster-a") is None) == ("Expired", False)
    fleet.now = ENDS + 3 * HOUR
    fleet.restart()
    fleet.run()
    assert fleet.host.get("", "Namespace", "", "vcluster-a") is None
