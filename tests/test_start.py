"""What a verb may load before it has anything to do: start-up is what people wait for most often."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bench.start import PLAN
from tests import shell
from tests.answering import kubeconfig
from tests.house.documents import ROOT
from tests.memory.http import Front

NEVER = {
    "shtab",
    "flask",
    "werkzeug",
    "waitress",
    "watchdog",
    "git",
    "prometheus_client",
    "helm_python",
    "cryptography",
    "opentelemetry",
}
HELP = {"shutil", "bz2", "http", "email", "ssl", "socket"}
REQUESTS = {"kubernetes", "urllib3", "dateutil", "requests", "websocket"}
DOCUMENTS = {"yaml", "msgspec", "jsonschema_rs", "jsonschema", "referencing"}
FOLDER = {
    "reconciler.controller",
    "reconciler.kube",
    "reconciler.apply",
    "reconciler.inventory",
    "reconciler.reconcile",
}
SELDOM = {"cronsim", "zoneinfo", "difflib", "concurrent", "logging"}  # a schedule, a mistake, something to render
LATER = SELDOM | {"jsonschema_rs", "email", "shutil", "subprocess", "tempfile", "ssl"}  # a document, Git, a request
FILES = {
    "profile.yaml": """apiVersion: nidus.dev/v1alpha1
kind: ClusterProfile
metadata: {name: web}
spec:
  version: 1.0.0
  packs:
    - {name: web, namespace: web, manifests: {files: [map.yaml]}}
""",
    "cluster.yaml": """apiVersion: nidus.dev/v1alpha1
kind: NestedCluster
metadata: {name: red}
spec: {profiles: [{name: web, version: 1.0.0}]}
""",
    "map.yaml": "{apiVersion: v1, kind: ConfigMap, metadata: {name: x}, data: {a: b}}",
}
PROGRAM = """
import sys
from reconciler.__main__ import main
try:
    main(sys.argv[1:])
finally:
    print(*sys.modules, file=sys.stderr)
"""


def loaded(folder: Path, *words: str) -> set[str]:
    """The modules and packages that a verb has loaded when it ends."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        cwd=folder,
    )
    modules = done.stderr.strip().splitlines()[-1].split()
    assert "reconciler.__main__" in modules, done.stderr
    return {".".join(name.split(".")[:depth]) for name in modules for depth in (1, 2)}


@pytest.mark.parametrize(
    ("words", "not_these"),
    [
        (
            ["--help"],
            NEVER | REQUESTS | DOCUMENTS | FOLDER | HELP | {"reconciler.model", "subprocess", "json", "typing"},
        ),
        (["status", "--help"], NEVER | REQUESTS | DOCUMENTS | FOLDER | HELP | {"reconciler.model", "reconciler.spec"}),
        (["plan", "--help"], NEVER | REQUESTS | DOCUMENTS | FOLDER | HELP | {"reconciler.model", "reconciler.spec"}),
        (["validate"], NEVER | REQUESTS | FOLDER | {"jsonschema", "referencing"}),
        (["validate", "--no-render", "small"], NEVER | REQUESTS | FOLDER | SELDOM | {"jsonschema", "referencing"}),
        (["validate", "empty"], NEVER | REQUESTS | FOLDER | LATER),
        (
            ["status", "--kubeconfig", "none"],
            NEVER | REQUESTS | LATER | {"jsonschema", "reconciler.controller", "reconciler.spec"},
        ),
        (["plan", "--kubeconfig", "none"], NEVER | REQUESTS | SELDOM | {"jsonschema", "reconciler.controller"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_nothing_heavy_is_loaded_before_it_is_needed(tmp_path: Path, words: list[str], not_these: set[str]) -> None:
    for name in ("small", "empty"):
        (tmp_path / name).mkdir()
    for name, text in FILES.items():
        (tmp_path / "small" / name).write_text(text)
    assert loaded(tmp_path, *words) & not_these == set()


def test_a_plan_loads_nothing_of_what_only_runs_on() -> None:
    """Reports, metrics, queues and threads are the controller's."""
    program = "import reconciler.review, reconciler.gather.servers, reconciler.verbs.planning, sys; print(*sys.modules)"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=120)
    found = {".".join(name.split(".")[:depth]) for name in done.stdout.split() for depth in (1, 2)}
    assert "reconciler.review" in found, done.stderr
    writes = {"reconciler.controller", "reconciler.report", "reconciler.apply", "reconciler.reconcile"}
    assert found & (NEVER | writes | {"dashboard", "webhook"}) == set()


def test_a_plan_loads_no_client_before_its_first_request() -> None:
    """`bench start` measures these modules (G11)."""
    program = f"{PLAN}\nimport sys\nprint(*sys.modules)"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=120)
    assert "reconciler.review" in done.stdout.split(), done.stderr
    assert {name.partition(".")[0] for name in done.stdout.split()} & (NEVER | REQUESTS | LATER) == set()


def test_a_start_compiles_no_pattern() -> None:
    """`reconciler.patterns`: a tenth of the start was patterns, most of which the verb then did not use."""
    found = r"""
import re
for name, module in [*sys.modules.items()]:
    if name.startswith("reconciler"):
        print(name, *(key for key, value in vars(module).items() if isinstance(value, re.Pattern)))
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    program = f"{PLAN}\nimport sys\n{found}"
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=120)
    lines = done.stdout.splitlines()
    assert len(lines) > 100 and [line for line in lines if " " in line] == [], done.stderr


def test_a_request_with_a_token_loads_no_official_client(tmp_path: Path) -> None:
    """Docs/decisions/0027-plain-credentials.md; of the client the request itself is loaded."""
    with Front(shell.installed("nidus-system")) as front:
        found = loaded(tmp_path, "status", "--kubeconfig", str(kubeconfig(tmp_path, front.url)))
    assert found & {"kubernetes", "pydantic", "urllib3"} == {"urllib3"}


def test_a_value_is_a_struct_unless_it_cannot_be_one() -> None:
    """A class of a dataclass costs forty times as much, at every start (docs/decisions/0022-values.md). A verb has few,
    and its --help does not load msgspec."""
    value = re.compile(
        r"^@(?:dataclasses\.)?dataclass\(.*frozen=True.*\)\nclass (\w+).*\n((?:(?: .*)?\n)*)", re.MULTILINE
    )
    special = re.compile(r"repr=False|compare=False|def __post_init__|@cached_property")
    found = [
        f"{file.relative_to(ROOT)}: {name}"
        for file in (ROOT / "reconciler").rglob("*.py")
        for name, body in value.findall(file.read_text(encoding="utf-8"))
        if "verbs" not in file.parts and not special.search(body)
    ]
    assert found == []
