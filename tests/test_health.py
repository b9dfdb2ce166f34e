"""Health rules: YAML cases (tests/cases/health), the table against the cases, and gates."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from reconciler import health
from reconciler.model import Check, ConditionCheck, ObjectRef

CASES = Path(__file__).parent / "cases" / "health"


def cases() -> list[Any]:
    found = []
    for path in sorted(CASES.glob("*.yaml")):
        for case in yaml.safe_load_all(path.read_text()):
            found.append(pytest.param(case, id=f"{path.stem}: {case['case']}"))
    return found


@pytest.mark.parametrize("case", cases())
def test_case(case: Mapping[str, Any]) -> None:
    found = health.compute(case["object"])
    assert (found.status, found.reason) == (case["status"], case["reason"]), found.message


def test_every_rule_has_cases() -> None:
    kinds = set()
    for path in CASES.glob("*.yaml"):
        for case in yaml.safe_load_all(path.read_text()):
            group, _, _ = case["object"]["apiVersion"].rpartition("/")
            kinds.add(f"{group}/{case['object']['kind']}")
    assert set(health.RULES) <= kinds


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
PARTS = ("conditions", "replicas", "observedGeneration", "hard", "phase", "loadBalancer", "containerStatuses")


@given(kind=st.sampled_from(sorted(health.RULES)), status=st.dictionaries(st.sampled_from(PARTS), JSON), spec=JSON)
def test_odd_shapes_never_raise(kind: str, status: dict[str, Any], spec: Any) -> None:
    group, _, name = kind.partition("/")
    obj = {"apiVersion": f"{group}/v1" if group else "v1", "kind": name, "spec": spec, "status": status}
    assert health.compute(obj).status in ("Current", "InProgress", "Failed", "Terminating", "NotFound", "Unknown")


def crd(status: str) -> dict[str, Any]:
    condition = {"type": "Established", "status": status, "reason": "Installing"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.example.io"},
        "status": {"conditions": [condition]},
    }


def test_gate_waits_for_a_definition() -> None:
    check = Check(crd="things.example.io")
    ref = ObjectRef("apiextensions.k8s.io", "CustomResourceDefinition", "", "things.example.io")
    assert health.gate(check, {}).status == "NotFound"
    assert health.gate(check, {ref: crd("False")}).status == "InProgress"
    assert health.gate(check, {ref: crd("True")}).status == "Current"


def test_gate_waits_for_a_condition() -> None:
    check = Check(condition=ConditionCheck(kind="Deployment", name="front", type="Available"))
    ref = ObjectRef("apps", "Deployment", "web", "front")

    def live(status: str, seen: int = 2) -> dict[str, Any]:
        conditions = [{"type": "Available", "status": status}]
        return {"metadata": {"generation": 2}, "status": {"observedGeneration": seen, "conditions": conditions}}

    assert health.gate(check, {}).status == "NotFound"
    assert health.gate(check, {ref: live("False")}).reason == "NotAvailable"
    assert health.gate(check, {ref: live("True", seen=1)}).reason == "GenerationNotObserved"
    assert health.gate(check, {ref: live("True")}).status == "Current"
    other = ObjectRef("apps", "Deployment", "api", "front")
    assert health.gate(check, {ref: live("True"), other: live("False")}).status == "InProgress"


def test_gate_with_a_namespace_looks_only_there() -> None:
    check = Check(condition=ConditionCheck(kind="Certificate", name="tls", type="Ready", namespace="web"))
    elsewhere = ObjectRef("cert-manager.io", "Certificate", "api", "tls")
    assert health.gate(check, {elsewhere: {"status": {"conditions": []}}}).status == "NotFound"


def test_a_gate_condition_seen_for_an_older_generation_does_not_count() -> None:
    check = Check(condition=ConditionCheck(kind="Gateway", name="g", type="Programmed"))
    condition = {"type": "Programmed", "status": "True", "observedGeneration": 1}
    obj = {"metadata": {"generation": 2}, "status": {"conditions": [condition]}}
    assert health.gate(check, {ObjectRef("x", "Gateway", "a", "g"): obj}).status == "InProgress"


ODD: list[dict[str, Any]] = [
    {"status": "ready"},
    {"status": []},
    {"status": {"conditions": {"Ready": "True"}}},
    {"status": {"conditions": ["Ready"]}},
    {"status": {"conditions": [{"type": "Ready", "status": True}]}},
    {"status": {"conditions": [{"type": ["Ready"], "status": "True"}]}},
    {"status": {"observedGeneration": "1"}},
]


@pytest.mark.parametrize("parts", ODD)
def test_a_status_of_a_wrong_type_is_unknown_and_says_what_is_wrong(parts: dict[str, Any]) -> None:
    found = health.compute({"apiVersion": "x.io/v1", "kind": "Thing", "metadata": {"name": "a"}, **parts})
    assert (found.status, found.reason) == ("Unknown", "StatusUnreadable")
    assert "status" in found.message


def test_what_a_condition_says_is_one_printable_line() -> None:
    said = {"type": "Stalled", "status": "True", "reason": "A\x1b[2J", "message": "a\x1b[2J\nb" + "x" * 5000}
    found = health.compute({"apiVersion": "x.io/v1", "kind": "Thing", "status": {"conditions": [said]}})
    assert (found.reason, found.message[:13]) == ("A\\u001b[2J", "a\\u001b[2J bx")
    assert len(found.message) <= 1000
    said |= {"reason": {"a": 1}, "message": ["x"]}
    found = health.compute({"apiVersion": "x.io/v1", "kind": "Thing", "status": {"conditions": [said]}})
    assert (found.reason, found.message) == ("Stalled", "")


@given(obj=st.dictionaries(st.sampled_from(("apiVersion", "kind", "metadata", "spec", "status")), JSON))
def test_any_object_at_all_has_a_health(obj: dict[str, Any]) -> None:
    assert health.compute(obj).status in ("Current", "InProgress", "Failed", "Terminating", "NotFound", "Unknown")
    check = ConditionCheck(kind="Thing", name="a", type="Ready")
    assert health.gate(Check(condition=check), {ObjectRef("x.io", "Thing", "", "a"): obj}).status != "NotFound"
