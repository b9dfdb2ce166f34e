"""The admission policy of deploy/rbac.yaml for engines: in their own host namespace they write nothing that is ours (A9).

The engine here has every right in its namespace, more than Role nidus-engine: what is refused, the policy refuses.
"""

import copy
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from devhost.account import Account
from devhost.api import Client
from devhost.hosting import TestHost
from tests.host.test_admission import RBAC, Body, almighty, guard, made, refused, tenant, workload
from tests.host.test_people import until_allowed

__all__ = ["almighty", "tenant"]
pytestmark = [pytest.mark.host, pytest.mark.xdist_group("empty_host")]
OURS = {"app.kubernetes.io/managed-by": "nidus", "nidus.dev/cluster": "a"}
WHY = "labelled as an object of nidus"


@pytest.fixture
def engine(empty_host: TestHost, account: Account, tenant: str) -> Iterator[Client]:
    """The engine's account once it may do anything in its namespace and the policy is in force."""
    who = f"system:serviceaccount:{tenant}:vc-{account.name}-a"
    role = {"apiGroup": RBAC, "kind": "ClusterRole", "name": "cluster-admin"}
    binding = made(f"{RBAC}/v1", "RoleBinding", tenant, roleRef=role)
    binding["subjects"] = [{"kind": "User", "apiGroup": RBAC, "name": who}]
    empty_host.client.create(binding)
    with Client(replace(empty_host.client.access, act_as=who)) as client:
        until_allowed(client, made("v1", "ConfigMap", tenant))
        refused(client, labelled(made("v1", "ConfigMap", tenant)), by=f"nidus-engines-{account.name}")
        yield client


def labelled(body: Body) -> Body:
    changed = copy.deepcopy(body)
    changed["metadata"]["labels"] = dict(OURS)
    return changed


def test_what_guards_the_tenant_is_not_its_to_change(almighty: Client, engine: Client, tenant: str) -> None:
    body = labelled(guard(tenant))
    almighty.create(body)
    assert WHY in refused(engine, {**body, "spec": {**body["spec"], "policyTypes": ["Egress"]}}, "PATCH")
    assert WHY in refused(engine, labelled(made("v1", "ConfigMap", tenant)))
    assert WHY in refused(engine, body, "DELETE")
    bare: Any = copy.deepcopy(body)
    bare["metadata"]["labels"] = {"vcluster.loft.sh/managed-by": "a"}
    assert WHY in refused(engine, bare, "PATCH")


def test_it_keeps_what_it_keeps_itself(almighty: Client, engine: Client, tenant: str) -> None:
    service = labelled(made("v1", "Service", tenant, spec={"ports": [{"port": 443}]}))
    control_plane = labelled(workload(tenant))
    almighty.create(service)
    almighty.create(control_plane)
    note = {"metadata": {"annotations": {"vcluster.loft.sh/service-cidr": "10.0.0.0/16"}}}
    engine.patch("v1", "Service", "one", tenant, note)
    renewed = {"metadata": {"annotations": {"vcluster.loft.sh/cert-rotation-at": "now"}}}
    engine.patch("apps/v1", "StatefulSet", "one", tenant, {"spec": {"template": renewed}})
    engine.create(made("v1", "ConfigMap", tenant))
    wanted = {**service, "spec": {"ports": [{"port": 443}], "externalName": "a.example.com", "type": "ExternalName"}}
    assert WHY in refused(engine, wanted, "PATCH")
    control_plane["spec"]["template"]["spec"]["containers"][0]["image"] = "b"
    assert WHY in refused(engine, control_plane, "PATCH")
