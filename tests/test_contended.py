"""Who is told to keep changing a field that we put back (R3): the whole name, whatever it is made of."""

import pytest

from reconciler.memory import OFTEN, Memory, contended
from reconciler.model import Change, FieldChange, Layer, ObjectRef, Owner, Plan, Revision, Target
from reconciler.plan import drift
from reconciler.plan.strays import Strays

HOST = Target("local")
REF = ObjectRef("", "Service", "vcluster-team-a", "team-a")
LAYER = Layer("engine", HOST, "helm", {}, "d")


def held(manager: str) -> Change:
    """A drift by this manager, put back too often lately."""
    field = FieldChange("spec.type", "NodePort", "ClusterIP")
    change = Change("configure", HOST, REF, "engine", fields=(field,))
    who = Owner(manager, "Update", "", "2026-11-21T09:00:00Z")
    change = drift.judged(change, LAYER, [(field, who)], [field], Strays())
    plan = Plan("team-a", Revision("main", "c"), (change,))
    return contended(plan, Memory(put_back={(HOST, REF): (9.0,) * OFTEN}), 10.0).changes[0]


@pytest.mark.parametrize("manager", ["kubectl-edit", "ops at night", "team: a", "changed by us at work"])
def test_the_manager_is_told_by_its_whole_name(manager: str) -> None:
    change = held(manager)
    assert change.action == "hold"
    assert (change.reason, change.detail) == ("Contended", f"{manager} keeps changing spec.type")
