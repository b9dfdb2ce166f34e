"""What somebody else made is neither taken over nor deleted, whatever labels it carries (A2, A3, D4, SEC-17)."""

from pathlib import Path
from typing import Any

import pytest

from devhost.account import Account
from devhost.hosting import TestHost
from tests.host.field import Field, config_map, nested_cluster, opened
from tests.host.promises import maps, nidus, standing, write_cluster, write_maps, write_profile

pytestmark = pytest.mark.host


def test_a_namespace_of_somebody_else_is_no_home(shared_field: Field) -> None:
    """It stood before us, with our very labels on it: held, nothing put into it, nothing of it changed; `Delete` deletes nothing."""
    field = shared_field
    write_maps(field, "kept")
    name = write_cluster(field, deletion={"policy": "Delete", "grace": "1s"})
    write_cluster(field, "z", profiles=())
    labels = {"app.kubernetes.io/managed-by": "nidus", "nidus.dev/cluster": name, "nidus.dev/layer": "namespace"}
    home = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"vcluster-{name}", "labels": labels}}
    before = field.admin.create(home)
    field.push()
    field.start()
    field.wait(name, "Held")
    field.wait(field.cluster("z"))
    assert f"Namespace/vcluster-{name}: NotOwner" in field.status(name)["plan"]["held"]
    field.remove("clusters/a.yaml")
    field.push("a goes")
    field.until("the cluster is over", lambda: field.word(name) == "")
    after = field.admin.get("v1", "Namespace", f"vcluster-{name}")
    assert after and _spoken(after) == _spoken(before)
    assert field.admin.list("apps/v1", "StatefulSet", f"vcluster-{name}")["items"] == []


@pytest.mark.parametrize("system", ["kube-system", pytest.param("default", marks=pytest.mark.long)])
def test_a_system_namespace_is_no_home(shared_host: TestHost, account: Account, tmp_path: Path, system: str) -> None:
    """Not even a configuration that leads there makes it one."""
    field = opened(
        account, tmp_path / "stage", {"namespacePattern": system.replace("system", "{name}").replace("ault", "{name}")}
    )
    name = {"kube-system": "system", "default": "ault"}[system]
    field.write("clusters/a.yaml", nested_cluster(name))
    before = field.admin.get("v1", "Namespace", system)
    field.push()
    try:
        field.start()
        field.until("it is not made", lambda: field.word(name) in ("Held", "Invalid", "Degraded"))
        field.quiet()
        own = account.namespace
        assert [event for event in field.writes() if event["objectRef"].get("namespace") != own] == []
    finally:
        field.end()
    after = field.admin.get("v1", "Namespace", system)
    assert before and after and _spoken(after) == _spoken(before)


@pytest.mark.long
def test_a_nested_object_of_somebody_else_stays_theirs(shared_field: Field) -> None:
    """It stood inside before our pack came, with every mark of ours copied: held alone; its siblings are made; pruning leaves it."""
    field = shared_field
    name, inside = standing(field, "kept")
    theirs = _copied(inside.get("v1", "ConfigMap", "kept", f"{name}-web"), "taken")
    before = inside.create(theirs)
    write_maps(field, "kept", "new", "taken")
    field.push("a pack that wants it")
    field.until("its sibling is made", lambda: "new" in maps(inside, name))
    field.wait(name, "Held")
    assert field.status(name)["plan"]["held"] == [f"ConfigMap/{name}-web/taken: NotOwner"]
    assert inside.get("v1", "ConfigMap", "taken", f"{name}-web") == before
    write_maps(field, "kept")
    field.push("the pack does not want it any more")
    field.until("the sibling is gone", lambda: "new" not in maps(inside, name))
    field.wait(name)
    assert inside.get("v1", "ConfigMap", "taken", f"{name}-web") == before


@pytest.mark.long
def test_a_successor_under_another_uid_is_kept(shared_field: Field) -> None:
    """Ours was deleted and somebody made another of the same name: reported, not touched; pruning leaves it and forgets it."""
    field = shared_field
    name, inside = standing(field, "kept", "swapped")
    controller = field.controller
    assert controller
    controller.stop()
    ours = inside.get("v1", "ConfigMap", "swapped", f"{name}-web")
    inside.delete("v1", "ConfigMap", "swapped", f"{name}-web")
    before = inside.create(_copied(ours, "swapped"))
    host_before = _swap(field, f"vcluster-{name}")
    field.start()
    held = field.until("both are held", lambda: _held(field, name, 2))
    assert f"ConfigMap/{name}-web/swapped: NotOwner" in held
    assert any(one.startswith("NetworkPolicy.networking.k8s.io") and one.endswith("NotOwner") for one in held)
    write_maps(field, "kept")
    field.push("swapped goes")
    field.until("the inventory forgets it", lambda: "swapped" not in {entry.ref.name for entry in field.entries(name)})
    assert inside.get("v1", "ConfigMap", "swapped", f"{name}-web") == before
    meta = host_before["metadata"]
    after = field.admin.get(host_before["apiVersion"], host_before["kind"], meta["name"], meta["namespace"])
    assert after and _spoken(after) == _spoken(host_before)


@pytest.mark.long
def test_shared_objects_outlive_a_change_of_profiles(shared_field: Field) -> None:
    """Profile A makes way for B, which has the same objects: they keep their UIDs, and nothing is deleted between (P2)."""
    field = shared_field
    write_profile(field, [], "web")
    write_maps(field, "one", "two", "only-a", profile="a")
    name = write_cluster(field, profiles=("web", "a"))
    field.push()
    field.start()
    field.wait(name)
    inside = field.inside(name)
    before = maps(inside, name)
    objects = [config_map(each, text="changed") for each in ("one", "two", "only-b")]
    write_profile(field, objects, "b")
    write_cluster(field, profiles=("web", "b"))
    field.remove("profiles/a.yaml")
    commit = field.push("b instead of a")
    field.wait_applied(name, commit)
    after = field.until("a's own object is gone", lambda: _without(maps(inside, name), "only-a"))
    assert set(after) == {"one", "two", "only-b"}
    assert {key: after[key] for key in ("one", "two")} == {key: before[key] for key in ("one", "two")}
    nidus(field, "sync")
    field.quiet()
    field.wait(name)
    assert maps(inside, name) == after


def _spoken(live: dict[str, Any]) -> dict[str, Any]:
    """What somebody said of an object, and which one it is; not who looks after it."""
    metadata = {
        key: live["metadata"].get(key) for key in ("uid", "labels", "annotations", "finalizers", "deletionTimestamp")
    }
    return {"metadata": metadata, "spec": live.get("spec")}


def _copied(live: dict[str, Any] | None, name: str) -> dict[str, Any]:
    """A foreign object with all labels and annotations of one of ours."""
    assert live
    kept = {key: live["metadata"].get(key) or {} for key in ("labels", "annotations")}
    metadata = {"name": name, "namespace": live["metadata"]["namespace"], **kept}
    spec = {key: live[key] for key in ("spec", "data") if key in live}
    return {"apiVersion": live["apiVersion"], "kind": live["kind"], "metadata": metadata, **spec}


def _swap(field: Field, home: str) -> dict[str, Any]:
    """One network policy of ours deleted, and made again by somebody else with all its marks."""
    api, kind = "networking.k8s.io/v1", "NetworkPolicy"
    live = field.admin.list(api, kind, home)["items"][0] | {"apiVersion": api, "kind": kind}
    field.admin.delete(api, kind, live["metadata"]["name"], home)
    return field.admin.create(_copied(live, live["metadata"]["name"]))


def _held(field: Field, name: str, count: int) -> list[str]:
    held = list(field.status(name).get("plan", {}).get("held", ()))
    return held if len(held) == count else []


def _without(found: dict[str, str], name: str) -> dict[str, str]:
    return found if name not in found else {}
