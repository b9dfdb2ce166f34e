"""Removing clusters: tombstones, grace, the three policies, budgets, and what is no removal at all (D1-D4, AD2)."""

from typing import Any

import pytest

from tests.host.field import Field
from tests.host.promises import maps, nidus, write_cluster, write_maps

pytestmark = pytest.mark.host


def test_grace_and_a_file_put_back(shared_field: Field) -> None:
    """Gone from Git: Deleting, with nothing touched until the grace is over; back in Git: as if nothing had been."""
    field = shared_field
    name = _two(field, deletion={"policy": "Delete", "grace": "1h"})
    before = _uids(field, name)
    field.remove("clusters/a.yaml")
    field.push("a goes")
    field.wait(name, "Deleting")
    field.quiet()
    assert _uids(field, name) == before
    write_cluster(field, deletion={"policy": "Delete", "grace": "1h"})
    field.push("a comes back")
    field.wait(name)
    assert _uids(field, name) == before
    assert _record(field, name).tombstone is None


@pytest.mark.long
def test_retain_keeps_what_makes_a_cluster_come_back(own_field: Field) -> None:
    """Compute and the tenant's pods go; namespace, Service, certificates, configuration and volumes stay, and are adopted again."""
    field = own_field
    retain = {"policy": "Retain", "grace": "1s"}
    name = _two(field, deletion=retain)
    home, inner = f"vcluster-{name}", maps(field.inside(name), name)
    field.admin.create(_pod(home, "web-x-app-x-" + name, {"vcluster.loft.sh/managed-by": name}))
    field.admin.create(_pod(home, "theirs", {}))
    stays = [("Namespace", home, ""), ("Service", name, home), ("Secret", f"{name}-certs", home)]
    stays += [("Secret", f"vc-config-{name}", home), ("PersistentVolumeClaim", f"data-{name}-0", home)]
    kept = {ref: _uid(field, *ref) for ref in stays}
    assert all(kept.values()), kept

    field.remove("clusters/a.yaml")
    field.push("a goes")
    field.until("the cluster is over", lambda: field.word(name) == "" and _record(field, name).tombstone.done, 90)
    assert {ref: _uid(field, *ref) for ref in stays} == kept
    assert field.admin.get("apps/v1", "StatefulSet", name, home) is None
    pods = {item["metadata"]["name"] for item in field.admin.list("v1", "Pod", home)["items"]}
    assert pods == {"theirs"}

    write_cluster(field, deletion=retain)
    field.push("a comes back")
    field.wait(name, seconds=90)
    assert {ref: _uid(field, *ref) for ref in stays} == kept
    assert maps(field.inside(name), name) == inner
    assert {entry.state for entry in field.entries(name)} == {"owned"}


def test_delete_removes_everything_the_namespace_last(shared_field: Field) -> None:
    field = shared_field
    name = _two(field, deletion={"policy": "Delete", "grace": "1s"})
    since = field.account.audit.now()
    field.remove("clusters/a.yaml")
    field.push("a goes")
    field.until("nothing is known of it", lambda: _record(field, name) is None and field.word(name) == "", 90)
    assert field.admin.get("v1", "Namespace", f"vcluster-{name}") is None
    deleted = [event["objectRef"] for event in field.writes(since) if event["verb"] == "delete"]
    about = [ref for ref in deleted if f"vcluster-{name}" in (ref.get("namespace"), ref.get("name"))]
    assert about[-1]["resource"] == "namespaces"
    asked = [
        event["requestObject"]
        for event in field.writes(since)
        if event["objectRef"] in about and event["verb"] == "delete"
    ]
    assert all(one["preconditions"]["uid"] for one in asked)
    assert [ref["resource"] for ref in about].count("namespaces") == 1
    assert {"statefulsets", "services", "secrets", "rolebindings"} <= {ref["resource"] for ref in about}


@pytest.mark.long
def test_orphan_touches_nothing_and_closes_the_record(shared_field: Field) -> None:
    field = shared_field
    name = _two(field, deletion={"policy": "Orphan", "grace": "1s"})
    before, since = _uids(field, name), field.account.audit.now()
    field.remove("clusters/a.yaml")
    field.push("a goes")
    field.until("the record is gone", lambda: _record(field, name) is None)
    assert [(kind, found) for (kind, *_), found in _uids_of(field, before).items() if not found] == []
    assert _uids_of(field, before) == before
    own = field.account.namespace
    assert [event for event in field.writes(since) if event["objectRef"].get("namespace") != own] == []


@pytest.mark.long
def test_protect_holds_always(shared_field: Field) -> None:
    """No digest to approve: the file must come back, or the protection be lifted first."""
    field = shared_field
    name = _two(field, deletion={"policy": "Delete", "grace": "1s", "protect": True})
    before = _uids(field, name)
    field.remove("clusters/a.yaml")
    commit = field.push("a goes")
    field.wait_read(commit)
    field.until("its status says so", lambda: field.word(name) == "Held")
    field.quiet()
    assert _uids(field, name) == before
    assert not field.status(name)["plan"].get("digest")
    assert "digest" not in (field.source().get("held") or {}) or not field.source()["held"]["digest"]


@pytest.mark.long
def test_budget_of_removals_and_the_last_cluster(shared_field: Field) -> None:
    """Two at once are held, both, until approved; the last one is held however small the budget's use; so is an emptied repository."""
    field = shared_field
    orphan = {"policy": "Orphan", "grace": "1s"}
    write_maps(field, "kept")
    names = [write_cluster(field, suffix, deletion=orphan) for suffix in "abc"]
    field.push()
    field.start()
    for name in names:
        field.wait(name)
    for suffix in "ab":
        field.remove(f"clusters/{suffix}.yaml")
    commit = field.push("two go")
    field.wait_read(commit)
    held = field.until("both are held", lambda: (field.source().get("held") or {}).get("digest"))
    field.until("their status says so", lambda: {field.word(name) for name in names[:2]} == {"Held"})
    field.quiet()
    assert all(_record(field, name).tombstone is None for name in names)
    nidus(field, "approve", held)
    field.until("both records are gone", lambda: not any(_record(field, name) for name in names[:2]))

    field.stage.repository.git("rm", "-rq", ".")
    commit = field.push("everything goes")
    field.wait_read(commit)
    field.until("the last one is held", lambda: field.word(names[2]) == "Held")
    field.quiet()
    assert _record(field, names[2]).tombstone is None
    assert all(_uids(field, names[2]).values())


@pytest.mark.long
def test_a_renamed_directory_is_no_removal(shared_field: Field) -> None:
    field = shared_field
    name = _two(field, deletion={"policy": "Delete", "grace": "1s"})
    before, since = _uids(field, name), field.account.audit.now()
    field.stage.repository.git("mv", "clusters", "teams")
    field.stage.repository.git("mv", "profiles", "stacks")
    commit = field.push("another layout")
    field.wait_read(commit)
    field.quiet()
    assert _uids(field, name) == before
    assert [event for event in field.writes(since) if event["verb"] == "delete"] == []
    field.wait(name)


def _two(field: Field, **spec: Any) -> str:
    """Two Ready clusters, so that removing the first is not removing the last; the first one's name."""
    write_maps(field, "kept")
    name, other = write_cluster(field, **spec), write_cluster(field, "z", profiles=())
    field.push()
    field.start()
    field.wait(name)
    field.wait(other)
    return name


def _uids(field: Field, name: str) -> dict[tuple[str, str, str, str], str]:
    """Every host object of the inventory, with the UID it has now."""
    refs = [entry.ref for entry in field.entries(name) if not entry.target.nested]
    assert len(refs) > 8
    apis = {"": "v1", "apps": "apps/v1"}
    found = {(ref.kind, apis.get(ref.group, f"{ref.group}/v1"), ref.name, ref.namespace): "" for ref in refs}
    return _uids_of(field, found)


def _uids_of(field: Field, refs: Any) -> dict[tuple[str, str, str, str], str]:
    live = {ref: field.admin.get(ref[1], ref[0], ref[2], ref[3]) for ref in refs}
    return {ref: one["metadata"]["uid"] if one else "" for ref, one in live.items()}


def _uid(field: Field, kind: str, name: str, namespace: str) -> str:
    found = field.admin.get("v1", kind, name, namespace)
    return str(found["metadata"]["uid"]) if found else ""


def _record(field: Field, cluster: str) -> Any:
    """The record as the controller stored it, None where there is none."""
    from reconciler.inventory.store import Store
    from reconciler.kube import edge
    from reconciler.model import HostConfig

    client = edge.host(HostConfig(kubeconfig=str(field.account.kubeconfig)))
    try:
        state = Store(client, field.account.namespace).read(cluster)
        return state.record if state else None
    finally:
        client.close()


def _pod(namespace: str, name: str, labels: dict[str, str]) -> dict[str, Any]:
    limits = {"requests": {"cpu": "1m", "memory": "1Mi"}, "limits": {"memory": "1Mi"}}
    security = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "runAsNonRoot": True}
    container = {"name": "app", "image": "app", "resources": limits, "securityContext": security}
    spec = {"containers": [container], "terminationGracePeriodSeconds": 0}
    spec["securityContext"] = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    metadata = {"name": name, "namespace": namespace, "labels": labels}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
