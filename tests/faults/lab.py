"""The fault lab: the controller on an embedded host, all that it sends going through a proxy that misbehaves as a test chooses."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from devhost import lifecycle, reins, stage
from devhost.account import Account
from devhost.certs import Pair
from tests.faults.proxy import FaultProxy, Request, before_host, before_nested
from tests.host.field import Field, opened

SOON = 30.0  # seconds from the end of a cause to the end of what it caused


@dataclass
class Lab(Field):
    """A field whose controller reaches the host, and through it the nested clusters, by `proxy`. Tests themselves go straight."""

    proxy: FaultProxy = field(kw_only=True)
    heals: list[str] = field(default_factory=list)

    def start(self, **environment: str) -> stage.Controller:
        self.begin(**environment).wait_ready()
        assert self.controller
        return self.controller

    def begin(self, **environment: str) -> stage.Controller:
        """Start the controller and do not wait for it."""
        self.controller = stage.start(
            self.stage, self.proxy.kubeconfig, namespace=self.account.namespace, **environment
        )
        return self.controller

    def start_hurried(self, *, every: float, silence: float) -> stage.Controller:
        """Start it with other seconds between two looks at each kind of the host, and until a silent watch is begun anew."""
        log, namespace = self.stage.folder / "controller.log", self.account.namespace
        told = {
            "KUBECONFIG": str(self.proxy.kubeconfig),
            "NIDUS_DATA": str(self.stage.folder / "data"),
            "NIDUS_SERVICE_ACCOUNT": f"{namespace}:nidus",
        }
        words = [*reins.tied(), sys.executable, "-m", "tests.faults.hurried", str(self.stage.config), namespace]
        with log.open("ab") as output:
            process = subprocess.Popen(
                [*words, str(every), str(silence)],
                env={**os.environ, **told},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        self.controller = stage.Controller(self.stage, process, log, told)
        self.controller.wait_ready()
        return self.controller

    @property
    def lives(self) -> bool:
        return self.controller is not None and self.controller.process.poll() is None

    def heal(self, what: str, check: Callable[[], Any], seconds: float = SOON) -> Any:
        """What `check` returns once it is true, within `seconds` from now; the time it took is told."""
        began = time.monotonic()
        found = self.until(what, check, seconds)
        told = f"{what}: healed after {time.monotonic() - began:.1f} s (at most {seconds:.0f})"
        self.heals.append(told)
        print(f"\nlab: {told}")
        return found

    def ready(self, cluster: str) -> dict[str, Any]:
        """The condition Ready of a cluster's status."""
        found = self.status(cluster).get("conditions", [])
        return next((dict(one) for one in found if one["type"] == "Ready"), {})

    def applied(self, cluster: str, commit: str) -> bool:
        return commit in str(self.status(cluster).get("revision", {}).get("applied", ""))

    def sync(self) -> None:
        """`nidus sync`, as it marks the source."""
        meta = {
            "name": "platform",
            "namespace": self.account.namespace,
            "annotations": {"nidus.dev/resync": str(time.time_ns())},
        }
        self.admin.apply({"apiVersion": "nidus.dev/v1alpha1", "kind": "Source", "metadata": meta}, manager="a-human")

    def record(self, cluster: str) -> dict[str, Any] | None:
        return self.admin.get("v1", "ConfigMap", f"nidus-record-{cluster}", self.account.namespace)

    @contextmanager
    def nested(self, cluster: str) -> Iterator[FaultProxy]:
        """A proxy before the API server of a nested cluster, to which the controller's port-forwards lead meanwhile."""
        namespace = f"vcluster-{cluster}"
        secret = self.admin.get("v1", "Secret", f"vc-{cluster}", namespace)
        assert secret, f"no Secret vc-{cluster}"
        own = self.account.hosted.folder / "nested"
        folder = own / "shared" if self.account.hosted.shares_plane else own / namespace / cluster
        ca = Pair((folder / "pki" / "ca.crt").read_bytes(), (folder / "pki" / "ca.key").read_bytes())
        titles = (f"nested/{namespace}/{cluster}/kube-apiserver", "nested/shared/kube-apiserver")
        running = lifecycle.status(self.account.hosted.folder)
        host, port = next(one.address for one in running if one.component in titles).removeprefix("https://").split(":")
        with (
            before_nested(secret, ca, (host, int(port)), self.stage.folder / "proxies" / cluster) as made,
            self.proxy.led(namespace, made),
        ):
            yield made


def opened_lab(account: Account, folder: Path, spec: Mapping[str, Any] | None = None) -> Lab:
    """A lab on the account's host."""
    patient = {"lease": {"duration": "30s"}}  # a busy machine loses no Lease; `calm` where a successor is waited for
    made = opened(account, folder, {**patient, **dict(spec or {})})
    return Lab(made.account, made.stage, proxy=before_host(account.kubeconfig, folder / "proxy"))


def close(lab: Lab) -> None:
    lab.end()
    lab.proxy.__exit__(None, None, None)


def writes_record(cluster: str) -> Callable[[Request], bool]:
    """Writes of a cluster's record."""
    name = f"nidus-record-{cluster}"

    def matches(request: Request) -> bool:
        return request.method in ("PUT", "POST") and "/configmaps" in request.path and name.encode() in request.body

    return matches
