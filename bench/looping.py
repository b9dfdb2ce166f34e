"""The repository of a hostile source: clusters with charts that loop from a commit on, and plain ones for slow API servers."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import yaml

from bench import documents

PACKS: Final = 15
"""Looping charts of one cluster."""
FIRST_LOOPING, FIRST_SLOW = 50_000, 60_000
ROUNDS: Final = 100_000
"""Squared, the steps of one template: hours."""
LOOP: Final = "{{ range until (int .Values.rounds) }}{{ range until (int $.Values.rounds) }}{{ end }}{{ end }}\n"
CONFIG: Final = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: "loop-{{ .Values.number }}", namespace: "{{ .Values.home }}"}
data: {stamp: "{{ .Values.stamp }}"}
"""


def fill(folder: Path, looping: range, slow: range) -> Path:
    """Write a repository in which nothing loops yet; returns its folder."""
    chart = folder / "charts" / "loop"
    files = {
        folder / documents.PROFILE: documents.profile(1),
        folder / "profiles" / "loop.yaml": _profile(),
        chart / "Chart.yaml": "apiVersion: v2\nname: loop\nversion: 1.0.0\n",
        chart / "templates" / "config.yaml": CONFIG + LOOP,
        **{folder / documents.path_of(number): cluster(number, "0", 0) for number in (*looping, *slow)},
    }
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def _profile() -> str:
    home = "${{ cluster.name }}-web"
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": home}}
    values = {"home": home, "stamp": "${{ variables.stamp }}", "rounds": "${{ variables.rounds }}"}
    packs: list[dict[str, object]] = [
        {
            "name": f"loop-{number}",
            "helm": {"chart": {"path": "../charts/loop"}, "values": {"number": str(number), **values}},
        }
        for number in range(PACKS)
    ]
    variables = [{"name": "stamp", "default": "0"}, {"name": "rounds", "default": "0"}]
    spec = {
        "version": "1.0.0",
        "variables": variables,
        "packs": [{"name": "web", "manifests": {"objects": [namespace]}}, *packs],
    }
    document = {"apiVersion": documents.API, "kind": "ClusterProfile", "metadata": {"name": "loop"}, "spec": spec}
    return yaml.safe_dump(document, sort_keys=False)


def cluster(number: int, stamp: str, rounds: int) -> str:
    """The document of a cluster whose charts loop for `rounds` squared steps, or of one whose API server is slow."""
    text = documents.cluster(number, stamp)
    if number >= FIRST_SLOW:
        return text
    said = f'variables: {{stamp: "{stamp}", rounds: "{rounds}"}}'
    return text.replace("- name: bench", "- name: loop").replace(f'variables: {{stamp: "{stamp}"}}', said)
