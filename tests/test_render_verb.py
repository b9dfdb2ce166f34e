"""`nidus render`: what would be applied, from a folder, with no cluster in reach and no secret in sight."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from devhost import stage
from reconciler.__main__ import main
from tests.house.documents import ROOT

CLUSTER = """\
apiVersion: nidus.dev/v1alpha1
kind: NestedCluster
metadata: {name: red}
spec:
  profiles: [{name: base, version: 1.0.0}]
"""
PROFILE = """\
apiVersion: nidus.dev/v1alpha1
kind: ClusterProfile
metadata: {name: base}
spec:
  version: 1.0.0
  packs:
    - name: plain
      namespace: web
      manifests:
        objects:
          - {apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {k: v}}
          - {apiVersion: shop.dev/v1, kind: Till, metadata: {name: b}, spec: {x: 1}}
          - apiVersion: shop.dev/v1
            kind: TillCredentials
            metadata: {name: c}
            spec: {users: [{name: canary-user, ports: [canary-port]}]}
    - name: chart
      namespace: web
      helm: {chart: {path: chart}}
"""
CHART = "apiVersion: v2\nname: chart\nversion: 1.0.0\n"
TEMPLATE = """\
apiVersion: v1
kind: Secret
metadata:
  name: d
  annotations: {kubectl.kubernetes.io/last-applied-configuration: canary-copy}
type: Opaque
stringData: {password: canary-text}
data: {key: Y2FuYXJ5LWJ5dGVz}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: e}
data:
  monitoring: {{ .Capabilities.APIVersions.Has "monitoring.coreos.com/v1" | quote }}
  batch: {{ .Capabilities.APIVersions.Has "batch/v1" | quote }}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    files = {"red.yaml": CLUSTER, "base.yaml": PROFILE, "chart/Chart.yaml": CHART, "chart/templates/a.yaml": TEMPLATE}
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_no_secret_value_is_printed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for form in ("yaml", "json"):
        assert main(["render", "red", "--folder", str(folder), "-o", form]) == 0
        told = capsys.readouterr()
        assert "canary" not in told.out + told.err and "Y2FuYXJ5" not in told.out
        assert "(sensitive, sha256:" in told.out and "password" in told.out


def test_objects_are_placed_and_marked(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["render", "red", "base/plain", "--folder", str(folder)]) == 0
    told = capsys.readouterr()
    first, second, _ = yaml.safe_load_all(told.out)
    assert first["metadata"]["namespace"] == "web" and first["data"] == {"k": "v"}
    assert first["metadata"]["labels"]["inside.nidus.dev/layer"] == "base.plain"
    assert "annotations" not in first["metadata"] and "namespace" not in second["metadata"]
    assert "whether Till of base/plain has a namespace" in told.err


def test_what_a_chart_may_ask_for_is_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["render", "red", "base/chart", "--folder", str(folder)]) == 0
    told = capsys.readouterr()
    found = list(yaml.safe_load_all(told.out))[-1]
    assert found["data"] == {"monitoring": "false", "batch": "true"}
    assert "which base/chart asks for (Capabilities.APIVersions): those of Kubernetes v1.36.0" in told.err


def test_a_layer_that_breaks_does_not_hide_the_others(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "chart" / "templates" / "b.yaml").write_text("{{ fail `no` }}")
    assert main(["render", "red", "--folder", str(folder), "-o", "json"]) == 1
    told = capsys.readouterr()
    assert [one["name"] for one in json.loads(told.out)["layers"]] == ["namespace", "policies", "base/plain"]
    assert "error: layer base/chart cannot be rendered: RenderFailed" in told.err


def test_the_operators_settings_bring_the_engine(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = folder.parent / "nidus.yaml"
    engine = {"versions": [{"version": "0.36.1", "chart": {"path": str(ROOT / "devhost" / "chart")}}]}
    spec = {"sources": [{"name": "s", "url": str(folder)}], "engine": {**engine, "kubernetesVersions": ["v1.35.0"]}}
    head = {"apiVersion": "nidus.dev/v1alpha1", "kind": "ControllerConfig"}
    config.write_text(yaml.safe_dump({**head, "spec": {**spec, "ceilings": stage.CEILINGS}}))
    assert main(["render", "red", "engine", "--folder", str(folder), "--config", str(config)]) == 0
    told = capsys.readouterr()
    assert {"StatefulSet", "Service"} <= {one["kind"] for one in yaml.safe_load_all(told.out)}
    assert "charts of the host see v1.35.0" in told.err and "engine" not in told.err


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["rad"], 1, "did you mean red?"),
        (["payments"], 1, "there are: red"),
        (["red", "base/plane"], 1, "did you mean base/plain?"),
        (["red", "engine"], 64, "--config FILE"),
    ],
    ids=["cluster", "unknown", "layer", "engine"],
)
def test_wrong_words(folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, told: str) -> None:
    assert main(["render", *words, "--folder", str(folder)]) == code
    assert told in capsys.readouterr().err


def test_a_broken_cluster_names_its_mistake(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "red.yaml").write_text(CLUSTER.replace("profiles", "profils"))
    assert main(["render", "red", "--folder", str(folder)]) == 1
    assert "red.yaml:5:3: NID122" in capsys.readouterr().err


def test_the_sample_renders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(ROOT / "sample-repo", tmp_path / "sample")
    for name in ("sandbox", "team-a-dev", "team-a-prod", "team-b"):
        assert main(["render", name, "--folder", str(tmp_path / "sample")]) == 0
        assert list(yaml.safe_load_all(capsys.readouterr().out))
