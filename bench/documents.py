"""The repositories of the benchmarks: one profile, and nested clusters that differ in their names and one value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

API = "nidus.dev/v1alpha1"
PROFILE = "profiles/bench.yaml"
VARIABLE = "stamp"


def name_of(number: int) -> str:
    """The name of cluster `number`."""
    return f"b{number:05d}"


def path_of(number: int) -> str:
    """Its file in the repository."""
    return f"clusters/{name_of(number)}.yaml"


def profile(objects: int, name: str = "bench", packs: Iterable[Mapping[str, Any]] = ()) -> str:
    """One pack of plain objects, a namespace of the cluster's own and ConfigMaps that hold the variable; then these packs."""
    inside = "${{ cluster.name }}-web"
    items: list[dict[str, Any]] = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": inside}}]
    for number in range(objects):
        metadata = {"name": f"settings-{number}", "namespace": inside}
        data = {"stamp": "${{ variables.stamp }}", "text": "x" * 200}  # one each: YAML aliases are refused
        items.append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})
    spec = {
        "version": "1.0.0",
        "variables": [{"name": VARIABLE, "default": "0"}],
        "packs": [{"name": "web", "manifests": {"objects": items}}, *packs],
    }
    return yaml.safe_dump(_document("ClusterProfile", name, spec), sort_keys=False)


def cluster(number: int, stamp: str, profile: str = "bench") -> str:
    """A cluster's document, about 1 KB as people write them, with `stamp` as its value."""
    return CLUSTER.format(name=name_of(number), team=number % 50, stamp=stamp, profile=profile)


def fill(folder: Path, clusters: int, objects: int, running: int | None = None) -> None:
    """Write the profile and `clusters` documents below `folder`, all but the first `running` suspended before they ever stood."""
    for path in (PROFILE, path_of(0)):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / PROFILE).write_text(profile(objects))
    for number in range(clusters):
        suspended = SUSPENDED if running is not None and number >= running else ""
        (folder / path_of(number)).write_text(cluster(number, "0") + suspended)


def _document(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": API, "kind": kind, "metadata": {"name": name}, "spec": spec}


SUSPENDED = "  suspend: {reason: a document without a nested cluster behind it in this benchmark}\n"
CLUSTER = """\
# A nested cluster of the benchmark: what a team would write, with the comments people leave in such files.
apiVersion: nidus.dev/v1alpha1
kind: NestedCluster
metadata:
  name: {name}
  labels: {{team: t{team}, stage: bench}}
spec:
  description: Cluster {name} of team t{team}

  # Size of the control plane: one replica keeps its data in SQLite on a volume.
  controlPlane:
    replicas: 1
    store: {{type: sqlite, size: 2Gi}}
    resources:
      requests: {{cpu: 1m, memory: 1Mi}}
      limits: {{memory: 1Gi}}

  # What the team may use on the host, all its pods together; what the engine itself needs is added on top.
  quota: {{cpu: "4", memory: 4Gi, storage: 10Gi, pods: 30, services: 15}}

  # The software inside: one profile, with one value that the benchmark changes.
  profiles:
    - name: {profile}
      version: 1.0.0
      variables: {{stamp: "{stamp}"}}
"""
