"""Installs the stand-in chart as a release would be, for tests of what the host runs behind it."""

import base64
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml
from helm_python import Chart

from devhost.api import Client
from devhost.nested import CHART


def install(client: Client, name: str, values: dict[str, Any] | None = None, chart: Path = CHART) -> str:
    """Apply namespace vcluster-NAME and the chart's objects; return the namespace."""
    namespace = f"vcluster-{name}"
    client.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    for found in objects(name, namespace, values or {}, chart):
        client.apply(found)
    return namespace


def objects(name: str, namespace: str, values: dict[str, Any], chart: Path = CHART) -> Iterator[dict[str, Any]]:
    """Render the chart; the workload comes last."""
    with Chart.load(chart) as loaded:
        files = loaded.render(values, name=name, namespace=namespace)
    found = [one for text in files.values() for one in yaml.safe_load_all(text) if one]
    yield from sorted(found, key=lambda one: one["kind"] in ("StatefulSet", "Deployment"))


def until(what: str, check: Callable[[], Any], seconds: float = 60.0) -> Any:
    """Return what `check` returns once that is true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := check():
            return found
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds:.0f} s: {what}")


def statefulset_ready(client: Client, name: str, namespace: str, seconds: float = 90.0) -> None:
    """Return once the one engine pod is ready."""

    def ready() -> bool:
        found = client.get("apps/v1", "StatefulSet", name, namespace) or {}
        return bool(found.get("status", {}).get("readyReplicas") == 1)

    until(f"engine {namespace}/{name}", ready, seconds)


def kubeconfig_secret(client: Client, name: str, namespace: str, folder: Path) -> dict[str, Path]:
    """Write the parts of Secret vc-NAME to files in `folder`; return them by key."""
    secret = client.get("v1", "Secret", f"vc-{name}", namespace)
    assert secret is not None
    files = {key: folder / key for key in secret["data"]}
    for key, path in files.items():
        path.write_bytes(base64.b64decode(secret["data"][key]))
    return files


def remove(client: Client, namespace: str, seconds: float = 60.0) -> None:
    """Delete the namespace and return once it is gone."""
    client.delete("v1", "Namespace", namespace)
    until(f"{namespace} is gone", lambda: client.get("v1", "Namespace", namespace) is None, seconds)
