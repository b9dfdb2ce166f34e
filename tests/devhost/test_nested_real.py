"""The real engine's surroundings; the engine itself runs only where NIDUS_VCLUSTER names one."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from devhost.api import Client
from devhost.hosting import TestHost
from devhost.nested import chart, real
from tests.devhost.releases import install, statefulset_ready


@pytest.mark.skipif(os.geteuid() != 0, reason="mount namespaces need root")
def test_fixed_paths_are_seen_inside_alone(tmp_path: Path) -> None:
    root, pod, storage = (tmp_path / name for name in ("root", "pod", "storage"))
    for folder in (root, storage, *(pod / part for part in real.MOUNTS)):
        folder.mkdir(parents=True)
    (pod / real.ACCOUNT / "token").write_text("token")
    (pod / "var/lib/vcluster/config.yaml").write_text("config ")
    look = "cat /var/lib/vcluster/config.yaml /var/run/secrets/kubernetes.io/serviceaccount/token; touch /data/kept; echo $$"
    argv = real.isolated(root, pod, storage, ["/bin/sh", "-c", look])
    ran = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=True)
    assert ran.stdout.split() == ["config", "token1"]  # 1: the first process of a namespace of its own
    assert (storage / "kept").exists() and not list(root.iterdir())
    assert str(tmp_path) not in Path("/proc/mounts").read_text()


@pytest.mark.host
@pytest.mark.long
@pytest.mark.skipif(not os.environ.get("NIDUS_VCLUSTER"), reason="needs NIDUS_VCLUSTER and NIDUS_VCLUSTER_CHART")
def test_the_real_engine_becomes_ready(host: TestHost) -> None:
    began = time.monotonic()
    image = {"repository": "loft-sh/vcluster-oss", "tag": "0.36.1"}
    values = {"controlPlane": {"statefulSet": {"image": image}}, "telemetry": {"enabled": False}}
    namespace = install(host.client, "real", values, chart())
    statefulset_ready(host.client, "real", namespace, 180)
    print(f"the real engine was ready after {time.monotonic() - began:.1f} s")
    assert kubeconfig_keys(host.client, namespace) >= {"config", "certificate-authority"}
    host.client.delete("v1", "Namespace", namespace)


def kubeconfig_keys(client: Client, namespace: str) -> set[str]:
    secret = client.get("v1", "Secret", "vc-real", namespace)
    return set(secret["data"]) if secret else set()
