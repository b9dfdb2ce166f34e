"""What deletions wait for is named (A4, I7, T1): in the results, in the plan, in the conditions."""

from typing import Any

from reconciler import conditions
from reconciler.apply.plan import carry_out
from reconciler.assignment import Assignment, Facts
from reconciler.gather import Gathered, Reader
from reconciler.inventory.store import State
from reconciler.model import Change, HostFacts, LayerStatus, ObjectRef, Plan, Record, Result, Revision
from reconciler.plan import compute as planning
from tests.server_model import NESTED, Server, actions, bundle, config_map, execute, layer, plan, wanted

OLD = ObjectRef("", "ConfigMap", "web", "old")
BASE, TOP = layer("web/base"), layer("web/top")
BROKEN = "Stalled: the chart cannot be rendered"


DARK = "the API server does not answer"


def nobody(*_: Any) -> Any:
    raise AssertionError("nothing may be asked of a server here")


def carried(unreachable: str) -> tuple[list[Result], dict[str, LayerStatus]]:
    todo = Plan("team-a", Revision("main", "1"), (Change("delete", NESTED, OLD, "web/old", uid="u"),))
    record = Record("platform", "team-a", "local", "a.yaml", "main", "1", {}, "nonce", 0.0)
    state = State(record)
    gathered = Gathered((), {}, {}, {NESTED: unreachable}, {}, ())
    reader = Reader(nobody, nobody, nobody, nobody)
    given, facts = Assignment(bundle(BASE), state), Facts(HostFacts("local"), b"")
    steps = list(carry_out(given, gathered, todo, state, facts, reader, 0.0, nobody))
    layers = {name: one for step in steps for name, one in step.layers.items()}
    return [result for step in steps for result in step.results], layers


def test_a_deletion_that_waits_for_a_layer_says_so() -> None:
    results, _ = carried(DARK)
    assert [(one.change.ref, one.outcome, one.reason) for one in results] == [(OLD, "waiting", "PruningWaits")]
    assert results[0].error == f"pruning waits for layer web/base: {DARK}"


def test_the_conditions_name_it_once() -> None:
    results, layers = carried(DARK)
    found, word = conditions.compute(
        tuple(layers.values()), results * 3, held=None, suspended="", tombstone=None, invalid="", never_applied=False
    )
    assert word == "Degraded" and found[0].message.count("pruning waits for layer web/base") == 1


def test_the_plan_names_the_layer_that_keeps_what_leaves() -> None:
    server, both = Server(), [wanted(BASE, config_map("a")), wanted(TOP, config_map("b"))]
    inventory = execute(server, plan(server, both))
    todo = plan(server, [wanted(TOP)], inventory, of=bundle(BASE, TOP), unknown={"web/base": BROKEN})
    assert actions(todo) == [("skip", "ConfigMap/web/b", "LayerUnknown"), ("skip", "ConfigMap/web/a", "LayerUnknown")]
    assert todo.changes[0].flags == ("pruning waits for layer web/base",) and todo.changes[1].flags == ()


def test_what_is_known_later_is_said_once() -> None:
    one = wanted(BASE, config_map("a"))
    todo = plan(Server(), [one], of=bundle(BASE), unknown={"web/base": planning.LATER})
    assert todo.unknown == {"web/base": "known after the control plane is up"}
