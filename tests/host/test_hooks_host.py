"""The hooks of one chart, run by Nidus and by Helm itself inside one nested cluster: the same objects in the same order (K7)."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from devhost import tools
from devhost.api import Client
from devhost.build import build
from devhost.following import Reflector
from tests.host.field import Field, namespace, profile
from tests.host.promises import digest, nidus, write_cluster

pytestmark = [pytest.mark.host, pytest.mark.long]
KINDS = (("v1", "ConfigMap"), ("batch/v1", "Job"))
HOOKS = (  # name, kind, events, weight, delete policy
    ("early", "ConfigMap", "pre-install", -5, "hook-succeeded"),
    ("config", "ConfigMap", "pre-install,pre-upgrade", -4, ""),
    ("first", "Job", "pre-install", 0, ""),
    ("second", "Job", "pre-install", 0, "before-hook-creation,hook-succeeded"),
    ("both", "Job", "pre-install, pre-upgrade,post-upgrade", 1, ""),
    ("late", "ConfigMap", "pre-install", 7, "hook-failed"),
    ("after", "Job", "post-install", 2, ""),
    ("note", "ConfigMap", "post-install", 1, "hook-succeeded"),
    ("up", "Job", "pre-upgrade", -1, "hook-succeeded,before-hook-creation"),
    ("end", "Job", "post-upgrade", -1, ""),
    ("test", "Job", "test", 0, ""),
    ("back", "Job", "pre-rollback,post-rollback", 0, ""),
    ("going", "Job", "pre-delete", 0, "hook-succeeded"),
    ("ahead", "ConfigMap", "pre-delete", -3, "hook-succeeded"),
    ("gone", "Job", "post-delete", 3, "hook-succeeded,before-hook-creation"),
    ("since", "ConfigMap", "post-delete", 1, "hook-succeeded"),
)
LEAVING = {"ahead": "ConfigMap", "going": "Job", "since": "ConfigMap", "gone": "Job"}
Step = tuple[str, str, str]


def test_a_chart_runs_its_hooks_as_helm_does(shared_field: Field) -> None:
    field = shared_field
    build(["helm"])
    name = field.cluster()
    spaces = [namespace("${{ cluster.name }}-web"), namespace("${{ cluster.name }}-helm")]
    helm = {"chart": {"path": "../chart"}, "releaseName": "app"}
    packs = [{"name": "spaces", "manifests": {"objects": spaces}}]
    field.write("profiles/web.yaml", profile("web", "1.0.0", packs))
    write_cluster(field)
    field.push()
    field.start()
    field.wait(name)
    write_chart(field, "one")
    with following(field.inside(name), f"{name}-web", f"{name}-helm") as seen:
        for text, verb in (("one", "install"), ("two", "upgrade"), ("three", "upgrade")):
            write_chart(field, text)
            pack = {"name": "app", "namespace": f"{name}-web", "helm": helm}
            field.write("profiles/web.yaml", profile("web", "1.0.0", [*packs, pack]))
            field.wait_applied(name, field.push(text), seconds=120)
            ran(field, name, verb)
            ours, theirs = (settled(field, seen, f"{name}-{one}") for one in ("web", "helm"))
            assert ours == theirs, f"{verb} {text}"
            assert len(ours) > 8
        assert not {"test", "back", *LEAVING} & {one for _, _, one in ours}
        field.write("profiles/web.yaml", profile("web", "1.0.0", packs))
        commit = field.push("left")
        nidus(field, "approve", digest(field, name))  # more than the budget of so small a cluster
        field.wait_applied(name, commit, seconds=120)
        ran(field, name, "uninstall")
        left = [settled(field, seen, f"{name}-{one}") for one in ("web", "helm")]
        told, expected = ([step for step in one if step[2] in {"app", *LEAVING}] for one in left)
        assert told == expected
        assert [step for step in told if step[0] == "ADDED"][-4:] == [
            ("ADDED", kind, each) for each, kind in LEAVING.items()
        ]


def settled(field: Field, seen: dict[str, list[tuple[int, Step]]], space: str) -> list[Step]:
    """What was made and deleted in a namespace so far, in the order of the server's storage."""
    counts: list[int] = []

    def quiet() -> bool:
        counts.append(len(seen[space]))
        return len(counts) > 4 and len(set(counts[-4:])) == 1

    field.until(f"nothing more happens in {space}", quiet)
    return [step for _, step in sorted(seen[space])]


def ran(field: Field, name: str, verb: str) -> None:
    """Helm itself, in the other namespace."""
    folder = field.stage.folder / "inside" / name
    access = field.clients[-1].access
    cluster = {
        "server": access.server,
        "certificate-authority": str(folder / "certificate-authority"),
        "tls-server-name": f"{name}.vcluster-{name}",
    }
    user = {key: str(folder / key) for key in ("client-certificate", "client-key")}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "c",
    }
    (folder / "kubeconfig").write_text(yaml.safe_dump(config))
    chart = Path(field.stage.repository.work) / "chart"
    what = [] if verb == "uninstall" else [str(chart)]
    command = [str(tools.find("helm")), verb, "app", *what, "-n", f"{name}-helm", "--wait", "--timeout", "90s"]
    done = subprocess.run(
        [*command, "--kubeconfig", str(folder / "kubeconfig")], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr


def write_chart(field: Field, text: str) -> None:
    field.write("chart/Chart.yaml", "apiVersion: v2\nname: app\nversion: 1.0.0\n")
    own = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "app"}, "data": {"text": text}}
    field.write("chart/templates/app.yaml", own)
    for name, kind, events, weight, policy in HOOKS:
        notes = {"helm.sh/hook": events, "helm.sh/hook-weight": str(weight)}
        notes |= {"helm.sh/hook-delete-policy": policy} if policy else {}
        field.write(f"chart/templates/{name}.yaml", body(kind, {"name": name, "annotations": notes}))


def body(kind: str, metadata: dict[str, Any]) -> dict[str, Any]:
    if kind == "ConfigMap":
        return {"apiVersion": "v1", "kind": kind, "metadata": metadata, "data": {"a": "b"}}
    pod = {"restartPolicy": "Never", "containers": [{"name": "m", "image": "m:1"}]}
    return {"apiVersion": "batch/v1", "kind": kind, "metadata": metadata, "spec": {"template": {"spec": pod}}}


@contextmanager
def following(client: Client, *spaces: str) -> Iterator[dict[str, list[tuple[int, Step]]]]:
    """What is made and deleted in these namespaces, each with the version of the storage, which counts over all kinds."""
    found: dict[str, list[tuple[int, Step]]] = {space: [] for space in spaces}
    stop = threading.Event()

    def seen(event: str, item: dict[str, Any]) -> None:
        meta = item["metadata"]
        if event in ("ADDED", "DELETED") and meta.get("namespace") in found and meta["name"] != "kube-root-ca.crt":
            step = (event, item.get("kind", ""), meta["name"])
            found[meta["namespace"]].append((int(meta["resourceVersion"]), step))

    for api, kind in KINDS:
        assert Reflector(client, api, kind, seen, stop).start().synced.wait(30)
    try:
        yield found
    finally:
        stop.set()
