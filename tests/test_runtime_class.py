"""A tenant's pods run in a RuntimeClass of the host; one that is not there is named before the engine is applied."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from reconciler.engine.values import chart_values
from reconciler.model import Ceilings, Defaults, Isolation, replace
from reconciler.plan import render_json
from reconciler.plan.lines import Style, lines
from tests.memory.failures import answer
from tests.passes import RULES, Fleet, cluster, config_map, pack, profile
from tests.test_sleep import engine

OFFERED = replace(RULES, ceilings=Ceilings(runtime_classes=("gvisor",)))
GVISOR = {"runtimeClass": "gvisor"}


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    made = Fleet(OFFERED)
    yield made
    made.close()


def push(fleet: Fleet, state: str = "Awake", **isolation: str) -> None:
    packs = profile(pack("base", config_map("greeting", text="one")))
    fleet.push({"p.yaml": packs, "a.yaml": cluster("a", isolation=isolation, sleep={"state": state})})
    fleet.run()


def offer(fleet: Fleet) -> None:
    fleet.host.put(
        {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": "gvisor"}, "handler": "runsc"}
    )


def asked(fleet: Fleet) -> list[str]:
    """What the host was asked of RuntimeClasses."""
    return [call.verb for call in fleet.host.log if call.kind == "RuntimeClass"]


def test_a_class_that_is_not_there_is_named_before_the_engine(fleet: Fleet) -> None:
    push(fleet, **GVISOR)
    assert fleet.host.get("apps", "StatefulSet", "vcluster-a", "a") is None
    assert fleet.layer("a", "engine").message == "the host has no RuntimeClass gvisor (spec.isolation.runtimeClass)"
    offer(fleet)
    fleet.queue.add("a")
    fleet.run()
    assert fleet.word("a") == "Ready"


def test_the_plan_names_it_too(fleet: Fleet) -> None:
    push(fleet, **GVISOR)
    (one,) = fleet.review().clusters
    said = "the host has no RuntimeClass gvisor (spec.isolation.runtimeClass)"
    assert f"  the engine is not applied yet: {said}" in [line.text for line in lines(one, Style())]
    assert render_json.render(fleet.review())["clusters"][0]["waits"] == said
    offer(fleet)
    assert fleet.plans()["a"].waits == ""


def test_what_cannot_be_read_is_not_taken_as_there(fleet: Fleet) -> None:
    offer(fleet)
    fleet.host.fail(answer(403), lambda call: call.kind == "RuntimeClass", times=None)
    push(fleet, **GVISOR)
    assert fleet.layer("a", "engine").message.startswith("RuntimeClass gvisor of the host could not be read: ")
    assert fleet.host.get("apps", "StatefulSet", "vcluster-a", "a") is None


@pytest.mark.parametrize("fails", [True, False])
def test_a_class_that_is_not_there_any_more_keeps_no_cluster_from_sleep(fleet: Fleet, *, fails: bool) -> None:
    offer(fleet)
    push(fleet, **GVISOR)
    assert fleet.word("a") == "Ready"
    if fails:
        fleet.host.fail(answer(403), lambda call: call.kind == "RuntimeClass", times=None)
    else:
        fleet.host.delete("node.k8s.io", "RuntimeClass", "", "gvisor")
    push(fleet, state="Asleep", **GVISOR)
    assert (fleet.word("a"), engine(fleet)[0]) == ("Asleep", 0)
    push(fleet, **GVISOR)
    assert (fleet.word("a"), engine(fleet)[0]) == ("Waiting", 0)
    assert "RuntimeClass gvisor" in fleet.layer("a", "engine").message


def test_who_names_none_costs_nothing(fleet: Fleet) -> None:
    push(fleet, podSecurity="restricted")
    assert (fleet.word("a"), asked(fleet)) == ("Ready", [])


@pytest.mark.parametrize(
    ("isolation", "runs_in"), [({"podSecurity": "restricted"}, "kata"), (GVISOR, "gvisor"), (None, "kata")]
)
def test_no_cluster_leaves_the_operators_class_by_naming_none(
    fleet: Fleet, isolation: dict[str, Any] | None, runs_in: str
) -> None:
    rules = replace(OFFERED, defaults=Defaults(isolation=Isolation(runtime_class="kata")))
    fleet.git.commit({"a.yaml": cluster("a", profiles=[], **({"isolation": isolation} if isolation else {}))})
    document = fleet.git.read(fleet.git.newest, rules).specs.clusters["a"].cluster
    assert chart_values(document, "vcluster-a", rules)["sync"]["toHost"]["pods"]["runtimeClassName"] == runs_in
