"""`nidus status`: who leads, from the Lease, since when a source could not be fetched, and messages in a narrow
terminal."""

import argparse
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from reconciler.errors import Stalled
from reconciler.verbs import status
from tests.memory.failures import answer, on
from tests.memory.server import Server
from tests.shell import client

NAMESPACE = "nidus-system"


@pytest.fixture
def server() -> Server:
    from pathlib import Path

    import yaml

    made = Server()
    made.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    for file in sorted((Path(__file__).parent.parent / "deploy" / "crds").glob("*.yaml")):
        made.put(yaml.safe_load(file.read_text()))
    return made


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
    args = argparse.Namespace(name="", output="", namespace=NAMESPACE)
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


def test_a_cluster_says_since_when_and_fits_a_narrow_terminal() -> None:
    message = "the nested API server of team-a did not answer within 5 s; it is asked again in 12 s"
    since = (datetime.now(UTC) - timedelta(minutes=7)).strftime("%Y-%m-%dT%H:%M:%SZ")
    ready = {"type": "Ready", "status": "Unknown", "reason": "Unreachable", "message": message}
    layer = {"name": "engine", "target": "local", "health": "InProgress", "objects": 6, "message": message}
    item = {"status": {"layers": [layer], "conditions": [{**ready, "lastTransitionTime": since}]}}
    assert status._detail(item).split("\n")[2] == f"Ready=Unknown Unreachable (7m): {message}"
    narrow = status._detail(item, 60).split("\n")
    assert max(map(len, narrow)) <= 60
    assert narrow[0].split() == ["LAYER", "TARGET", "HEALTH", "OBJECTS"]
    assert " ".join(" ".join(narrow).split()).count(message) == 2


def test_a_cluster_without_layers_shows_no_empty_table() -> None:
    ready = {"type": "Ready", "status": "False", "reason": "Degraded", "message": "BadRecord: x"}
    assert status._detail({"status": {"conditions": [ready]}}) == "Ready=False Degraded: BadRecord: x"


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
