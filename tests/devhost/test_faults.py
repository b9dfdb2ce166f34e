"""What breaks on request: each fault does what its name says, and the host comes back."""

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from devhost import faults
from devhost.api import ApiError, Client
from devhost.hosting import TestHost
from tests.waiting import until

pytestmark = [pytest.mark.host, pytest.mark.xdist_group("spare_host")]
Fresh = Callable[..., TestHost]


@pytest.fixture
def broken(spare_host: TestHost) -> TestHost:
    """One host for all faults: each test leaves it running; the storage is lost last."""
    return spare_host


def config_map(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}}


def names(client: Client) -> set[str]:
    return {one["metadata"]["name"] for one in client.list("v1", "ConfigMap", "default")["items"]}


def test_processes_are_killed_paused_and_restarted(broken: TestHost) -> None:
    client, host = broken.client, broken.host
    faults.kill(host, "kube-scheduler")
    assert faults.pid(host, "kube-scheduler") is None
    faults.restart(host, "kube-scheduler")
    fallen = faults.pid(host, "kube-scheduler")
    assert fallen is not None
    os.kill(fallen, signal.SIGKILL)  # not by us: it is started again, as a kubelet does
    assert until(lambda: faults.pid(host, "kube-scheduler") not in (None, fallen))
    with faults.paused(host, "kube-apiserver"), pytest.raises(ApiError, match="did not answer"):
        client.request("GET", "/api/v1/namespaces/default", deadline=0.5)
    assert client.get("v1", "Namespace", "default") is not None
    faults.kill(host, "kube-apiserver")
    with pytest.raises(ApiError, match="did not answer"):
        client.get("v1", "Namespace", "default")
    faults.restart(host, "kube-apiserver")
    assert client.get("v1", "Namespace", "default") is not None


def test_compaction_ends_old_watches(broken: TestHost) -> None:
    old = broken.client.list("v1", "ConfigMap", "default")["metadata"]["resourceVersion"]
    broken.client.create(config_map("new"))
    assert faults.compact(broken.host) > int(old)
    faults.restart(broken.host, "kube-apiserver")  # its watch cache still knew the past
    with pytest.raises(ApiError) as refused:
        next(broken.client.watch("v1", "ConfigMap", old, "default", seconds=5))
    assert refused.value.status == 410


def test_second_server_shows_the_same_objects(broken: TestHost) -> None:
    broken.client.create(config_map("seen-by-both"))
    with faults.second_server(broken.host) as access, Client(access) as other:
        assert "seen-by-both" in names(other)
        assert other.access.server != broken.client.access.server
    assert faults.pid(broken.host, faults.SECOND) is None


@pytest.mark.long
def test_tiny_limits_reach_the_server(fresh_host: Fresh) -> None:
    limited = fresh_host(extra_flags=faults.TINY_LIMITS)
    metrics = limited.client.request("GET", "/metrics")["text"]
    seats = [line for line in metrics.splitlines() if line.startswith("apiserver_flowcontrol_nominal_limit_seats")]
    assert seats and sum(float(line.split()[-1]) for line in seats) < 30


@pytest.mark.long
def test_storage_is_snapshotted_restored_and_wiped(broken: TestHost, tmp_path: Path) -> None:
    client, host = broken.client, broken.host
    client.create(config_map("before"))
    past = faults.snapshot(host, tmp_path / "past")
    client.create(config_map("after"))
    assert {"before", "after"} <= names(client)
    faults.restore(host, past)
    assert "before" in names(client) and "after" not in names(client)
    faults.wipe(host)
    assert "before" not in names(client)
    shutil.rmtree(past)
