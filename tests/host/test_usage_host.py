"""The sampler as the controller's own account on a real API server: its rights, its selectors, and what it keeps."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from devhost.account import Account
from devhost.hosting import TestHost
from reconciler.controller.sampler import Sampler
from reconciler.inventory import history
from reconciler.inventory import usage as kept
from reconciler.inventory.history import Passage
from reconciler.kube import edge
from reconciler.kube.client import Client
from reconciler.model import HostConfig, Prices
from reconciler.report.metrics import Metrics
from reconciler.usage import days, uses
from reconciler.usage.days import Charged
from tests.waiting import eventually

pytestmark = [pytest.mark.host, pytest.mark.xdist_group("empty_host")]


@pytest.fixture
def client(account: Account, empty_host: TestHost) -> Iterator[Client]:
    with closing(edge.host(HostConfig(kubeconfig=str(account.kubeconfig)))) as made:
        yield made


def pod(home: str, name: str, labels: dict[str, str]) -> dict[str, Any]:
    containers = [{"name": "c", "image": "i", "resources": {"requests": {"cpu": "250m"}}}]
    metadata = {"name": name, "namespace": home, "labels": labels}
    spec = {"nodeName": "n", "containers": containers, "terminationGracePeriodSeconds": 0}  # no kubelet ends it
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def test_what_engines_and_tenants_ask_for_is_kept(account: Account, empty_host: TestHost, client: Client) -> None:
    home, admin = f"vcluster-{account.name}", empty_host.client
    admin.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": home}})
    admin.create(pod(home, "engine-0", {"app": "vcluster", "release": "x"}))
    forged = {"app": "vcluster", "vcluster.loft.sh/managed-by": "x", uses.NAMESPACE: "web"}
    admin.create(pod(home, "shop", forged))
    charged = {home: Charged("x", {"team": "a"})}
    sampler = Sampler(client, account.namespace, lambda: Prices(cpu="1"), lambda: charged, Metrics())
    sampler.work()
    eventually(lambda: sampler._cache.stale_since is None and len(sampler._meter._objects) >= 2)
    sampler.work()
    assert sampler._meter.runs
    admin.delete("v1", "Pod", "shop", home)
    eventually(lambda: ("Pod", home, "shop") not in sampler._meter._objects)
    sampler.end()
    found = kept.read(client, account.namespace, lambda day: True, map(days.month, _today()))
    assert found.unread == ()
    rows = found.days[-1].accounts["x"].uses
    assert rows[""].keys() == {"cpu", "controlPlane"} and 0 < rows["web"]["cpu"] <= rows[""]["cpu"]


def _today() -> list[str]:
    import time

    return [days.name_of(int(time.time()) // 86_400)]


def test_revisions_are_noted(account: Account, client: Client) -> None:
    for number in range(3):
        history.add(client, account.namespace, "a", [Passage(f"main@sha1:{number}", 1.0, ready=float(number))])
    history.add(client, account.namespace, "a", [Passage("main@sha1:0", 1.0), Passage("main@sha1:2")])
    kept_now = history.read(client, account.namespace)["a"]
    assert [one.revision[-1] for one in kept_now] == ["0", "1", "2", "0", "2"]
    history.forget(client, account.namespace, "a")
    assert history.read(client, account.namespace) == {}
