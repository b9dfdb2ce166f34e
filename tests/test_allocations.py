"""Allocations of an object to be deleted that a new one needs: node ports, cluster IPs, host names (A1)."""

from typing import Any

import pytest

from reconciler.model import Held, InventoryEntry, Permit, Plan, Target
from reconciler.plan.guard import guard
from tests.memory.failures import answer, on
from tests.passes import Fleet, cluster, pack, profile
from tests.server_model import HOST, NESTED, Server, execute, layer, plan, wanted


def service(name: str, port: int = 30080, **spec: Any) -> dict[str, Any]:
    ports = [{"name": "http", "port": 80, "nodePort": port}]
    body = {"type": "NodePort", "selector": {"app": name}, "ports": ports, **spec}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "web"}, "spec": body}


def ingress(name: str, host: str = "shop.example.com") -> dict[str, Any]:
    backend = {"service": {"name": "a", "port": {"number": 80}}}
    paths = [{"path": "/", "pathType": "Prefix", "backend": backend}]
    body = {"rules": [{"host": host, "http": {"paths": paths}}]}
    metadata = {"name": name, "namespace": "web"}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": metadata, "spec": body}


def renamed(
    old: dict[str, Any], new: dict[str, Any], target: Target = NESTED
) -> tuple[Server, list[InventoryEntry], Plan]:
    server, one = Server(), layer(target=target)
    inventory = execute(server, plan(server, [wanted(one, old)]))
    return server, inventory, plan(server, [wanted(one, new)], inventory)


@pytest.mark.parametrize(
    ("old", "new", "what", "target"),
    [
        (service("old"), service("new"), "node port 30080", NESTED),
        (
            service("old", clusterIP="10.96.0.50", ports=[]),
            service("new", clusterIP="10.96.0.50", ports=[]),
            "cluster IP 10.96.0.50",
            HOST,  # inside, addresses are the engine's
        ),
        (ingress("old"), ingress("new"), "host shop.example.com/", NESTED),
    ],
)
def test_the_plan_says_who_frees_what_for_whom(
    old: dict[str, Any], new: dict[str, Any], what: str, target: Target
) -> None:
    _, _, todo = renamed(old, new, target)
    create, delete = todo.changes
    assert (create.action, delete.action) == ("create", "delete")
    assert create.after == ((delete.target, delete.ref),)
    assert create.flags == (f"takes {what} over from {delete.ref}",)
    assert f"frees {what} for {create.ref}" in delete.flags


def test_a_held_deletion_holds_what_needs_it() -> None:
    _, _, todo = renamed(service("old"), service("new"))
    held = guard(todo, Permit(held={"team-a": Held("ObjectBudget", "too many")}), [], 0.0, "platform")
    assert [(one.action, one.reason) for one in held.changes] == [("hold", "ObjectBudget")] * 2
    assert held.changes[0].would == "create"
    assert guard(todo, Permit(frozenset({todo.consent.digest})), [], 0.0, "platform") == todo


def test_what_stays_frees_nothing() -> None:
    server = Server()
    first = layer(prune=False)
    inventory = execute(server, plan(server, [wanted(first, service("old"))]))
    todo = plan(server, [wanted(first, service("new"))], inventory)
    assert [one.action for one in todo.changes] == ["create", "skip"] and todo.changes[0].after == ()


def test_other_ports_are_not_in_the_way() -> None:
    _, _, todo = renamed(service("old"), service("new", 30081))
    assert [one.after for one in todo.changes] == [(), ()]


class Ports:
    """Refuses a second Service with a node port that a first one holds, as the allocator of a real server does."""

    def __init__(self, fleet: Fleet, name: str) -> None:
        self.fleet, self.name = fleet, name

    def __call__(self, call: Any) -> Any:
        others = [one for one in self.fleet.nested["a"].objects("", "Service") if one["metadata"]["name"] == self.name]
        message = "spec.ports[0].nodePort: Invalid value: 30080: provided port is already allocated"
        wants = on("apply", kind="Service", name="new")(call)
        return answer(422, "Invalid", message=message) if wants and others else None


def test_a_renamed_service_takes_its_port_over() -> None:
    fleet = Fleet()

    def push(name: str) -> None:
        fleet.push({"p.yaml": profile(pack("web", service(name))), "a.yaml": cluster("a")})
        fleet.run()

    push("old")
    assert fleet.word("a") == "Ready", fleet.condition("a")
    fleet.nested["a"].choosers.append(Ports(fleet, "old"))
    push("new")
    assert fleet.names("a", "", "Service") == ["new"]
    assert fleet.word("a") == "Ready", fleet.condition("a")
