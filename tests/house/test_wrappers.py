"""The action for GitHub and the component for GitLab: their scripts, run by a shell as the forges do, around a command that stands for
`nidus`."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.house.documents import ROOT

FAKE = """#!/bin/sh
printf '%s\\n' "$@" > "$ASKED"
echo '### `Plan`'
exit "$CODE"
"""


class Shell:
    """Runs a script with a fake `nidus` on the PATH; `asked` are its arguments afterwards."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        bin_ = folder / "bin"
        bin_.mkdir()
        (bin_ / "nidus").write_text(FAKE)
        (bin_ / "nidus").chmod(0o755)
        path = f"{bin_}:{os.environ['PATH']}"
        self.usual = {"PATH": path, "HOME": str(folder), "ASKED": str(folder / "asked")}

    def __call__(self, shell: list[str], script: str, code: int, **more: str) -> int:
        env = {**self.usual, "CODE": str(code), **more}
        done = subprocess.run([*shell, script], env=env, cwd=self.folder, capture_output=True, timeout=30)
        return done.returncode

    @property
    def asked(self) -> list[str]:
        return (self.folder / "asked").read_text().splitlines()


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def action() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text())
    return found


def on_github(shell: Shell, code: int, **given: str) -> int:
    """The step of the action, with the inputs' defaults where nothing is given."""
    (step,) = action()["runs"]["steps"]
    defaults = {name: str(one["default"]) for name, one in action()["inputs"].items()}
    inputs = {**defaults, "base": "origin/main", **given}
    env = {
        name: re.sub(r"\${{ inputs\.(.*?) }}", lambda found: inputs[found[1]], text)
        for name, text in step["env"].items()
    }
    for name in ("summary", "output"):
        (shell.folder / name).touch()
    env |= {"GITHUB_STEP_SUMMARY": str(shell.folder / "summary"), "GITHUB_OUTPUT": str(shell.folder / "output")}
    env |= {"GITHUB_WORKSPACE": str(shell.folder), "RUNNER_TEMP": str(shell.folder)}
    return shell(["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c"], step["run"], code, **env)


@pytest.mark.parametrize(("code", "ends"), [(0, 0), (2, 0), (3, 0), (1, 1), (64, 64)])
def test_the_action_passes_where_a_plan_could_be_made(shell: Shell, code: int, ends: int) -> None:
    assert on_github(shell, code) == ends
    assert shell.asked == ["plan", ".", "--base", "origin/main", "--detailed-exitcode", "-o", "markdown"]
    assert (shell.folder / "summary").read_text() == "### `Plan`\n"
    assert f"code={code}" in (shell.folder / "output").read_text().splitlines()


def test_the_action_fails_on_what_is_held_where_it_is_asked_to(shell: Shell) -> None:
    assert on_github(shell, 3, **{"fail-on-held": "true"}) == 3


def test_nothing_of_a_pull_request_is_part_of_a_command(shell: Shell) -> None:
    """Names of branches may hold anything a shell would run."""
    (step,) = action()["runs"]["steps"]
    assert "${{" not in step["run"]
    evil = "$(touch gone);`touch gone`"
    assert on_github(shell, 0, config=evil, base="main; touch gone", offline="true", kubeconfig="a b") == 0
    assert not (shell.folder / "gone").exists()
    assert shell.asked[2:] == [
        *("--base", "main; touch gone", "--detailed-exitcode", "-o", "markdown"),
        *("--config", evil, "--kubeconfig", "a b", "--offline"),
    ]


@pytest.mark.parametrize(("code", "ends"), [(0, 0), (2, 0), (3, 0), (1, 1), (64, 64)])
def test_the_component_passes_where_a_plan_could_be_made(shell: Shell, code: int, ends: int) -> None:
    head, job = yaml.safe_load_all((ROOT / "templates/plan.yml").read_text())
    given = {name: str((one or {}).get("default", "")) for name, one in head["spec"]["inputs"].items()}
    given |= {"config": "nidus.yaml", "kubeconfig": "HOST"}
    made = job["nidus-plan"]
    env = {
        name: re.sub(r"\$\[\[ inputs\.(.*?) \]\]", lambda found: given[found[1]], text)
        for name, text in made["variables"].items()
    }
    (script,) = made["script"]
    env |= {"CI_MERGE_REQUEST_DIFF_BASE_SHA": "a" * 40, "HOST": "/builds/kube config"}
    assert shell(["sh", "-ec"], script, code, **env) == ends
    flags = ["--base", "a" * 40, "--detailed-exitcode", "-o", "markdown", "--config", "nidus.yaml"]
    assert shell.asked == ["plan", ".", *flags, "--kubeconfig", "/builds/kube config"]
    assert (shell.folder / "nidus-plan.md").read_text() == "### `Plan`\n"
