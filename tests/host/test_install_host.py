"""Nidus installed on a fresh host as an administrator does: one file or the chart, a repository, the first cluster; uninstalled and
installed again without a write to any tenant."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from devhost import build, stage, tools
from devhost.api import Client
from devhost.audit import Audit
from devhost.hosting import AUDITED, TestHost
from devhost.ports import free_port
from schemas import install
from tests.host import pod
from tests.host.field import inside
from tests.waiting import eventually

pytestmark = [pytest.mark.host, pytest.mark.long, pytest.mark.xdist_group("installed")]

USER = f"system:serviceaccount:{install.NAMESPACE}:nidus"
TENANT = "vcluster-dev"
EXAMPLE = "https://git.example.com/platform/clusters.git"
KEPT = [f"namespace/{install.NAMESPACE}", "namespace/nidus-shared"] + [
    f"customresourcedefinition.apiextensions.k8s.io/{kind}.nidus.dev"
    for kind in ("nestedclusters", "requests", "sources")
]
PROFILE = """\
apiVersion: nidus.dev/v1alpha1
kind: ClusterProfile
metadata: {name: base}
spec:
  version: 1.0.0
  packs:
    - name: plain
      namespace: web
      manifests: {objects: [{apiVersion: v1, kind: ConfigMap, metadata: {name: greeting}, data: {text: hello}}]}
---
apiVersion: nidus.dev/v1alpha1
kind: NestedCluster
metadata: {name: dev}
spec:
  namespaces: [{name: web}]
  profiles: [{name: base, version: 1.0.0}]
"""


class Installed:
    """A host of this test's own, a repository, and what an administrator types."""

    def __init__(self, hosted: TestHost, folder: Path) -> None:
        self.hosted, self.folder = hosted, folder
        self.services, self.audit = pod.Services(hosted), hosted.audit
        self.pods: list[pod.Pod] = []
        self.bare, work = folder / "clusters.git", folder / "work"
        _run("git", "init", "-q", "--bare", "-b", "main", str(self.bare))
        _run("git", "clone", "-q", str(self.bare), str(work))
        (work / "dev.yaml").write_text(PROFILE)
        _run("git", *stage.IDENTITY, "-C", str(work), "add", "--all")
        _run("git", *stage.IDENTITY, "-C", str(work), "commit", "-qm", "one cluster")
        _run("git", "-C", str(work), "push", "-q", "origin", "HEAD:main")

    @property
    def admin(self) -> Client:
        return self.hosted.client

    def kubectl(self, *words: str, fails: bool = False) -> str:
        return _run(str(self.hosted.kubectl), f"--kubeconfig={self.hosted.kubeconfig}", *words, fails=fails)

    def until_let(self, name: str) -> None:
        """Delete what the policy kept: the API server forgets a policy that is gone a moment later."""
        command = (str(self.hosted.kubectl), f"--kubeconfig={self.hosted.kubeconfig}", "delete", name, "--timeout=60s")
        eventually(lambda: subprocess.run(command, capture_output=True, timeout=90).returncode == 0)

    def helm(self, *words: str) -> str:
        return _run(str(helm()), f"--kubeconfig={self.hosted.kubeconfig}", f"--namespace={install.NAMESPACE}", *words)

    def run(self) -> pod.Pod:
        """A pod of the Deployment that stands on the host."""
        deployment = pod.read(self.admin, install.NAMESPACE)
        self.pods.append(
            made := pod.Pod(self.hosted, self.folder / f"pod{len(self.pods)}", install.NAMESPACE, deployment)
        )
        made.start()
        return made

    def end(self) -> None:
        for one in self.pods:
            if one.process and one.process.poll() is None:
                one.process.kill()
                one.process.wait()
        self.services.close()

    def word(self) -> str:
        found = self.admin.get("nidus.dev/v1alpha1", "NestedCluster", "dev", install.NAMESPACE)
        return str((found or {}).get("status", {}).get("status", ""))

    def ready(self, one: pod.Pod, since: float) -> float:
        one.until("the cluster is Ready", lambda: self.word() == "Ready", 120.0)
        assert self.written(self.audit), "what `untouched` looks at is where the first installation wrote"
        return time.monotonic() - since

    def written(self, audit: Audit) -> list[tuple[str, Any]]:
        """What the controller wrote for the tenant: in its namespace, and what has none."""
        refs = [(one["verb"], one["objectRef"]) for one in audit.writes(USER)]
        return [(verb, ref) for verb, ref in refs if ref.get("namespace", TENANT) == TENANT]

    def known(self) -> dict[str, Any]:
        """The records and the salt, by name."""
        maps = self.admin.list("v1", "ConfigMap", install.NAMESPACE)["items"]
        found = {
            one["metadata"]["name"]: one["data"] for one in maps if one["metadata"]["name"].startswith("nidus-record-")
        }
        salt = self.admin.get("v1", "Secret", "nidus-salt", install.NAMESPACE)
        assert found and salt
        return {**found, "salt": salt["data"]}

    def tenants(self) -> dict[tuple[str, str], str]:
        """What the controller applied for the tenant, with the version of each object: on the host and inside."""
        found = {}
        for api, kind in (("v1", "Service"), ("v1", "ServiceAccount"), ("v1", "ResourceQuota"), ("v1", "Namespace"),
                          ("rbac.authorization.k8s.io/v1", "RoleBinding"), ("networking.k8s.io/v1", "NetworkPolicy")):  # fmt: skip
            for one in self.admin.list(api, kind, "" if kind == "Namespace" else TENANT)["items"]:
                about = one["metadata"]
                if any(entry["manager"] == "nidus" for entry in about.get("managedFields", ())):
                    found[kind, about["name"]] = about["uid"]
        client = inside(self.hosted, "dev", self.folder)
        greeting = client.get("v1", "ConfigMap", "greeting", "dev-web") or client.get(
            "v1", "ConfigMap", "greeting", "web"
        )
        client.close()
        assert greeting and ("Namespace", TENANT) in found
        return {**found, ("inside", "greeting"): greeting["metadata"]["resourceVersion"]}

    def untouched(self, again: Callable[[], pod.Pod]) -> None:
        """What `again` starts takes the cluster over: known as before, and nothing of a tenant is written."""
        known, tenants, audit = self.known(), self.tenants(), self.hosted.audit.now()
        started = again()
        started.until("it leads and looked at the cluster", lambda: _looked(started))
        assert self.known() == known
        assert self.tenants() == tenants
        assert self.written(audit) == []
        assert self.word() == "Ready"


def _looked(one: pod.Pod) -> bool:
    """Whether a pass over the cluster ended since this process began."""
    import json
    import urllib.request

    with urllib.request.urlopen(f"http://{one.listens['internal']}/metrics", timeout=30) as answer:
        lines = answer.read().decode().splitlines()
    passes = next((float(line.split()[1]) for line in lines if line.startswith("nidus_pass_seconds_count")), 0.0)
    with urllib.request.urlopen(f"http://{one.listens['internal']}/api/v1/clusters", timeout=30) as answer:
        words = {cluster["name"]: cluster["status"] for cluster in json.load(answer)["clusters"]}
    return passes >= 1 and words == {"dev": "Ready"}


@pytest.fixture
def fresh(fresh_host: Callable[..., TestHost], tmp_path: Path) -> Iterator[Installed]:
    if not shutil.which("unshare") or os.geteuid():
        pytest.skip(
            "root and unshare (util-linux) give the controller its files at the paths of its container, and a Service's port"
        )
    made = Installed(fresh_host(nested="shared", audit=AUDITED), tmp_path)
    yield made
    made.end()


def test_one_file_a_repository_and_the_first_cluster_is_ready(fresh: Installed) -> None:
    file = edited(fresh, install.DEPLOY / "install.yaml")
    began = time.monotonic()
    fresh.kubectl("apply", "-f", str(file))
    secrets(fresh)
    first = fresh.run()
    print(f"the first cluster was Ready after {fresh.ready(first, began):.1f} s")
    assert [first.probed(f"{name}Probe") for name in ("startup", "liveness", "readiness")] == [200, 200, 200]

    # uninstalled in the way that everybody tries first: what is known stays
    known = fresh.known()
    assert first.stop() == 0
    told = fresh.kubectl("delete", "-f", str(file), "--timeout=60s", fails=True)
    assert told.count("(policy nidus-kept)") == len(KEPT)
    assert fresh.kubectl("get", *KEPT, "-o", "name").split() == KEPT
    assert fresh.known() == known
    assert fresh.admin.get("apps/v1", "Deployment", "nidus", install.NAMESPACE) is None
    assert fresh.admin.get("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy", "nidus-kept") is None

    def again() -> pod.Pod:
        fresh.kubectl("apply", "-f", str(file))
        return fresh.run()

    fresh.untouched(again)

    # and without a message; then what is kept can be deleted by whoever means it
    assert fresh.pods[-1].stop() == 0
    fresh.kubectl("delete", "-f", str(file), "-l", "nidus.dev/kept!=true", "--timeout=60s")
    fresh.until_let("namespace/nidus-shared")


def test_the_chart_and_the_first_cluster_is_ready(fresh: Installed) -> None:
    began = time.monotonic()
    fresh.kubectl("create", "namespace", install.NAMESPACE)
    secrets(fresh)
    values = fresh.folder / "values.yaml"
    source = {"name": "platform", "url": f"file://{fresh.bare}", "branch": "main"}
    server = {"webhook": f"127.0.0.1:{free_port()}", "internal": f"127.0.0.1:{free_port()}"}
    values.write_text(yaml.safe_dump({"config": {"sources": [source], "server": server}}))
    fresh.helm("install", "nidus", str(install.CHART), "-f", str(values))
    first = fresh.run()
    print(f"the first cluster was Ready after {fresh.ready(first, began):.1f} s")

    known = fresh.known()
    assert first.stop() == 0
    fresh.helm("uninstall", "nidus", "--wait")
    assert fresh.kubectl("get", *KEPT, "-o", "name").split() == KEPT
    assert fresh.known() == known

    def again() -> pod.Pod:
        fresh.helm("install", "nidus", str(install.CHART), "-f", str(values))
        return fresh.run()

    fresh.untouched(again)

    # an upgrade in place
    assert fresh.pods[-1].stop() == 0

    def upgraded() -> pod.Pod:
        fresh.helm("upgrade", "nidus", str(install.CHART), "-f", str(values), "--set", "replicas=3")
        return fresh.run()

    fresh.untouched(upgraded)


def test_an_upgrade_of_what_was_installed_before_touches_no_cluster(fresh: Installed) -> None:
    began = time.monotonic()
    fresh.kubectl("apply", "-f", str(edited(fresh, Path(__file__).parent / "before" / "install.yaml")))
    secrets(fresh)
    first = fresh.run()
    fresh.ready(first, began)
    assert first.stop() == 0

    def upgraded() -> pod.Pod:
        fresh.kubectl("apply", "-f", str(edited(fresh, install.DEPLOY / "install.yaml")))
        return fresh.run()

    fresh.untouched(upgraded)


def edited(fresh: Installed, manifests: Path) -> Path:
    """The file with what a reader of docs/tasks/first-cluster.md changes, and ports of this machine's own."""
    text = manifests.read_text()
    for before, after in (
        (EXAMPLE, f"file://{fresh.bare}"),
        ("0.0.0.0:9292", f"127.0.0.1:{free_port()}"),
        ("0.0.0.0:9293", f"127.0.0.1:{free_port()}"),
    ):
        assert text.count(before) == 1, before
        text = text.replace(before, after)
    file = fresh.folder / "install.yaml"
    file.write_text(text)
    return file


def secrets(fresh: Installed) -> None:
    for name, key, text in (("nidus-git", "token", "t" * 40), ("nidus-webhook", "secret", "s" * 64)):
        file = fresh.folder / key
        file.write_text(text)
        fresh.kubectl("-n", install.NAMESPACE, "create", "secret", "generic", name, f"--from-file={file}")


def helm() -> Path:
    """The helm of our pins, built where it is not there yet."""
    found = tools.locate("helm")
    if found is None:
        build.build(["helm"])
    return found or tools.find("helm")


def _run(*words: str, fails: bool = False) -> str:
    done = subprocess.run(words, capture_output=True, text=True, timeout=180)
    assert (done.returncode != 0) is fails, (words, done.stdout[-1500:], done.stderr[-1500:])
    return done.stderr if fails else done.stdout
