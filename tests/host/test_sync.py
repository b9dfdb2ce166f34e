"""The main promises as tests, against the real API server, with the shipped account."""

from typing import Any

import pytest

from tests.host.field import Field, config_map, namespace, nested_cluster, profile

pytestmark = pytest.mark.host


def _simple(field: Field, suffix: str = "a", greeting: str = "hello") -> str:
    """One cluster with a namespace and a ConfigMap inside; returns its name."""
    packs = [{"name": "web", "manifests": {"objects": [namespace(), config_map("greeting", text=greeting)]}}]
    field.write("profiles/web.yaml", profile("web", "1.0.0", packs))
    name = field.cluster(suffix)
    field.write(f"clusters/{suffix}.yaml", nested_cluster(name, profiles=[{"name": "web", "version": "1.0.0"}]))
    return name


@pytest.mark.long
def test_a_plane_of_its_own_is_noticed_when_it_answers(own_field: Field) -> None:
    """A lone cluster whose control plane takes seconds to start: nothing else on the host would wake it (A4)."""
    name = _simple(own_field)
    own_field.push()
    own_field.start()
    own_field.wait(name, seconds=40)


def test_second_sync_writes_nothing(shared_field: Field) -> None:
    """After a restart with empty caches, after a commit that adds a comment to every file, on a forced resync: no write."""
    name = _simple(shared_field)
    shared_field.push()
    controller = shared_field.start()
    shared_field.wait(name)
    found = shared_field.inside(name).get("v1", "ConfigMap", "greeting", f"{name}-web")
    assert found and found["data"] == {"text": "hello"}
    shared_field.quiet()
    controller.stop()

    before = shared_field.account.audit.now()
    controller = shared_field.start(NIDUS_DATA=str(shared_field.stage.folder / "fresh"))
    shared_field.until("the cluster was looked at", lambda: controller.words().get(name) == "Ready")
    shared_field.quiet()
    assert _told(shared_field, before) == []

    before = shared_field.account.audit.now()
    for file in shared_field.stage.repository.work.rglob("*.yaml"):
        file.write_text("# a comment\n" + file.read_text())
    commit = shared_field.push("comments")
    shared_field.wait_read(commit)
    shared_field.quiet()
    assert _told(shared_field, before) == []

    before = shared_field.account.audit.now()
    _resync(shared_field)
    shared_field.until("the resync was seen", lambda: shared_field.source().get("trigger") == "sync")
    shared_field.quiet()
    assert _told(shared_field, before) == []


def _told(field: Field, since: Any) -> list[tuple[str, str, str]]:
    """Writes besides the source's own status, which says that a commit was read."""
    writes = field.writes(since, events=True)
    about = [event["objectRef"] for event in writes]
    return [
        (event["verb"], ref["resource"], ref.get("name", ""))
        for event, ref in zip(writes, about, strict=True)
        if ref["resource"] != "sources"
    ]


def _resync(field: Field) -> None:
    import time

    body = {
        "apiVersion": "nidus.dev/v1alpha1",
        "kind": "Source",
        "metadata": {
            "name": "platform",
            "namespace": field.account.namespace,
            "annotations": {"nidus.dev/resync": str(time.time_ns())},
        },
    }
    field.admin.apply(body, manager="a-human")
