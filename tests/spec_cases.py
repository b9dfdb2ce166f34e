"""A small repository for the tests of `spec`: files in, snapshot out."""

import hashlib
from collections.abc import Mapping
from typing import Any

from reconciler.model import EngineChart, HostFacts, Limits, Revision, Rules, Snapshot, Tree
from reconciler.spec import load

FACTS = HostFacts("local", namespace="nidus-system")
RULES = Rules(
    namespace_pattern="vcluster-{name}",
    engines=(EngineChart("0.36.1", "d", (("Chart.yaml", "e1"),)),),
    kubernetes_versions=("v1.35.0", "v1.36.0"),
)
PROFILE = """\
apiVersion: nidus.dev/v1alpha1
kind: ClusterProfile
metadata: {name: web}
spec:
  version: 1.2.0
  variables:
    - {name: domain, required: true, pattern: '[a-z.]+'}
    - {name: replicas, type: integer, default: 2, minimum: 1, maximum: 10}
    - {name: zone, immutable: true, default: a}
  packs:
    - name: base
      namespace: web
      manifests: {files: ["web/*.yaml"]}
    - name: front
      helm:
        chart: {path: ../charts/front}
        values: {replicas: "${{ variables.replicas }}", host: "www.${{ variables.domain }}"}
        valuesFiles: [front.yaml]
"""
CLUSTER = """\
apiVersion: nidus.dev/v1alpha1
kind: NestedCluster
metadata: {name: team-a, labels: {team: a}}
spec:
  namespaces: [{name: web, labels: {team: a}, quota: {cpu: "2", pods: 5}}]
  profiles:
    - {name: web, version: "1.2.x", variables: {domain: a.example.com}, values: {front: {debug: true}}}
"""
FILES = {
    "profiles/web.yaml": PROFILE,
    "profiles/front.yaml": "logLevel: info\nteam: ${{ cluster.labels.team }}\n",
    "profiles/web/config.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: config}\ndata: {cluster: '${{ cluster.name }}'}\n",
    "charts/front/Chart.yaml": "apiVersion: v2\nname: front\nversion: 0.1.0\n",
    "charts/front/templates/a.yaml": "{{ if false }}not yaml: [, nidus.dev/{{ end }}\n",
    "clusters/team-a.yaml": CLUSTER,
    ".github/workflows/ci.yaml": "on: push\n",
}


def tree(files: Mapping[str, str]) -> tuple[Tree, dict[str, bytes]]:
    oids = {path: hashlib.sha1(text.encode()).hexdigest() for path, text in sorted(files.items())}
    blobs = {oids[path]: text.encode() for path, text in files.items()}
    return Tree("t", oids, {oid: len(data) for oid, data in blobs.items()}), blobs


def snapshot(
    files: Mapping[str, str], known: load.Known = load.NOTHING, rules: Rules = RULES, **more: Any
) -> tuple[Snapshot, load.Known]:
    """Loads the files, handing over only the blobs that were asked for."""
    whole, blobs = tree(files)
    wanted = {oid: blobs[oid] for oid in load.wanted(whole, known)}
    return load.load("platform", Revision("main", "c"), whole, wanted, known, rules, FACTS, Limits(), **more)


def edited(path: str, old: str, new: str, files: Mapping[str, str] = FILES) -> dict[str, str]:
    assert old in files[path], (path, old)
    return {**files, path: files[path].replace(old, new)}


def told(found: Snapshot) -> list[tuple[str, int, str, str]]:
    return [(one.path, one.line, str(one.code), one.subject) for one in found.violations]
