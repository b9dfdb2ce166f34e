"""Field cases of what stays, is held or hangs: each says what it waits for and the way out (13-charts/keep, 21, 68, 69)."""

from typing import Any

from reconciler.plan import render_text
from reconciler.plan.lines import Style
from tests.passes import Fleet, cluster, config_map, pack, profile

KEEP = {"helm.sh/resource-policy": "keep"}


def files(*objects: dict[str, Any], **spec: Any) -> dict[str, str]:
    return {"p.yaml": profile(pack("base", config_map("one"), *objects)), "a.yaml": cluster("a", **spec)}


def pushed(fleet: Fleet, *objects: dict[str, Any]) -> None:
    fleet.push(files(*objects))
    fleet.run()


def noted(name: str, annotations: dict[str, str], **more: Any) -> dict[str, Any]:
    made = config_map(name)
    return {**made, "metadata": {"name": name, "annotations": annotations}, **more}


def held(fleet: Fleet) -> list[str]:
    state = fleet.state("a")
    assert state is not None
    return [entry.ref.name for entry in state.entries if entry.target.nested and entry.ref.kind == "ConfigMap"]


def test_13_keep_is_kept_when_it_leaves_and_the_entry_is_released() -> None:
    fleet = Fleet()
    pushed(fleet, noted("key", KEEP), config_map("plain"))
    assert held(fleet) == ["key", "one", "plain"]
    fleet.git.commit(files())
    text = render_text.render(fleet.review(), Style())
    assert "ConfigMap/web/key  (kept, and not ours any more, helm.sh/resource-policy: keep)" in text
    assert "1 to delete" in text
    fleet.admit()
    fleet.run()
    assert fleet.names("a") == ["key", "one"] and held(fleet) == ["one"]
    assert fleet.word("a") == "Ready", fleet.condition("a").message


def test_keep_keeps_nothing_where_the_cluster_goes() -> None:
    fleet = Fleet()
    fleet.push(files(noted("key", KEEP), deletion={"policy": "Delete", "grace": "0s"}))
    fleet.run()
    fleet.push({"p.yaml": profile(pack("base", config_map("one"))), "b.yaml": cluster("b")})
    fleet.run(seconds=120.0)
    assert fleet.state("a") is None and "a" not in fleet.nested


def test_21_the_hold_of_an_immutable_field_says_how_to_replace() -> None:
    fleet = Fleet()
    frozen = {"immutable": True, "data": {"a": "1"}}
    pushed(fleet, {**config_map("frozen"), **frozen})
    pushed(fleet, {**config_map("frozen"), **frozen, "data": {"a": "2"}})
    told = 'cannot be changed in place; annotate it with nidus.dev/replace: "true" to have it deleted and made again'
    assert fleet.layer("a", "web/base").message == f"ConfigMap/web/frozen: ImmutableField: {told}"
    pushed(fleet, noted("frozen", {"nidus.dev/replace": "true"}, immutable=True, data={"a": "2"}))
    assert fleet.word("a") == "Ready", fleet.condition("a").message


def test_68_a_stuck_deletion_names_its_finalizers() -> None:
    fleet = Fleet()
    stuck = {**config_map("stuck"), "metadata": {"name": "stuck", "finalizers": ["example.com/hold"]}}
    pushed(fleet, stuck)
    pushed(fleet)
    told = "its finalizers example.com/hold: whoever put them there removes them"
    assert told in fleet.condition("a").message
    pushed(fleet, stuck)
    assert fleet.layer("a", "web/base").message == f"ConfigMap/web/stuck: is being deleted, and waits for {told}"


# What Kubernetes makes itself


def account(**annotations: str) -> dict[str, Any]:
    meta = {"name": "default", **({"annotations": annotations} if annotations else {})}
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta, "automountServiceAccountToken": False}


def made(fleet: Fleet, namespace: str) -> dict[str, Any]:
    """The account that the controller of service accounts makes in a namespace."""
    found: dict[str, Any] = fleet.nested["a"].put(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": namespace}},
        manager="kube-controller-manager",
    )
    return found


HOLD = 'Kubernetes makes it itself; annotate it with nidus.dev/adopt: "true" to take it over'


def test_69_what_kubernetes_makes_itself_is_held_with_the_way_to_take_it() -> None:
    """One answer, whoever would have been first: it is waited for, held, and taken over where the manifest says so."""
    fleet = Fleet()
    pushed(fleet, account())
    assert "waits until Kubernetes has made it" in fleet.layer("a", "web/base").message
    uid = made(fleet, "web")["metadata"]["uid"]
    pushed(fleet, account())
    assert fleet.layer("a", "web/base").message == f"ServiceAccount/web/default: NotOwner: {HOLD}"
    assert f"held: exists and is not ours, {HOLD}" in render_text.render(fleet.review(), Style())
    pushed(fleet, account(**{"nidus.dev/adopt": "true"}))
    assert fleet.word("a") == "Ready", fleet.condition("a").message
    (live,) = fleet.nested["a"].objects("", "ServiceAccount", "web")
    assert (live["metadata"]["uid"], live["automountServiceAccountToken"]) == (uid, False)
    fleet.nested["a"].log.clear()
    pushed(fleet)
    assert not [call for call in fleet.nested["a"].log if call.verb == "delete"]
    assert fleet.word("a") == "Ready", fleet.condition("a").message
