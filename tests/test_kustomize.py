"""Pack kind `kustomize`: what is read, what is refused before anything is built, and builds in a confined worker (K5)."""

import json
import os
import posixpath
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from reconciler.__main__ import main
from reconciler.errors import Stalled
from reconciler.model import Bundle, Layer, Violation
from reconciler.packs import kustomize
from reconciler.packs.render import Renderer
from reconciler.packs.wire import Job
from reconciler.spec import resolve
from tests.documents import cluster, profile
from tests.spec_cases import FACTS, RULES, snapshot, tree
from tests.waiting import until

BASE = "resources: [deployment.yaml, config.yaml]\n"
OVERLAY = """\
namespace: web
namePrefix: prod-
resources: [../../base]
images: [{name: nginx, newTag: "1.29"}]
patches:
  - {path: replicas.yaml, target: {kind: Deployment}}
configMapGenerator:
  - {name: made, files: [motd.txt, other=motd.txt], options: {disableNameSuffixHash: true}}
"""
DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: nginx}]}
"""
CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: config}\ndata: {text: '${{ stays }}'}\n"
FILES = {
    "base/kustomization.yaml": BASE,
    "base/deployment.yaml": DEPLOYMENT,
    "base/config.yaml": CONFIG,
    "overlays/prod/kustomization.yaml": OVERLAY,
    "overlays/prod/replicas.yaml": "- {op: replace, path: /spec/replicas, value: 3}\n",
    "overlays/prod/motd.txt": "hello\n",
    "a.yaml": cluster("a"),
    "p.yaml": profile({"name": "web", "namespace": "web", "kustomize": {"path": "overlays/prod"}}),
}


@pytest.fixture(scope="module")
def renderer() -> Iterator[Renderer]:
    made = Renderer(1)
    yield made
    made.close()


def wrong(files: Mapping[str, str]) -> list[Violation]:
    return [one for one in snapshot(files)[0].violations if one.code != "NID143"]


def layer(files: Mapping[str, str]) -> Layer:
    found = snapshot(files)[0]
    assert found.violations == ()
    bundle: Bundle = resolve.bundle("a", found.content, RULES, FACTS)
    return next(one for one in bundle.layers if one.name == "web/web")


def built(renderer: Renderer, files: Mapping[str, str]) -> dict[str, Any]:
    blobs = tree(files)[1]
    made = renderer.render(layer(files), lambda oids: {oid: blobs[oid] for oid in oids}, host_version="v1.36.0")
    return {f"{one['kind']}/{one['metadata']['name']}": one for one in made}


def test_an_overlay_is_built_with_its_base(renderer: Renderer) -> None:
    made = built(renderer, FILES)
    assert set(made) == {"Deployment/prod-web", "ConfigMap/prod-config", "ConfigMap/prod-made"}
    deployment = made["Deployment/prod-web"]
    assert (deployment["spec"]["replicas"], deployment["metadata"]["namespace"]) == (3, "web")
    assert deployment["spec"]["template"]["spec"]["containers"][0]["image"] == "nginx:1.29"
    assert made["ConfigMap/prod-made"]["data"] == {"motd.txt": "hello\n", "other": "hello\n"}
    assert made["ConfigMap/prod-config"]["data"] == {"text": "${{ stays }}"}


def test_only_the_files_that_it_needs_are_read_and_each_of_them_counts() -> None:
    files = {**FILES, "overlays/prod/README.yaml": "a: 1\n", "base/unused.yaml": "b: 1\n"}
    one = layer(files)
    assert [path for path, _ in one.files] == [
        "base/config.yaml",
        "base/deployment.yaml",
        "base/kustomization.yaml",
        "overlays/prod/kustomization.yaml",
        "overlays/prod/motd.txt",
        "overlays/prod/replicas.yaml",
    ]
    assert layer({**files, "base/unused.yaml": "b: 2\n"}).digest == one.digest
    assert layer({**files, "overlays/prod/motd.txt": "bye\n"}).digest != one.digest


REFUSED = {
    "a remote base": ("resources: ['https://github.com/acme/base?ref=v1']\n", "is remote, and nothing is fetched"),
    "a remote file": ("resources: ['https://example.com/a.yaml']\n", "is remote, and nothing is fetched"),
    "a base by ssh": ("bases: ['git@github.com:acme/base.git']\n", "is remote, and nothing is fetched"),
    "a base by the name of its host": ("components: ['github.com/acme/base']\n", "is remote, and nothing is fetched"),
    "a remote patch": ("patches: [{path: 'https://example.com/p.yaml'}]\n", "is remote, and nothing is fetched"),
    "a remote schema": ("openapi: {path: 'https://example.com/s.json'}\n", "is remote, and nothing is fetched"),
    "a remote file of a generator": (
        "configMapGenerator: [{name: a, files: ['a=https://example.com/p']}]\n",
        "is remote",
    ),
    "a remote patch in other letters": (
        "patches: [{Path: 'https://example.com/p.yaml'}]\n",
        "unknown field Path in patches",
    ),
    "a remote patch beside one": (
        "patches: [{path: base/config.yaml, PATH: 'https://example.com/p.yaml'}]\n",
        "unknown field PATH in patches",
    ),
    "a remote patch of before in other letters": (
        "patchesJson6902: [{pAth: 'https://example.com/p.yaml'}]\n",
        "unknown field pAth in patchesJson6902",
    ),
    "a remote replacement in other letters": (
        "replacements: [{Path: 'https://example.com/p.yaml'}]\n",
        "unknown field Path in replacements",
    ),
    "a remote schema in other letters": (
        "openapi: {Path: 'https://example.com/s.json'}\n",
        "unknown field Path in openapi",
    ),
    "remote files in other letters": (
        "configMapGenerator: [{name: a, Files: ['a=https://example.com/p']}]\n",
        "unknown field Files in configMapGenerator",
    ),
    "remote files in letters that only look so": (
        "configMapGenerator: [{name: a, file\u017f: ['a=https://example.com/p']}]\n",
        "unknown field",
    ),
    "a merge of mappings": ("patches: [{<<: {path: 'https://example.com/p.yaml'}}]\n", ""),
    "a remote configuration on two lines": ('configurations: ["https://example.com/c\\n"]\n', "is remote"),
    "a path from the root": ("resources: [/etc/passwd]\n", "outside the source path"),
    "a path out of the repository": ("resources: [../../../etc]\n", "outside the source path"),
    "a file of the machine": (
        "configMapGenerator: [{name: a, envs: [/proc/self/environ]}]\n",
        "outside the source path",
    ),
    "a generator": ("generators: [g.yaml]\n", "plugins are not run"),
    "a transformer": ("transformers: [g.yaml]\n", "plugins are not run"),
    "a validator": ("validators: [g.yaml]\n", "plugins are not run"),
    "a chart": ("helmCharts: [{name: a, repo: 'https://charts.example.com'}]\n", "write a pack of kind helm"),
    "a chart of before": ("helmChartInflationGenerator: [{chartName: a}]\n", "write a pack of kind helm"),
    "a Secret": ("secretGenerator: [{name: a, literals: [a=b]}]\n", "keep secrets out of the repository"),
    "an unknown field": ("resource: [a.yaml]\n", "unknown field resource"),
    "another form": ("- a\n", "unknown field"),
    "two documents": ("resources: []\n---\nresources: []\n", "one mapping is expected"),
    "no list": ("resources: base\n", "resources is a list"),
    "no path": ("resources: [1]\n", "an item of resources is a path"),
    "no mapping": ("patches: [a.yaml]\n", "an item of patches is a mapping"),
    "no YAML": ("resources: [\n", "kustomization.yaml:"),
    "what is too large": ("resources: []\n" + "#" * (257 << 10), "larger than 256 KiB"),
    "aliases": ("a: &a [x]\nresources: *a\n", "kustomization.yaml:1:"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_before_anything_is_built(case: str) -> None:
    text, told = REFUSED[case]
    (found,) = wrong({**FILES, "overlays/prod/kustomization.yaml": text})
    assert (found.code, found.pointer) == ("NID196", "/spec/packs/0/kustomize/path")
    assert told in f"{found.message} {found.hint}"


SHADOWED = {
    "a file": ("resources: ['%s']", "https://HOST/c.yaml"),
    "a file with one slash": ("resources: ['%s']", "https:/HOST/c.yaml"),
    "a file of the machine": ("resources: ['%s']", "file:/HOST/c.yaml"),
    "a base": ("resources: ['%s']", "https://HOST/c?ref=v1"),
    "a base with a query": ("resources: ['%s']", "c?ref=v1"),
    "an old base": ("bases: ['%s']", "ssh://HOST/c"),
    "a component by ssh": ("components: ['%s']", "git@HOST:acme/c"),
    "a user before a folder": ("resources: ['%s']", "git@HOST/acme/c"),
    "GitHub": ("resources: ['%s']", "GitHub.com/acme/c"),
    "GitHub in a letter that Go takes for an i": ("resources: ['%s']", "g\u0130thub.com/acme/c"),
    "a prefix for git": ("resources: ['%s']", "git::HOST/c"),
    "a file by http": ("resources: ['%s']", "http://HOST/c.yaml"),
    "a definition": ("crds: ['%s']", "http://HOST/c.yaml"),
    "a configuration": ("configurations: ['%s']", "http://HOST/c.yaml"),
    "an old patch": ("patchesStrategicMerge: ['%s']", "http://HOST/c.yaml"),
    "a patch": ("patches: [{path: '%s'}]", "http://HOST/c.yaml"),
    "a patch of before": ("patchesJson6902: [{path: '%s', target: {kind: ConfigMap}}]", "http://HOST/c.yaml"),
    "a replacement": ("replacements: [{path: '%s'}]", "http://HOST/c.yaml"),
    "a file of a generator": ("configMapGenerator: [{name: a, files: ['a=%s']}]", "http://HOST/c.yaml"),
    "variables of a generator": ("configMapGenerator: [{name: a, envs: ['%s']}]", "http://HOST/c.yaml"),
    "one file of variables": ("configMapGenerator: [{name: a, env: '%s'}]", "http://HOST/c.yaml"),
    "a schema": ("openapi: {path: '%s'}", "http://HOST/c.yaml"),
}


def shadowed(case: str, host: str = "example.com") -> dict[str, str]:
    """A kustomization, and the repository's files at every path that its address could be folded to."""
    text, address = SHADOWED[case]
    address = address.replace("HOST", host)
    files = {"k/kustomization.yaml": text % address}
    for path in (address, address.partition("?")[0]):
        place = posixpath.normpath(f"k/{path}")
        files |= {place: CONFIG} if path.endswith(".yaml") else {f"{place}/kustomization.yaml": "resources: []\n"}
    return files


@pytest.mark.parametrize("case", SHADOWED)
def test_an_address_is_refused_also_where_a_file_lies_at_its_path(case: str) -> None:
    files = {**FILES, **shadowed(case), "p.yaml": profile({"name": "web", "kustomize": {"path": "k"}})}
    (found,) = wrong(files)
    assert found.code == "NID196" and "is remote, and nothing is fetched" in found.message


@pytest.mark.parametrize("case", [case for case in SHADOWED if "http://HOST" in SHADOWED[case][1]])
def test_a_worker_with_a_network_asks_no_address_either(case: str, tmp_path: Path) -> None:
    """A person's `plan`, `validate` or `render` may have one; the loader is passed by here."""
    asked: list[str] = []

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *words: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        files = {path: text.encode() for path, text in shadowed(case, f"127.0.0.1:{server.server_port}").items()}
        with pytest.raises(Stalled) as refused:
            kustomize.render(Job("kustomize", "", {"path": "k"}, files, {}, "v1.36.0", authored=True))
        server.shutdown()
        thread.join()
    assert asked == [] and "is remote" in refused.value.message


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("../base//config.yaml", "is remote"),
        ("../base/./config.yaml", "not the plain form of a path"),
        ("../base/../base/config.yaml", "write ../base/config.yaml"),
        ("./config.yaml", ""),
        ("./../base/", ""),
        ("icons@2x.png", "is remote"),
        ("./icons@2x.png", ""),
    ],
)
def test_a_path_is_its_own_plain_form(path: str, told: str) -> None:
    there = {"base/kustomization.yaml": "resources: []\n", "base/config.yaml": CONFIG, "k/config.yaml": CONFIG}
    files = {**FILES, **there, "k/icons@2x.png": "", "k/kustomization.yaml": f"resources: ['{path}']\n"}
    found = wrong({**files, "p.yaml": profile({"name": "web", "kustomize": {"path": "k"}})})
    assert [told in f"{one.message} {one.hint}" for one in found] == ([True] if told else [])


@pytest.mark.parametrize(
    "pack",
    [
        {"manifests": {"files": ["base//*.yaml"]}},
        {"manifests": {"files": ["overlays/../base/config.yaml"]}},
        {"helm": {"chart": {"path": "charts//web"}}},
        {"helm": {"chart": {"path": "charts/web"}, "valuesFiles": ["charts/./values.yaml"]}},
        {"kustomize": {"path": "overlays//prod"}},
    ],
)
def test_every_path_of_a_profile_is_its_own_plain_form(pack: dict[str, Any]) -> None:
    chart = {"charts/web/Chart.yaml": "apiVersion: v2\nname: web\nversion: 1.0.0\n", "charts/values.yaml": "a: 1\n"}
    (found,) = wrong({**FILES, **chart, "p.yaml": profile({"name": "web", **pack})})
    assert found.code == "NID150" and "not the plain form of a path" in found.message


def test_a_base_is_judged_as_the_overlay_is() -> None:
    (found,) = wrong({**FILES, "base/kustomization.yaml": "resources: ['https://github.com/acme/base']\n"})
    assert found.message == "base/kustomization.yaml: https://github.com/acme/base is remote, and nothing is fetched"


def test_folders_that_lead_to_each_other_end() -> None:
    (found,) = wrong({**FILES, "base/kustomization.yaml": "resources: [../overlays/prod]\n"}) or (None,)
    assert found is None  # the build itself tells the circle
    many = {f"n{number}/kustomization.yaml": f"resources: [../n{number + 1}]\n" for number in range(150)}
    (found,) = wrong({**FILES, **many, "overlays/prod/kustomization.yaml": "resources: [../../n0]\n"})
    assert found is not None and "leads to more than 100 folders" in found.message


@pytest.mark.parametrize(
    ("path", "code"),
    [("overlays/none", "NID196"), ("base/deployment.yaml", "NID196"), ("../outside", "NID150"), ("", "NID125")],
)
def test_a_folder_without_a_kustomization_is_told(path: str, code: str) -> None:
    found = wrong({**FILES, "p.yaml": profile({"name": "web", "kustomize": {"path": path}})})
    assert [one.code for one in found] == [code]


def test_what_the_program_refuses_is_told_in_its_words_without_our_paths(renderer: Renderer) -> None:
    files = {**FILES, "base/kustomization.yaml": "resources: [../overlays/prod]\n"}
    with pytest.raises(Stalled) as refused:
        built(renderer, files)
    assert refused.value.reason == "RenderFailed"
    assert "cycle detected" in refused.value.message and "nidus-kustomize" not in refused.value.message


@pytest.mark.parametrize(
    ("manifest", "told"),
    [
        ("apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringData: {a: b}\n", "a Secret with literal stringData"),
        (
            "apiVersion: v1\nkind: Namespace\nmetadata: {name: a, labels: {pod-security.kubernetes.io/enforce: privileged}}\n",
            "belongs to the engine",
        ),
    ],
)
def test_what_no_repository_may_say_is_judged_on_what_is_built(manifest: str, told: str, renderer: Renderer) -> None:
    with pytest.raises(Stalled, match=told) as refused:
        built(renderer, {**FILES, "base/config.yaml": manifest})
    assert refused.value.reason == "ObjectRefused"


def test_a_file_outside_of_its_own_folder_is_refused_by_the_program(renderer: Renderer) -> None:
    files = {**FILES, "overlays/prod/kustomization.yaml": "resources: [../../base/config.yaml]\n"}
    with pytest.raises(Stalled, match="is not in or below"):
        built(renderer, files)


BUILD = """
import sys
from reconciler.packs import confine, kustomize
from reconciler.packs.wire import Job
kustomize._program = lambda: sys.argv[1]
held = confine.leave_network()
kustomize.render(Job("kustomize", "", {"path": ""}, {"kustomization.yaml": b"{}"}, {}, "v1.36.0"))
sys.exit(0 if held else 3)
"""


def program(folder: Path, script: str) -> list[str]:
    """A confined build, as a worker does it, with a program in kubectl's place."""
    file = folder / "kubectl"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    return [sys.executable, "-c", BUILD, str(file)]


def test_the_build_reaches_no_network_and_sees_nothing_of_ours(tmp_path: Path) -> None:
    told = tmp_path / "told"
    words = program(tmp_path, f"cat /proc/net/dev > {told}; env >> {told}; echo 'items: []'; echo 'kind: List'")
    subprocess.run(words, env={**os.environ, "NIDUS_SECRET": "s3cret"}, check=True, timeout=30)
    said = told.read_text()
    assert {line.split(":")[0].strip() for line in said.splitlines() if ":" in line and "|" not in line} <= {"lo"}
    assert "NIDUS" not in said and "HOME=" in said


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process of its parent's end")
def test_the_build_ends_with_its_worker(tmp_path: Path) -> None:
    number = tmp_path / "number"
    worker = subprocess.Popen(program(tmp_path, f"echo $$ > {number}; exec sleep 60"))
    assert until(lambda: number.exists() and number.read_text().endswith("\n"))
    worker.kill()
    worker.wait(60)
    build = Path("/proc") / number.read_text().strip() / "stat"
    assert until(lambda: not build.exists() or build.read_text().split()[2] == "Z")


def test_validate_and_render_as_a_user_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for path, text in FILES.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    monkeypatch.chdir(tmp_path)
    assert main(["validate", "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["warnings"] == []
    assert main(["render", "a", "web/web"]) == 0
    assert "prod-web" in capsys.readouterr().out
