"""Who gets into a cluster: bindings inside that come and go with the document, and an issuer of tokens (O12)."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.model import Access, ClusterSpec, Oidc
from tests.passes import Fleet, cluster, config_map, pack, profile
from tests.test_engine_values import values

RBAC = "rbac.authorization.k8s.io"
ADMIN = {"role": {"name": "admin"}, "namespace": "web", "subjects": [{"kind": "Group", "name": "team-a"}]}
VIEW = {"role": {"name": "view"}, "subjects": [{"kind": "ServiceAccount", "name": "ci", "namespace": "build"}]}


def files(*entries: Any, **more: Any) -> dict[str, str]:
    packs = profile(pack("base", config_map("greeting", text="one")))
    return {"p.yaml": packs, "a.yaml": cluster("a", access={"rbac": list(entries), **more})}


@pytest.fixture
def fleet() -> Fleet:
    made = Fleet()
    made.push(files(ADMIN, VIEW))
    made.run()
    assert made.word("a") == "Ready", made.condition("a")
    return made


def binding(fleet: Fleet, kind: str, namespace: str, name: str) -> Any:
    return fleet.nested["a"].get(RBAC, kind, namespace, name)


def test_entries_are_bindings_inside(fleet: Fleet) -> None:
    one = binding(fleet, "RoleBinding", "web", "nidus-clusterrole-admin")
    assert one["roleRef"] == {"apiGroup": RBAC, "kind": "ClusterRole", "name": "admin"}
    assert one["subjects"] == [{"kind": "Group", "name": "team-a", "apiGroup": RBAC}]
    other = binding(fleet, "ClusterRoleBinding", "", "nidus-clusterrole-view")
    assert other["subjects"] == [{"kind": "ServiceAccount", "name": "ci", "namespace": "build"}]
    assert fleet.layer("a", "access").state == "Current"


def test_an_entry_that_leaves_is_taken_away(fleet: Fleet) -> None:
    fleet.push(files(ADMIN))
    fleet.run()
    assert binding(fleet, "ClusterRoleBinding", "", "nidus-clusterrole-view") is None
    assert binding(fleet, "RoleBinding", "web", "nidus-clusterrole-admin") is not None
    fleet.push(files())
    fleet.run()
    assert binding(fleet, "RoleBinding", "web", "nidus-clusterrole-admin") is None


def test_a_subject_that_leaves_is_taken_away(fleet: Fleet) -> None:
    two = [*ADMIN["subjects"], {"kind": "User", "name": "ann"}]  # type: ignore[misc]
    fleet.push(files({**ADMIN, "subjects": two}))
    fleet.run()
    one = binding(fleet, "RoleBinding", "web", "nidus-clusterrole-admin")
    assert [each["name"] for each in one["subjects"]] == ["team-a", "ann"]
    fleet.push(files(ADMIN))
    fleet.run()
    one = binding(fleet, "RoleBinding", "web", "nidus-clusterrole-admin")
    assert [each["name"] for each in one["subjects"]] == ["team-a"]


def test_what_somebody_adds_by_hand_is_put_back(fleet: Fleet) -> None:
    one = binding(fleet, "RoleBinding", "web", "nidus-clusterrole-admin")
    fleet.nested["a"].put({**one, "subjects": [{"kind": "Group", "name": "others", "apiGroup": RBAC}]})
    fleet.queue.add("a")
    fleet.run()
    one = binding(fleet, "RoleBinding", "web", "nidus-clusterrole-admin")
    assert [each["name"] for each in one["subjects"]] == ["team-a"]


def test_of_one_role_in_one_place_there_is_one_binding(fleet: Fleet) -> None:
    fleet.push(files(ADMIN, {**ADMIN, "subjects": [{"kind": "User", "name": "ann"}]}))
    fleet.run()
    one = binding(fleet, "RoleBinding", "web", "nidus-clusterrole-admin")
    assert [each["name"] for each in one["subjects"]] == ["team-a", "ann"]


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ({"role": {"kind": "Role", "name": "dev"}, "subjects": [{"kind": "User", "name": "a"}]}, "is of a namespace"),
        ({"role": {"name": "dev"}, "subjects": [{"kind": "ServiceAccount", "name": "a"}]}, "is of a namespace"),
        ({"role": {"name": "dev"}, "subjects": [{"kind": "User", "name": "a", "namespace": "b"}]}, "has no namespace"),
    ],
)
def test_what_kubernetes_would_refuse_is_a_mistake(entry: Any, told: str) -> None:
    fleet = Fleet()
    fleet.push(files(entry))
    fleet.run()
    found = [one for one in fleet.git.read(fleet.git.newest, fleet.rules).violations if one.code == "NID166"]
    assert len(found) == 1 and told in found[0].message


def test_an_issuer_is_believed_under_a_prefix() -> None:
    oidc = Oidc(issuer="https://login.example.com/a", client_id="nidus", username_claim="email", groups_claim="groups")
    plane = values(ClusterSpec(access=Access(oidc=oidc)))["controlPlane"]
    assert plane["distro"]["k8s"]["apiServer"]["extraArgs"] == [
        "--oidc-issuer-url=https://login.example.com/a",
        "--oidc-client-id=nidus",
        "--oidc-username-claim=email",
        "--oidc-username-prefix=oidc:",
        "--oidc-groups-claim=groups",
        "--oidc-groups-prefix=oidc:",
    ]
    assert "apiServer" not in values()["controlPlane"]["distro"]["k8s"]
