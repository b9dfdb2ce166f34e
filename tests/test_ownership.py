"""Who owns an object and its fields (A1, A3, D4, R4): by UID, and by what was applied."""

from typing import Any

import pytest

from reconciler.model import InventoryEntry, ObjectRef, Observed, replace
from reconciler.plan.compute import compute
from reconciler.plan.fields import managed
from reconciler.plan.suspects import suspects
from tests.server_model import (
    HOST,
    NESTED,
    NONCE,
    SALT,
    Server,
    actions,
    bundle,
    config_map,
    entry,
    execute,
    layer,
    observe,
    plan,
    tree,
    wanted,
)

A = ObjectRef("", "ConfigMap", "web", "a")
HAND = {"manager": "kubectl-edit", "operation": "Update", "time": "2026-11-21T10:00:00Z"}


def applied(*objects: dict[str, Any], one: Any = None) -> tuple[Server, list[InventoryEntry]]:
    server = Server()
    return server, execute(server, plan(server, [wanted(one or layer(), *objects)]))


def by_hand(server: Server, ref: ObjectRef, target: Any = NESTED, **data: str) -> None:
    """Keys of a ConfigMap written by somebody: their Update lists them, whoever else does."""
    live = server.objects[target, ref]
    live["data"] = {**live["data"], **data}
    edit = {**HAND, "fieldsV1": tree(f"data.{key}" for key in data)}
    live["metadata"]["managedFields"] = [*live["metadata"]["managedFields"], edit]


@pytest.mark.parametrize("leaves", [False, True])
def test_a_label_put_on_an_object_of_ours_does_not_make_it_foreign(leaves: bool) -> None:
    engine = layer("engine", HOST)
    server, inventory = applied(config_map("a", k="1"), one=engine)
    desired = [wanted(engine, *([] if leaves else [config_map("a", k="2")]))]
    seen = {key: replace(one, foreign=True) for key, one in observe(server, desired, inventory).items()}
    todo = compute(bundle(engine), desired, seen, inventory, salt=SALT, unknown={}, nonce=NONCE)
    assert [change.reason for change in todo.changes] == [""]


def test_what_the_engine_made_is_foreign_while_only_intended() -> None:
    engine = layer("engine", HOST)
    server, _ = applied(config_map("a", k="1"), one=engine)
    intended = [entry(A, uid="", target=HOST, name="engine", state="intended")]
    desired = [wanted(engine, config_map("a", k="1"))]
    seen = {key: replace(one, foreign=True) for key, one in observe(server, desired, intended).items()}
    todo = compute(bundle(engine), desired, seen, intended, salt=SALT, unknown={}, nonce=NONCE)
    assert actions(todo) == [("hold", "ConfigMap/web/a", "NotOwner")]


def widget(namespace: str = "", size: int = 1) -> dict[str, Any]:
    metadata = {"name": "one"} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": "shop.io/v1", "kind": "Widget", "metadata": metadata, "spec": {"size": size}}


def found_under_both_names() -> tuple[Server, list[InventoryEntry], Any]:
    """One live object that the inventory has under another name than Git: its scope was not known when it was made."""
    server, inventory = applied(widget("web"))
    live = server.objects[NESTED, ObjectRef("shop.io", "Widget", "web", "one")]
    del live["metadata"]["namespace"]
    server.objects[NESTED, ObjectRef("shop.io", "Widget", "", "one")] = live
    return server, inventory, live


def test_an_object_is_known_by_its_uid_under_another_name() -> None:
    server, inventory, _ = found_under_both_names()
    todo = plan(server, [wanted(layer(), widget(size=2))], inventory)
    assert actions(todo) == [
        ("configure", "Widget.shop.io/one", ""),
        ("skip", "Widget.shop.io/web/one", "SameObject"),
    ]
    assert not todo.consent.items


def test_what_git_wants_is_a_suspect_under_another_name() -> None:
    _, inventory, live = found_under_both_names()
    key = (NESTED, ObjectRef("shop.io", "Widget", "", "one"))
    seen = {key: Observed(*key, live)}
    assert suspects([wanted(layer(), widget(size=2))], seen, inventory, {}) == (key,)


def test_a_field_that_is_equal_becomes_ours() -> None:
    server, inventory = applied(config_map("a", k="1"))
    by_hand(server, A, same="x")
    desired = [wanted(layer(), config_map("a", k="1", same="x"))]
    todo = plan(server, desired, inventory)
    assert actions(todo) == [("configure", "ConfigMap/web/a", "Claimed")]
    assert todo.changes[0].flags == ("data.same becomes ours",) and todo.changes[0].fields == ()
    inventory = execute(server, todo, inventory)
    assert "data.same" in managed(server.objects[NESTED, A])
    assert actions(plan(server, desired, inventory)) == [("unchanged", "ConfigMap/web/a", "")]


def test_a_field_the_server_never_lets_us_own_is_asked_about_once() -> None:
    """The dry-run says that it would not become ours: nothing is written, pass after pass."""

    class Strict(Server):
        def dry_run(self, target: Any, obj: Any) -> dict[str, Any]:
            live = super().dry_run(target, obj)
            for one in live["metadata"]["managedFields"]:
                one["fieldsV1"].get("f:data", {}).pop("f:never", None)
            return live

    server = Strict()
    desired = [wanted(layer(), config_map("a", k="1", never="x"))]
    inventory = execute(server, plan(server, desired))
    inventory = [replace(one, fields=managed(server.objects[NESTED, A])) for one in inventory]
    assert actions(plan(server, desired, inventory)) == [("unchanged", "ConfigMap/web/a", "")]
