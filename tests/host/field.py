"""The controller on a host, as a test drives it: write files, push, wait for words, look as an administrator."""

from __future__ import annotations

import base64
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from devhost import lifecycle, stage
from devhost.account import Account
from devhost.api import Access, Client
from devhost.audit import Audit
from devhost.hosting import TestHost
from tests import installed

ROOT = Path(__file__).resolve().parents[2]
API = "nidus.dev/v1alpha1"
LEASE = "15s"  # a busy machine may not come to renew a shorter one in time, and its controller ends
HURRIED = "2s"  # where the successor of a killed controller is waited for
_INSTALLED = set[int]()  # the supervisors of hosts that have our kinds


@dataclass
class Field:
    """One repository, one account, one controller process at a time."""

    account: Account
    stage: stage.Stage
    controller: stage.Controller | None = None
    clients: list[Client] = field(default_factory=list)

    @property
    def admin(self) -> Client:
        return self.account.hosted.client

    def cluster(self, suffix: str = "a") -> str:
        """A name of the test's own; its namespaces are deleted after the test."""
        return f"{self.account.name}-{suffix}"

    def write(self, path: str, body: Mapping[str, Any] | str) -> None:
        file = self.stage.repository.work / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(body if isinstance(body, str) else yaml.safe_dump(dict(body), sort_keys=False))

    def remove(self, path: str) -> None:
        (self.stage.repository.work / path).unlink()

    def push(self, message: str = "a change") -> str:
        commit = self.stage.repository.commit(message)
        self.stage.repository.push()
        return commit

    def hurry(self) -> None:
        """A short Lease from the next start on, so that the successor of a killed controller need not wait long."""
        self._lease(HURRIED)

    def calm(self) -> None:
        """The usual Lease again, from the next start on."""
        self._lease(LEASE)

    def _lease(self, duration: str) -> None:
        config = yaml.safe_load(self.stage.config.read_text())
        config["spec"]["lease"]["duration"] = duration
        self.stage.config.write_text(yaml.safe_dump(config))

    def start(self, **environment: str) -> stage.Controller:
        self.controller = stage.start(
            self.stage, self.account.kubeconfig, namespace=self.account.namespace, **environment
        )
        self.controller.wait_ready()
        return self.controller

    def end(self) -> None:
        for client in self.clients:
            client.close()
        if self.controller and self.controller.process.poll() is None:
            self.controller.kill()

    def word(self, cluster: str) -> str:
        """The status word on the home cluster."""
        found = self.admin.get(API, "NestedCluster", cluster, self.account.namespace) or {}
        return str(found.get("status", {}).get("status", ""))

    def status(self, cluster: str) -> dict[str, Any]:
        found = self.admin.get(API, "NestedCluster", cluster, self.account.namespace) or {}
        return dict(found.get("status", {}))

    def source(self) -> dict[str, Any]:
        found = self.admin.get(API, "Source", "platform", self.account.namespace) or {}
        return dict(found.get("status", {}))

    def until(self, what: str, check: Callable[[], Any], seconds: float = 60.0) -> Any:
        """What `check` returns once that is true; fails with the controller's last lines otherwise."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if found := check():
                return found
            time.sleep(0.05)
        tail = self.controller.tail() if self.controller else "no controller"
        raise AssertionError(f"not within {seconds:.0f} s: {what}\n{tail}")

    def wait(self, cluster: str, word: str = "Ready", seconds: float = 60.0) -> None:
        self.until(f"{cluster} is {word} (now {self.word(cluster)})", lambda: self.word(cluster) == word, seconds)

    def wait_applied(self, cluster: str, commit: str, seconds: float = 60.0) -> None:
        self.until(
            f"{cluster} has {commit}",
            lambda: commit in self.status(cluster).get("revision", {}).get("applied", ""),
            seconds,
        )

    def wait_read(self, commit: str, seconds: float = 30.0) -> None:
        self.until(f"the source read {commit}", lambda: commit in self.source().get("revision", ""), seconds)

    def quiet(self, seconds: float = 1.5) -> None:
        """Until the controller has had nothing to do for a while: the queue is empty and no write was sent."""
        since, last = self.account.audit.now(), time.monotonic()

        def still() -> bool:
            nonlocal since, last
            here = since.now()
            if self.writes(since):
                since, last = here, time.monotonic()
            return time.monotonic() - last > seconds

        self.until("no more writes", still)

    def writes(self, audit: Audit | None = None, *, events: bool = False) -> list[dict[str, Any]]:
        """What the controller wrote on the host, Lease renewals apart, and Events and histories unless they are asked for."""
        found = (audit or self.account.audit).writes(self.account.user)
        passed = {"leases"} if events else {"leases", "events"}
        told = () if events else ("nidus-history-",)  # written a while after a revision is Ready
        refs = [(event, event["objectRef"]) for event in found]
        return [one for one, ref in refs if ref["resource"] not in passed and not ref.get("name", "").startswith(told)]

    def inside(self, cluster: str) -> Client:
        """An administrator's client of a nested cluster, straight to the plane, with what the engine's Secret says."""
        client = inside(self.account.hosted, cluster, self.stage.folder)
        self.clients.append(client)
        return client

    def entries(self, cluster: str) -> list[Any]:
        """The inventory as the controller stored it, read by its own reader."""
        with self.stored() as store:
            state = store.read(cluster)
        return list(state.entries) if state else []

    @contextmanager
    def stored(self) -> Iterator[Any]:
        """What the controller stores, through its own reader and writer."""
        from reconciler.inventory.store import Store
        from reconciler.kube import edge
        from reconciler.model import HostConfig

        client = edge.host(HostConfig(kubeconfig=str(self.account.kubeconfig)))
        try:
            yield Store(client, self.account.namespace)
        finally:
            client.close()


def opened(account: Account, folder: Path, spec: Mapping[str, Any] | None = None) -> Field:
    """A field on the account's host; its CRDs are installed once a host."""
    if account.hosted.host.supervisor not in _INSTALLED:
        for one in installed.kinds():
            account.hosted.client.apply(one)
        _INSTALLED.add(account.hosted.host.supervisor)
    shutil.rmtree(folder, ignore_errors=True)
    merged = {"lease": {"duration": LEASE}, "policy": {"profileVersions": "Mutable"}, **dict(spec or {})}
    return Field(account, stage.set_up(folder, None, merged))


def nested_cluster(name: str, **spec: Any) -> dict[str, Any]:
    return {"apiVersion": API, "kind": "NestedCluster", "metadata": {"name": name}, "spec": spec}


def profile(
    name: str, version: str, packs: list[dict[str, Any]], variables: list[dict[str, Any]] | None = None
) -> dict[str, Any]:
    spec: dict[str, Any] = {"version": version, "packs": packs}
    if variables:
        spec["variables"] = variables
    return {"apiVersion": API, "kind": "ClusterProfile", "metadata": {"name": name}, "spec": spec}


def config_map(name: str, namespace: str = "${{ cluster.name }}-web", **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}, "data": data}


def namespace(name: str = "${{ cluster.name }}-web") -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def inside(hosted: TestHost, cluster: str, around: Path) -> Client:
    """An administrator's client of a nested cluster; its files lie below `around`."""
    namespace = f"vcluster-{cluster}"
    secret = hosted.client.get("v1", "Secret", f"vc-{cluster}", namespace)
    assert secret, f"no Secret vc-{cluster}"
    folder = around / "inside" / cluster
    folder.mkdir(parents=True, exist_ok=True)
    for key in ("certificate-authority", "client-certificate", "client-key"):
        (folder / key).write_bytes(base64.b64decode(secret["data"][key]))
    own = f"nested/{namespace}/{cluster}"
    names = (f"{own}/kube-apiserver", f"{own}/vcluster", "nested/shared/kube-apiserver")
    address = next(one.address for one in lifecycle.status(hosted.folder) if one.component in names)
    files = (folder / "certificate-authority", folder / "client-certificate", folder / "client-key")
    return Client(Access(f"https://{address.removeprefix('https://')}", *files, tls_name=f"{cluster}.{namespace}"))
