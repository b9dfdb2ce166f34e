"""plan.compute: the actions (P4), ownership (A3), order (A4), pruning, and what is not known (P2, I7)."""

from typing import Any

import pytest

from reconciler.model import InventoryEntry, ObjectRef
from tests.server_model import (
    HOST,
    NESTED,
    Server,
    actions,
    bundle,
    config_map,
    entry,
    execute,
    layer,
    plan,
    wanted,
)

A = ObjectRef("", "ConfigMap", "web", "a")


def applied(*objects: dict[str, Any], one: Any = None) -> tuple[Server, list[InventoryEntry]]:
    server = Server()
    return server, execute(server, plan(server, [wanted(one or layer(), *objects)]))


def test_create_then_unchanged_then_configure_then_delete() -> None:
    server = Server()
    first = plan(server, [wanted(layer(), config_map("a", k="1"))])
    assert actions(first) == [("create", "ConfigMap/web/a", "")]
    inventory = execute(server, first)
    assert actions(plan(server, [wanted(layer(), config_map("a", k="1"))], inventory)) == [
        ("unchanged", "ConfigMap/web/a", "")
    ]
    second = plan(server, [wanted(layer(), config_map("a", k="2", n="x"))], inventory)
    assert [(f.path, f.before, f.after) for f in second.changes[0].fields] == [
        ("data.k", "1", "2"),
        ("data.n", "(none)", "x"),
    ]
    third = plan(server, [wanted(layer())], inventory)
    assert actions(third) == [("delete", "ConfigMap/web/a", "")]
    assert third.consent.items == ("local/team-a ConfigMap/web/a uid-1 delete",)
    assert execute(server, third, inventory) == [] and server.objects == {}


def test_a_field_no_longer_desired_is_removed() -> None:
    server, inventory = applied(config_map("a", k="1", old="x"))
    todo = plan(server, [wanted(layer(), config_map("a", k="1"))], inventory)
    assert [(f.path, f.before, f.after) for f in todo.changes[0].fields] == [("data.old", "x", "(none)")]
    execute(server, todo, inventory)
    assert server.objects[NESTED, A]["data"] == {"k": "1"}


def test_fields_of_others_do_not_count() -> None:
    server, inventory = applied(config_map("a", k="1"))
    server.objects[NESTED, A]["data"]["theirs"] = "x"
    assert actions(plan(server, [wanted(layer(), config_map("a", k="1"))], inventory))[0][0] == "unchanged"


@pytest.mark.parametrize("state", ["nothing", "another uid", "intended without marks"])
def test_what_is_not_ours_is_held(state: str) -> None:
    server = Server()
    server.apply(NESTED, config_map("a", k="theirs"))
    inventory = {
        "nothing": [],
        "another uid": [entry(A, uid="uid-before")],
        "intended without marks": [entry(A, uid="", state="intended")],
    }[state]
    assert actions(plan(server, [wanted(layer(), config_map("a", k="1"))], inventory)) == [
        ("hold", "ConfigMap/web/a", "NotOwner")
    ]


def test_an_interrupted_create_is_ours_and_needs_no_second_write() -> None:
    """Else a controller killed after each write would never get past its first unconfirmed object (I5)."""
    server, _ = applied(config_map("a", k="1"))
    intended = [entry(A, uid="", state="intended")]
    todo = plan(server, [wanted(layer(), config_map("a", k="1"))], intended)
    assert actions(todo) == [("unchanged", "ConfigMap/web/a", "")] and todo.changes[0].uid == "uid-1"


def test_retained_is_adopted_by_uid() -> None:
    server, inventory = applied(config_map("a", k="1"))
    kept = [entry(A, uid=inventory[0].uid, state="retained")]
    todo = plan(server, [wanted(layer(), config_map("a", k="1"))], kept)
    assert actions(todo) == [("adopt", "ConfigMap/web/a", "Retained")]


def test_an_unread_object_is_never_absent() -> None:
    from reconciler.plan.compute import compute

    todo = compute(bundle(layer()), [wanted(layer(), config_map("a"))], {}, [entry(A)], salt=b"", unknown={}, nonce="n")
    assert actions(todo) == [("skip", "ConfigMap/web/a", "NotObserved")]


def test_order_is_apply_order_and_pruning_comes_last_reversed() -> None:
    engine, base, top = layer("engine", HOST), layer("web/base"), layer("web/top")
    crd = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "x.y"}}
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "s", "namespace": "web"}}
    server = Server()
    old = execute(server, plan(server, [wanted(base, config_map("p1")), wanted(top, config_map("p2"))]))
    desired = [
        wanted(top, config_map("z")),
        wanted(base, config_map("b"), account, crd),
        wanted(engine, config_map("e")),
    ]
    todo = plan(server, desired, old, of=bundle(engine, base, top))
    assert [(c.action, c.ref.name) for c in todo.changes] == [
        ("create", "e"),
        ("create", "x.y"),
        ("create", "s"),
        ("create", "b"),
        ("create", "z"),
        ("delete", "p2"),
        ("delete", "p1"),
    ]


def test_what_others_requests_go_through_comes_last_in_its_layer_and_goes_first() -> None:
    """A webhook of the same chart that nobody answers yet would refuse what the chart applies after it."""
    webhooks, services = "admissionregistration.k8s.io/v1", "apiregistration.k8s.io/v1"
    last = [
        {"apiVersion": webhooks, "kind": "MutatingWebhookConfiguration", "metadata": {"name": "a"}},
        {"apiVersion": webhooks, "kind": "ValidatingWebhookConfiguration", "metadata": {"name": "a"}},
        {"apiVersion": services, "kind": "APIService", "metadata": {"name": "v1.a"}},
    ]
    deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "z", "namespace": "web"}}
    base, top, server = layer("web/base"), layer("web/top"), Server()
    first = plan(server, [wanted(base, *last, deployment), wanted(top, config_map("t"))], of=bundle(base, top))
    kinds = [change.ref.kind for change in first.changes]
    assert kinds[0] == "Deployment" and set(kinds[1:4]) == {one["kind"] for one in last} and kinds[4] == "ConfigMap"
    inventory = execute(server, first)
    gone = plan(server, [wanted(base), wanted(top)], inventory, of=bundle(base, top))
    assert [change.ref.kind for change in gone.changes] == kinds[::-1]


def test_nothing_is_pruned_on_a_target_with_an_unknown_layer() -> None:
    base, top = layer("web/base"), layer("web/top")
    server, inventory = applied(config_map("a"))
    todo = plan(server, [wanted(base)], inventory, of=bundle(base, top), unknown={"web/top": "RenderFailed"})
    assert actions(todo) == [("skip", "ConfigMap/web/a", "LayerUnknown")]
    assert todo.unknown == {"web/top": "RenderFailed"} and todo.consent.items == ()


def test_an_object_that_moves_between_layers_stays() -> None:
    server, inventory = applied(config_map("a", k="1"), one=layer("old/base"))
    todo = plan(server, [wanted(layer("new/base"), config_map("a", k="1"))], inventory)
    assert [c.action for c in todo.changes] == ["configure"] and todo.consent.items == ()
