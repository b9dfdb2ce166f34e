"""docs/security.md: each promise names a test that is there, and the rights are those of deploy/rbac.yaml."""

import re
from typing import Any

import pytest
import yaml

from tests.house.documents import ROOT, marked, quoted, rows

PAGE = "docs/security.md"
ROLES = {
    ("controller", "the whole host"): ("ClusterRole", "nidus"),
    ("controller", "its own namespace"): ("Role", "nidus"),
    ("controller", "the share namespace"): ("Role", "nidus-shared"),
    ("controller", "the host namespace of a cluster"): ("ClusterRole", "nidus-tenant"),
    ("engine", "its host namespace"): ("ClusterRole", "nidus-engine"),
    **{
        ("engine", f"its host namespace, with sync.toHost.{switch}"): ("ClusterRole", f"nidus-engine-{switch.lower()}")
        for switch in ("ingresses", "networkPolicies", "podDisruptionBudgets", "serviceAccounts")
    },
    ("operator", "the controller's namespace"): ("Role", "nidus-operator"),
    ("reviewer", "the controller's namespace"): ("Role", "nidus-reviewer"),
}


@pytest.mark.parametrize("row", rows(marked(PAGE, "promises")), ids=lambda row: row[1][:40])
def test_each_promise_names_its_test(row: list[str]) -> None:
    (named,) = quoted(row[2])
    assert _stands(named), named


def test_each_finding_of_the_review_names_its_tests() -> None:
    found = rows(marked(PAGE, "findings"))
    assert [row[0] for row in found] == [str(number) for number in range(1, 21)]
    named = [one for row in found for one in quoted(row[2]) if "::" in one]
    assert [one for one in named if not _stands(one)] == [] and all("::" in row[2] for row in found)


def _stands(named: str) -> bool:
    """Whether a test is there, and runs."""
    file, _, name = named.partition("::")
    found = re.search(rf"^((?:@.*\n|    .*\n|\).*\n)*)def {re.escape(name)}\(", (ROOT / file).read_text(), re.MULTILINE)
    return found is not None and not re.search(r"\bmark\.(xfail|skip)", found[1])


def test_the_rights_are_those_of_the_roles() -> None:
    documents = [one for one in yaml.safe_load_all((ROOT / "deploy" / "rbac.yaml").read_text()) if one]
    roles = {(one["kind"], one["metadata"]["name"]): one["rules"] for one in documents if "rules" in one}
    assert roles.keys() == set(ROLES.values())
    told = [f"{who} | {where} | {_spelt(rule)}" for (who, where), role in ROLES.items() for rule in roles[role]]
    assert [" | ".join(row) for row in rows(marked(PAGE, "rights"))] == told


def _spelt(rule: dict[str, Any]) -> str:
    kinds = [f"{kind}.{group}" if group else kind for group in rule["apiGroups"] for kind in rule["resources"]]
    named = f" named {', '.join(rule['resourceNames'])}" if "resourceNames" in rule else ""
    return f"{' '.join(rule['verbs'])} | {', '.join(kinds)}{named}"
