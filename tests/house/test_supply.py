"""What the image is made of: two locks with hashes that satisfy pyproject.toml, a base image by digest, no privileges."""

import importlib.metadata
import json
import re
import runpy
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests import installed
from tests.house.documents import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCKS = {
    "requirements.txt": [
        *PROJECT["project"]["dependencies"],
        *PROJECT["project"]["optional-dependencies"]["identity"],
        *PROJECT["project"]["optional-dependencies"]["kustomize"],
        *PROJECT["project"]["optional-dependencies"]["sops"],
        *PROJECT["project"]["optional-dependencies"]["traces"],
    ],
    "requirements-build.txt": PROJECT["build-system"]["requires"],
}
DOCKERFILE = (ROOT / "Dockerfile").read_text()
PLATFORMS = [
    {"sys_platform": "linux", "platform_machine": machine, "python_version": "3.13", "python_full_version": "3.13.0", "extra": ""}
    for machine in ("x86_64", "aarch64")
]  # fmt: skip
Pins = dict[str, str]


def blocks(lock: str) -> list[str]:
    """The lock's logical lines without comments, each `NAME==VERSION --hash=...`."""
    text = re.sub(r"(?m)^\s*#.*\n", "", (ROOT / lock).read_text())
    return [line for line in text.replace("\\\n", " ").splitlines() if line.strip()]


def pins(lines: list[str]) -> Pins:
    found = [re.match(r"([A-Za-z0-9._-]+)(?:\[[a-z,]+\])?==(\S+)", line) for line in lines]
    return {canonicalize_name(one[1]): one[2] for one in found if one}


def needed(wanted: list[str], locked: Pins) -> Iterator[Requirement]:
    """What these requirements need on the image's platforms, all the way down, by the installed packages' own word."""
    waiting, met = [Requirement(one) for one in wanted], set[str]()
    while waiting:
        one = waiting.pop()
        yield one
        if str(one) not in met and canonicalize_name(one.name) in locked:
            met.add(str(one))
            extras = ["", *one.extras]
            for text in importlib.metadata.requires(one.name) or ():
                more = Requirement(text)
                if not more.marker or any(
                    more.marker.evaluate(on | {"extra": extra}) for on in PLATFORMS for extra in extras
                ):
                    waiting.append(more)


def test_the_lock_is_what_the_project_needs_and_no_more() -> None:
    locked = pins(blocks("requirements.txt"))
    names = set()
    for one in needed(LOCKS["requirements.txt"], locked):
        version = locked.get(canonicalize_name(one.name))
        assert version is not None and one.specifier.contains(version), f"the lock lacks {one}: make lock"
        names.add(canonicalize_name(one.name))
    assert names == locked.keys()


def test_what_has_an_extra_is_locked_without_it_too() -> None:
    """pip before 24.1 refuses the whole lock otherwise."""
    lines = blocks("requirements.txt")
    extras = [line for line in lines if "[" in line.split("==")[0]]
    assert extras
    for line in extras:
        name, _, rest = line.partition("==")
        assert f"{name.partition('[')[0]}=={rest}" in lines, "make lock"


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_satisfies_pyproject_with_the_constraints(lock: str) -> None:
    """That the lock of what builds is whole, pip says: with --require-hashes it installs nothing that has none."""
    locked = pins(blocks(lock))
    for one in map(Requirement, LOCKS[lock]):
        assert one.specifier.contains(locked[canonicalize_name(one.name)]), f"{one}: make lock"
    assert locked.items() <= pins((ROOT / "constraints.txt").read_text().splitlines()).items(), "make lock"


@pytest.mark.parametrize("lock", LOCKS)
def test_each_line_of_a_lock_has_hashes_and_nothing_else(lock: str) -> None:
    """No host, no option: where packages come from is the builder's to say, what they are is the hash's."""
    for line in blocks(lock):
        assert re.fullmatch(
            r"[a-z0-9._-]+(?:\[[a-z,]+\])?==[0-9a-z.]+(?: ; [^-]+)?(?:\s+--hash=sha256:[0-9a-f]{64})+\s*", line
        ), line[:60]
    assert "://" not in (ROOT / lock).read_text()


def test_what_builds_the_package_is_locked_as_pyproject_says() -> None:
    assert PROJECT["dependency-groups"]["build"] == PROJECT["build-system"]["requires"]


def test_the_image_takes_nothing_without_a_hash() -> None:
    installs = re.findall(r"pip (?:install|wheel) (.*?)(?: \\)?$", DOCKERFILE, re.MULTILINE)
    assert len(installs) == 4
    for words in installs:
        assert "--require-hashes -r requirements" in words or "--no-index --no-deps" in words, words


@pytest.mark.parametrize(
    ("base", "code"),
    [
        ("python:3.13-slim-bookworm@sha256:" + "0a" * 32, 0),
        ("registry.example.com:5000/python@sha256:" + "0a" * 32, 0),
        ("python:3.13-slim-bookworm", 1),
        ("python", 1),
        ("", 1),
        ("python@sha256:" + "0a" * 31, 1),
        ("python@sha256:" + "0A" * 32, 1),
        ("python@sha256:" + "0a" * 33, 1),
        ("@sha256:" + "0a" * 32, 1),
        ("python@md5:" + "0a" * 32, 1),
    ],
)
def test_the_build_refuses_a_base_without_a_digest(base: str, code: int) -> None:
    """The very script of the Dockerfile, which is the first thing that runs; every stage begins with it."""
    (script,) = re.findall(r"^FROM \$\{BASE\} AS base\nARG BASE\nRUN ((?:.*\\\n)*.*)\n", DOCKERFILE, re.MULTILINE)
    done = subprocess.run(
        ["/bin/sh", "-c", script.replace("\\\n", "\n")],
        env={"BASE": base, "PATH": "/usr/bin:/bin"},
        capture_output=True,
    )
    assert done.returncode == code
    assert bool(code) is (b"--build-arg BASE=NAME@sha256:DIGEST" in done.stderr)
    assert re.findall(r"^FROM (.*)$", DOCKERFILE, re.MULTILINE) == ["${BASE} AS base", "base AS build", "base"]


def test_the_image_runs_without_privileges_shell_or_a_writable_root() -> None:
    last = DOCKERFILE.rpartition("FROM base\n")[2]
    assert re.findall(r"^USER (.*)$", last, re.MULTILINE) == ["65532:65532"]
    for line in re.findall(r"^(?:ENTRYPOINT|CMD) (.*)$", last, re.MULTILINE):
        assert not {"sh", "bash", "-c"} & {Path(word).name for word in json.loads(line)}
    (pod,) = [one["spec"]["template"]["spec"] for one in installed.of("Deployment")]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["runAsUser"] == 65532
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert "command" not in container and "lifecycle" not in container
    assert all("exec" not in container[f"{kind}Probe"] for kind in ("startup", "liveness", "readiness"))


def test_a_rolling_update_and_a_drain_of_its_node_leave_a_controller_running() -> None:
    """A standby is ready, so the update goes on to the end; the budget lets one of the two go."""
    deployment, budget = (one["spec"] for one in reversed(installed.of("Deployment", "PodDisruptionBudget")))
    assert deployment["replicas"] == 2
    assert deployment["strategy"] == {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
    assert budget == {"maxUnavailable": 1, "selector": deployment["selector"]}
    labels = deployment["template"]["metadata"]["labels"]
    assert deployment["selector"]["matchLabels"].items() <= labels.items()


AUDIT: dict[str, Any] = runpy.run_path(str(ROOT / ".ci" / "audit.py"))
WEAK = {"name": "a", "version": "1", "vulns": [{"id": "CVE-1", "fix_versions": ["2"]}]}
SOUND = {"name": "b", "version": "1", "vulns": []}
UNKNOWN = {"name": "c", "skip_reason": "not found"}


@pytest.mark.parametrize(
    ("answer", "code", "said"),
    [
        (None, 0, "had no data"),
        ([], 0, "had no data"),
        ({"dependencies": []}, 0, "had no data"),
        ({"dependencies": [UNKNOWN]}, 0, "had no data about 1 of 1"),
        ({"dependencies": [SOUND]}, 0, "0 known weaknesses in 1 packages"),
        ({"dependencies": [SOUND, UNKNOWN]}, 0, "had no data about 1 of 2"),
        ({"dependencies": [WEAK, UNKNOWN]}, 1, "a 1: CVE-1, mended in 2"),
    ],
)
def test_only_a_known_weakness_fails_the_audit(answer: Any, code: int, said: str) -> None:
    found, lines = AUDIT["judged"](answer)
    assert found == code
    assert any(said in line for line in lines)


def test_an_audit_without_its_tool_has_no_data(tmp_path: Path) -> None:
    """This environment has no pip-audit beside its python."""
    assert not Path(sys.executable).with_name("pip-audit").exists()
    done = subprocess.run(
        [sys.executable, ROOT / ".ci" / "audit.py", tmp_path / "lock"], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "had no data" in done.stdout
