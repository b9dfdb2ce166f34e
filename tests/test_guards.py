"""What guards a tenant is put back every time, whoever changes it and however often."""

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from reconciler.memory import OFTEN
from tests import documents
from tests.passes import Fleet

HOME = "vcluster-team-a"
NET = "networking.k8s.io"
RBAC = "rbac.authorization.k8s.io"
Obj = dict[str, Any]


@pytest.fixture
def shell() -> Iterator[Fleet]:
    made = Fleet()
    quota = {"cpu": "2", "memory": "4Gi", "pods": 50}
    profile = documents.profile(documents.pack("base", documents.config_map("config", a="1")))
    made.push({"profiles/web.yaml": profile, "clusters/team-a.yaml": documents.cluster("team-a", quota=quota)})
    made.run(seconds=400.0)
    assert made.word("team-a") == "Ready"
    yield made
    made.close()


def _egress(it: Obj) -> None:
    it["metadata"]["labels"]["vcluster.loft.sh/managed-by"] = "team-a"
    it["spec"]["egress"] = [{}]


def _ingress(it: Obj) -> None:
    it["spec"]["ingress"] = [{}]


def _types(it: Obj) -> None:
    it["spec"]["policyTypes"] = ["Ingress"]


def _hard(it: Obj) -> None:
    it["spec"]["hard"] = {**it["spec"]["hard"], "pods": "100000"}


def _limits(it: Obj) -> None:
    it["spec"]["limits"] = [{"type": "Container"}]


def _subjects(it: Obj) -> None:
    it["subjects"] = [{"kind": "ServiceAccount", "name": "eve", "namespace": "default"}]


def _level(it: Obj) -> None:
    it["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] = "privileged"


def _gone(it: Obj) -> None:
    it.clear()


CASES: list[tuple[str, str, str, str, Callable[[Obj], None]]] = [
    (NET, "NetworkPolicy", HOME, "nidus-workload", _egress),
    (NET, "NetworkPolicy", HOME, "nidus-workload", _gone),
    (NET, "NetworkPolicy", HOME, "nidus-default", _ingress),
    (NET, "NetworkPolicy", HOME, "nidus-default", _egress),
    (NET, "NetworkPolicy", HOME, "nidus-default", _types),
    ("", "ResourceQuota", HOME, "nidus", _hard),
    ("", "LimitRange", HOME, "nidus", _limits),
    (RBAC, "RoleBinding", HOME, "nidus-engine", _subjects),
    ("", "Namespace", "", HOME, _level),
]


def rival(shell: Fleet, where: tuple[str, str, str, str], change: Callable[[Obj], None], how: str) -> Obj:
    """Change an object as somebody with the right to; how it was before."""
    found = shell.host.get(*where)
    assert found is not None, [one["metadata"]["name"] for one in shell.host.objects(*where[:3])]
    changed = copy.deepcopy(found)
    change(changed)
    if not changed:
        shell.host.delete(*where)
    elif how == "apply":
        del changed["metadata"]["managedFields"]
        shell.host.apply(changed, manager="eve")
    else:
        shell.host.put(changed, manager="eve")
    return found


def core(found: Obj | None) -> Any:
    """What counts of an object."""
    assert found is not None
    keys = ("pod-security.kubernetes.io/enforce", "nidus.dev/cluster")
    labels = {key: found["metadata"]["labels"].get(key) for key in keys}
    return {**{key: found.get(key) for key in ("spec", "subjects", "roleRef")}, "labels": labels}


@pytest.mark.parametrize("how", ["edit", "apply"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[3]}{case[4].__name__}")
def test_a_guard_is_put_back_every_time(
    shell: Fleet, case: tuple[str, str, str, str, Callable[[Obj], None]], how: str
) -> None:
    *where, change = case
    place = (where[0], where[1], where[2], where[3])
    for _ in range(OFTEN + 2):
        before = rival(shell, place, change, how)
        shell.workers.once("team-a")
        assert core(shell.host.get(*place)) == core(before)
    shell.run(seconds=400.0)
    assert shell.word("team-a") == "Ready"
