"""What guards a tenant is put back every time, whoever changes it and however often."""

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from reconciler.memory import OFTEN
from reconciler.model import Ceilings, replace
from tests import documents
from tests.passes import RULES, Fleet

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


def _claimed(it: Obj) -> None:
    """The engine's mark, and a limit that is gone."""
    it["metadata"].setdefault("labels", {})["vcluster.loft.sh/managed-by"] = "team-a"
    _widened(it)


def _owned(it: Obj) -> None:
    """An owner that only the engine's objects have."""
    owner = {"apiVersion": "v1", "kind": "Service", "name": "team-a", "uid": "0"}
    it["metadata"]["ownerReferences"] = [owner]
    _widened(it)


def _moved(it: Obj) -> None:
    """As if it were another cluster's."""
    it["metadata"]["labels"]["nidus.dev/cluster"] = "other"
    _widened(it)


def _unmarked(it: Obj) -> None:
    """Without anything that says whose it is."""
    it["metadata"]["labels"] = {}
    it["metadata"]["annotations"] = {}
    _widened(it)


def _widened(it: Obj) -> None:
    if it["kind"] == "NetworkPolicy":
        it["spec"]["egress"] = [{}]
    elif it["kind"] == "ResourceQuota":
        it["spec"]["hard"] = dict.fromkeys(it["spec"]["hard"], "100000")
    elif it["kind"] == "LimitRange":
        it["spec"]["limits"] = [{"type": "Container"}]
    else:
        _subjects(it)


def _tolerant(it: Obj) -> None:
    it["metadata"]["annotations"]["nidus.dev/tolerations"] = "*"


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
    *(
        (*where, change)
        for change in (_claimed, _owned, _moved, _unmarked)
        for where in (
            (NET, "NetworkPolicy", HOME, "nidus-default"),
            (NET, "NetworkPolicy", HOME, "nidus-engine"),
            ("", "ResourceQuota", HOME, "nidus"),
            ("", "ResourceQuota", HOME, "nidus-counts"),
            ("", "LimitRange", HOME, "nidus"),
            (RBAC, "RoleBinding", HOME, "nidus-engine"),
        )
    ),
    (NET, "NetworkPolicy", HOME, "nidus-default", _ingress),
    (NET, "NetworkPolicy", HOME, "nidus-default", _egress),
    (NET, "NetworkPolicy", HOME, "nidus-default", _types),
    ("", "ResourceQuota", HOME, "nidus", _hard),
    ("", "LimitRange", HOME, "nidus", _limits),
    (RBAC, "RoleBinding", HOME, "nidus-engine", _subjects),
    ("", "Namespace", "", HOME, _level),
    ("", "Namespace", "", HOME, _tolerant),
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
    labels = {key: (found["metadata"].get("labels") or {}).get(key) for key in keys}
    fence = (found["metadata"].get("annotations") or {}).get("nidus.dev/tolerations")
    return {**{key: found.get(key) for key in ("spec", "subjects", "roleRef")}, "labels": labels, "fence": fence}


@pytest.mark.parametrize("how", ["edit", "apply"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[1]}-{case[3]}{case[4].__name__}")
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


def test_rights_on_what_is_copied_end_with_the_switch(copying: Fleet) -> None:
    where = (RBAC, "RoleBinding", HOME, "nidus-engine-ingresses")
    profile = documents.profile(documents.pack("base", documents.config_map("config", a="1")))
    for on in (True, False):
        sync = {"toHost": {"ingresses": on}}
        copying.push({"profiles/web.yaml": profile, "clusters/team-a.yaml": documents.cluster("team-a", sync=sync)})
        copying.run(seconds=400.0)
        assert copying.word("team-a") == "Ready"
        assert (copying.host.get(*where) is not None) is on


@pytest.fixture
def copying() -> Iterator[Fleet]:
    made = Fleet(replace(RULES, ceilings=Ceilings(sync_to_host=("ingresses",))))
    yield made
    made.close()
