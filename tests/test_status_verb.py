"""`nidus status`: who leads, from the Lease, since when a source could not be fetched, and messages in a narrow
terminal."""

import argparse
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from reconciler.errors import Stalled
from reconciler.model import Authored, Deletion, Held, LayerStatus, Tombstone
from reconciler.report import bodies, life
from reconciler.report.view import ClusterView, ConditionView, SourceView
from reconciler.verbs import overview, status
from tests.memory.failures import answer, on
from tests.memory.server import Server
from tests.shell import client, installed

NAMESPACE = "nidus-system"
AT = "2026-11-26T10:00:00.000Z"
NOW = datetime.fromisoformat(AT).timestamp() + 7 * 60 + 5


@pytest.fixture
def server() -> Server:
    return installed(NAMESPACE)


def lease(server: Server, holder: str, renewed: float, since: float = 7200.0) -> None:
    """Renewed so many seconds ago."""
    now = datetime.now(UTC)
    spec: Mapping[str, Any] = {
        "holderIdentity": holder,
        "leaseDurationSeconds": 15,
        "acquireTime": (now - timedelta(seconds=since)).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "renewTime": (now - timedelta(seconds=renewed)).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
    }
    metadata = {"name": "nidus", "namespace": NAMESPACE}
    server.put({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec})


def shown(server: Server) -> str:
    args = argparse.Namespace(name="", output="table", namespace=NAMESPACE)
    return status._text(client(server), args)[0]


def test_nobody_leads(server: Server) -> None:
    with pytest.raises(Stalled, match="nothing here: namespace nidus-system has no source"):
        shown(server)
    server.put(
        {"apiVersion": "nidus.dev/v1alpha1", "kind": "Source", "metadata": {"name": "p", "namespace": NAMESPACE}}
    )
    assert shown(server).startswith("CONTROLLER  none holds the Lease: nothing is reconciled")
    lease(server, "", 3.0)
    assert shown(server).startswith("CONTROLLER  none holds the Lease: nothing is reconciled")


def test_somebody_leads(server: Server) -> None:
    lease(server, "nidus-0", 3.0)
    assert shown(server).startswith("CONTROLLER  nidus-0 leads since 2h\n")


def test_somebody_led(server: Server) -> None:
    lease(server, "nidus-0\x1b[2J", 600.0)
    assert shown(server).startswith("CONTROLLER  nidus-0[2J was last seen 10m ago: what is shown is from then")


def test_who_may_not_read_the_lease_sees_the_rest(server: Server) -> None:
    server.put(
        {"apiVersion": "nidus.dev/v1alpha1", "kind": "Source", "metadata": {"name": "p", "namespace": NAMESPACE}}
    )
    server.fail(answer(403), on("get", kind="Lease"))
    assert shown(server).startswith("SOURCE")


def test_a_source_that_cannot_be_fetched_says_since_when(server: Server) -> None:
    head = {"apiVersion": "nidus.dev/v1alpha1", "kind": "Source", "metadata": {"name": "p", "namespace": NAMESPACE}}
    server.put({**head, "spec": {}})
    fetched = (datetime.now(UTC) - timedelta(minutes=5)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    server.apply({**head, "status": {"error": "Unavailable: no answer", "fetched": fetched}}, subresource="status")
    lines = shown(server).split("\n")
    assert lines[3].split() == ["p", "<none>", "0", "Unavailable", "<none>"]
    assert lines[4] == "  Unavailable: no answer (last fetched 5m ago)"


def view(*conditions: ConditionView, **more: Any) -> ClusterView:
    return ClusterView("team-a", "Degraded", conditions=conditions, **more)


def test_a_cluster_says_since_when_and_fits_a_narrow_terminal() -> None:
    message = "the nested API server of team-a did not answer within 5 s; it is asked again in 12 s"
    ready = ConditionView("Ready", "Unknown", "Unreachable", message, AT)
    layer = LayerStatus("engine", "local", "InProgress", message, 6, since=AT)
    one = view(ready, layers=(layer,), since=AT)
    assert overview.detail(one, NOW).split("\n")[2] == f"Ready=Unknown Unreachable (7m): {message}"
    for shown, head in (
        (overview.detail(one, NOW, 75), ["LAYER", "TARGET", "HEALTH", "SINCE", "OBJECTS"]),
        (overview.clusters([one], {}, NOW, 75), list(overview.CLUSTER)),
    ):
        narrow = shown.split("\n")
        assert max(map(len, narrow)) <= 75
        assert narrow[0].split() == head
        assert " ".join(" ".join(narrow).split()).count(message) >= 1


def test_a_message_is_a_column_where_there_is_room_and_only_where_something_is_wrong() -> None:
    ready = ConditionView("Ready", "True", "Ready", "4 layers are Current", AT)
    well = ClusterView("team-b", "Ready", conditions=(ready,), applied="main@sha1:" + "a" * 40, since=AT)
    bad = view(ConditionView("Ready", "False", "Degraded", "shop: crashes", AT), since=AT)
    made = {"team-a": AT, "team-b": AT}
    assert overview.clusters([bad, well], made, NOW).split("\n") == [
        "NAME     HOST    VERSION   READY   STATUS     SINCE   REVISION            AGE   MESSAGE",
        "team-a   local   <none>    False   Degraded   7m      <none>              7m    shop: crashes",
        "team-b   local   <none>    True    Ready      7m      main@sha1:aaaaaaa   7m",
    ]
    assert "MESSAGE" not in overview.clusters([well], made, NOW)


def test_profiles_author_and_who_suspended_are_shown() -> None:
    by = Authored("Ann <ann@example.com>", "shop: 2", NOW)
    told = "move of the database (by bob, until 2026-11-27T00:00:00Z)"
    ready = ConditionView("Ready", "Unknown", "Suspended", told, AT)
    one = ClusterView(
        "team-a", "Suspended", conditions=(ready,), attempted="main@sha1:" + "b" * 40, authored=by, since=AT,
        profiles=("base@1.2.0", "web@2.0.0"), layers=(LayerStatus("web", "local", "Current", since=AT),), seen=AT,
    )  # fmt: skip
    lines = overview.detail(one, NOW).split("\n")
    assert lines[2:] == [
        "the layers are shown as they were 7m ago",
        f"Ready=Unknown Suspended (7m): {told}",
        "commit: main@sha1:bbbbbbb by Ann <ann@example.com>: shop: 2",
        "profiles: base@1.2.0, web@2.0.0",
    ]
    assert told in overview.clusters([one], {}, NOW)
    assert "base@1.2.0, web@2.0.0" in overview.clusters([one], {}, NOW, wide=True)


def test_what_a_removal_would_do_and_did_is_told_and_is_in_the_status_object() -> None:
    gone = life.RemovalView("main@sha1:" + "c" * 40, AT, AT, "Ann <ann@example.com>", "drop it")
    kept = life.deletion(Deletion("Delete", protect=True), 86400.0)
    one = view(life=life.Life(deletion=kept, removal=gone))
    assert overview.detail(one, NOW).split("\n") == [
        "deletion: policy Delete, grace 24h, protect true: a removal is held",
        "removed from Git: main@sha1:ccccccc by Ann <ann@example.com>: drop it (seen 7m ago)",
    ]
    spec, said = bodies.cluster(one)
    assert said["deletion"] == {"policy": "Delete", "grace": "24h", "protect": True}
    assert said["removal"]["author"] == "Ann <ann@example.com>"
    assert bodies.read_cluster({"metadata": {"name": "team-a"}, "spec": spec, "status": said}).life == one.life
    ended = Tombstone(1.0, 2.0, "Delete", protect=False, expired=True)
    assert life.removal(ended) is None  # no commit removed it


def test_sixty_columns_show_what_matters_and_break_no_name() -> None:
    name, revision = "team-a-with-a-longer-name", "main@sha1:" + "a" * 40
    layer = LayerStatus("engine/policies-and-quota", f"local/{name}", "InProgress", "0 of 1 replicas", 6, since=AT)
    one = ClusterView(name, "Progressing", applied=revision, layers=(layer,), since=AT, host="frankfurt")
    source = SourceView(
        "platform-of-all-teams", "u", "main", ".", revision, 12, trigger="webhook", error="Unavailable: no answer"
    )
    for shown in (
        overview.clusters([one], {}, NOW, 60),
        overview.detail(one, NOW, 60),
        overview.sources([source], NOW, 60),
    ):
        assert max(map(len, shown.split("\n"))) <= 60
    assert overview.clusters([one], {}, NOW, 60).split("\n")[0].split() == ["NAME", "STATUS", "SINCE"]
    assert f"{name}   Progressing   7m" in overview.clusters([one], {}, NOW, 60)
    assert overview.clusters([one], {}, NOW, 40).split("\n")[1] == f"{name}   Progressing"
    assert "\x1b" not in overview.detail(view(held=Held("ObjectBudget", "x", "\x1b[2J")), NOW, 60)
    held = Held("ObjectBudget", "x", "d" * 64)
    assert f"\nto allow it: nidus approve {'d' * 64}" in f"\n{overview.detail(view(held=held), NOW, 60)}"
    assert "frankfurt" in overview.clusters([one], {}, NOW, 60, wide=True)


def test_a_cluster_without_layers_shows_no_empty_table() -> None:
    assert overview.detail(view(ConditionView("Ready", "False", "Degraded", "BadRecord: x", "")), NOW) == (
        "Ready=False Degraded: BadRecord: x"
    )


def test_what_keeps_the_render_workers_from_the_network(server: Server) -> None:
    head = {"apiVersion": "nidus.dev/v1alpha1", "kind": "Source", "metadata": {"name": "p", "namespace": NAMESPACE}}
    server.put({**head, "spec": {}})
    lease(server, "nidus-0", 3.0)
    assert "RENDERING" not in shown(server)  # not known yet
    server.apply(
        {**head, "status": {"renderWorkers": "network namespace and system-call filter"}}, subresource="status"
    )
    assert shown(server).split("\n")[1] == "RENDERING   without network: network namespace and system-call filter"
    server.apply({**head, "status": {"renderWorkers": "none"}}, subresource="status")
    line = shown(server).split("\n")[1]
    assert line.startswith("RENDERING   stopped: ") and "seccomp" in line and "user.max_user_namespaces" in line


def test_a_configuration_that_is_not_in_force_is_shown_once(server: Server) -> None:
    head = {"apiVersion": "nidus.dev/v1alpha1", "kind": "Source"}
    lease(server, "nidus-0", 3.0)
    for name in ("p", "q"):
        made = {**head, "metadata": {"name": name, "namespace": NAMESPACE}}
        server.put({**made, "spec": {}})
        server.apply(
            {**made, "status": {"configuration": "the configuration is refused: line 3"}}, subresource="status"
        )
    assert shown(server).split("\n")[1] == "CONFIG      the configuration is refused: line 3"
    assert shown(server).count("line 3") == 1
