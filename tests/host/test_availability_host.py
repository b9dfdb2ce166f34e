"""A control plane with three members of its store on a real host: one may go, two may not, and nobody drains two at once."""

import pytest

from devhost.api import ApiError, Client
from tests.host.field import Field
from tests.host.promises import standing

pytestmark = [pytest.mark.host, pytest.mark.long]
STORE = {"store": {"type": "etcd"}}


def test_one_of_three_members_may_go_and_two_take_the_api_down(own_field: Field) -> None:
    field = own_field
    name, inside = standing(field, "kept", controlPlane=STORE)
    home = f"vcluster-{name}"
    members = [f"{name}-etcd-{index}" for index in range(3)]
    field.until("the budget allows one", lambda: allowed(field.admin, home, name) == 1)

    assert evicted(field.admin, home, members[0]) == 201
    assert inside.ready()
    field.until("it is back", lambda: allowed(field.admin, home, name) == 1)

    turn(field.admin, home, members[1], ready=False)
    field.until("the budget allows none", lambda: allowed(field.admin, home, name) == 0)
    assert evicted(field.admin, home, members[2]) == 429
    assert (inside.ready() and field.word(name) == "Ready") or field.word(name) == "Progressing"

    turn(field.admin, home, members[2], ready=False)
    field.until("its API server is down", lambda: not inside.ready())
    turn(field.admin, home, members[2], ready=True)
    field.wait(name, "Progressing")
    turn(field.admin, home, members[1], ready=True)
    field.wait(name, seconds=120)
    assert field.inside(name).get("v1", "ConfigMap", "kept", f"{name}-web") is not None


def allowed(host: Client, namespace: str, name: str) -> int:
    found = host.get("policy/v1", "PodDisruptionBudget", f"{name}-etcd", namespace) or {}
    return int(found.get("status", {}).get("disruptionsAllowed", -1))


def evicted(host: Client, namespace: str, pod: str) -> int:
    """What the host says to a drain of this pod."""
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": namespace}}
    try:
        host.request("POST", f"/api/v1/namespaces/{namespace}/pods/{pod}/eviction", body)
    except ApiError as error:
        return error.status
    return 201


def turn(host: Client, namespace: str, pod: str, *, ready: bool) -> None:
    """Its node says so."""
    condition = {"type": "Ready", "status": "True" if ready else "False"}
    host.patch(
        "v1", "Pod", pod, namespace, {"status": {"conditions": [condition]}}, subresource="status", form="strategic"
    )
