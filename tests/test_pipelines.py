"""The action for GitHub and the component for GitLab with the real command, in a clone as each forge's runner makes it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.documents import cluster, config_map, pack, profile
from tests.house.documents import ROOT
from tests.repository import CHART
from tests.test_source_mirror import Work

FILES = {"a.yaml": cluster("team-a"), "web.yaml": profile(pack("base", config_map("one", colour="red")))}
BLUE = {"web.yaml": profile(pack("base", config_map("one", colour="blue")))}
INPUT = {"description", "required", "default", "deprecationMessage"}
"""Of an action (docs.github.com, "Metadata syntax for GitHub Actions")."""
STEP = {"id", "name", "if", "shell", "run", "uses", "with", "env", "working-directory", "continue-on-error"}
SPEC = {"default", "description", "options", "regex", "type"}
"""Of an input of a component (docs.gitlab.com, "CI/CD inputs")."""
JOB = {"stage", "image", "rules", "variables", "script", "artifacts"}


class Forge:
    """A repository with a change request: `work` is where people work, `head` the change request's, `base` where it began."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.work = folder, Work(folder / "origin")
        self.base = self.work.commit(FILES)
        self.head = self.base

    def change(self, files: dict[str, str]) -> None:
        self.work.git("checkout", "-q", "-b", "feature")
        self.head = self.work.commit(files)
        self.work.git("checkout", "-q", "main")
        self.work.commit({"words.md": "somebody else merged meanwhile"})
        self.work.git("update-ref", "refs/merge-requests/1/head", self.head)
        self.work.git("checkout", "-q", "--detach", "main")
        self.work.git("merge", "-q", "--no-ff", "-m", "merge", self.head)
        self.work.git("update-ref", "refs/pull/1/merge", "HEAD")
        self.work.git("checkout", "-q", "main")

    def clone(self, ref: str, *more: str) -> Path:
        """As a runner checks it out: detached. In a container its files are often of another user than the job's."""
        there = self.folder / "builds"
        self._git("clone", "-q", *more, f"file://{self.work.folder}", str(there))
        self._git("-C", str(there), "fetch", "-q", *more, "origin", ref)
        self._git("-C", str(there), "checkout", "-q", "--detach", "FETCH_HEAD")
        if os.geteuid() == 0:
            for path in (there, *there.rglob("*")):
                os.chown(path, 1234, 1234, follow_symlinks=False)
        return there

    def run(self, there: Path, shell: list[str], script: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        usual = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(home), "CI": "true"}
        usual |= {"NIDUS_ENGINE_CHART": str(CHART)}
        done = [*shell, script]
        return subprocess.run(done, env={**usual, **env}, cwd=there, capture_output=True, text=True, timeout=120)

    def _git(self, *words: str) -> None:
        subprocess.run(["git", *words], check=True, capture_output=True)


@pytest.fixture
def forge(tmp_path: Path) -> Forge:
    return Forge(tmp_path)


def action() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text())
    return found


def component() -> tuple[dict[str, Any], dict[str, Any]]:
    head, job = yaml.safe_load_all((ROOT / "templates/plan.yml").read_text())
    return head, job


def on_github(forge: Forge, there: Path, **given: str) -> tuple[int, str, dict[str, str], str]:
    """The step with its environment: exit code, summary, outputs, and what it wrote to the log."""
    (step,) = action()["runs"]["steps"]
    inputs = {name: str(one["default"]) for name, one in action()["inputs"].items()} | given
    inputs["base"] = inputs["base"].replace("${{ github.base_ref }}", "main")
    env = {
        key: re.sub(r"\${{ inputs\.(.*?) }}", lambda found: inputs[found[1]], text) for key, text in step["env"].items()
    }
    summary, output = forge.folder / "summary", forge.folder / "output"
    for file in (summary, output):
        file.touch()
    env |= {"GITHUB_ACTIONS": "true", "GITHUB_BASE_REF": "main", "GITHUB_REF": "refs/pull/1/merge"}
    env |= {"GITHUB_WORKSPACE": str(there), "RUNNER_TEMP": str(forge.folder), "GITHUB_EVENT_NAME": "pull_request"}
    env |= {"GITHUB_STEP_SUMMARY": str(summary), "GITHUB_OUTPUT": str(output), "NIDUS_CONFINED": ""}
    done = forge.run(there, ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c"], step["run"], env)
    told = dict(line.split("=", 1) for line in output.read_text().splitlines())
    return done.returncode, summary.read_text(), told, done.stderr


def on_gitlab(forge: Forge, there: Path, **given: str) -> tuple[int, str, str]:
    """The job's script: exit code, the artifact, and what it wrote to the log."""
    head, job = component()
    known = {name: str((one or {}).get("default", "")) for name, one in head["spec"]["inputs"].items()} | given
    made = job["nidus-plan"]
    env = {
        key: re.sub(r"\$\[\[ inputs\.(.*?) \]\]", lambda found: known[found[1]].lower(), text)
        for key, text in made["variables"].items()
    }
    env |= {"GITLAB_CI": "true", "CI_PROJECT_DIR": str(there), "CI_PIPELINE_SOURCE": "merge_request_event"}
    env |= {"CI_MERGE_REQUEST_DIFF_BASE_SHA": forge.base, "NIDUS_CONFINED": ""}
    (script,) = made["script"]
    done = forge.run(there, ["sh", "-ec"], script, env)
    return done.returncode, (there / "nidus-plan.md").read_text(), done.stderr


def test_the_action_shows_what_a_pull_request_changes(forge: Forge) -> None:
    forge.change(BLUE)
    code, summary, told, log = on_github(forge, forge.clone("refs/pull/1/merge"), offline="true")
    assert (code, told["code"]) == (0, "2"), log
    assert "data.colour: red -> blue" in summary and "offline: compared with origin/main" in summary
    assert Path(told["plan"]).read_text() == summary


def test_the_action_fails_on_a_mistake_and_says_where(forge: Forge) -> None:
    forge.change({"web.yaml": BLUE["web.yaml"].replace('"version"', '"verzion"')})
    code, _, told, log = on_github(forge, forge.clone("refs/pull/1/merge"), offline="true")
    assert (code, told["code"]) == (1, "1")
    assert "web.yaml:1:" in log


def test_the_action_says_what_a_clone_without_history_lacks(forge: Forge) -> None:
    forge.change(BLUE)
    code, _, _, log = on_github(forge, forge.clone("refs/pull/1/merge", "--depth=1"), offline="true")
    assert code == 64 and "git fetch --unshallow" in log


def test_the_component_shows_what_a_merge_request_changes(forge: Forge) -> None:
    forge.change(BLUE)
    there = forge.clone("refs/merge-requests/1/head")
    if os.geteuid() == 0:  # a runner's helper calls its builds safe in the job's configuration
        (forge.folder / "home").mkdir()
        (forge.folder / "home" / ".gitconfig").write_text(f"[safe]\n\tdirectory = {there}\n")
    code, plan, log = on_gitlab(forge, there, offline="true")
    assert code == 0, log
    assert "data.colour: red -> blue" in plan and f"offline: compared with {forge.base}" in plan


def test_the_action_is_in_the_documented_form() -> None:
    found = action()
    assert set(found) == {"name", "description", "branding", "inputs", "outputs", "runs"}
    assert len(found["description"]) < 125 or found["description"].count("\n") == 0
    assert all(set(one) <= INPUT and one["description"] for one in found["inputs"].values())
    assert all(set(one) == {"description", "value"} for one in found["outputs"].values())
    assert found["runs"]["using"] == "composite"
    steps = found["runs"]["steps"]
    assert all(set(one) <= STEP and ("uses" in one or one["shell"]) for one in steps)
    named = {name for step in steps for text in step["env"].values() for name in re.findall(r"inputs\.([a-z-]+)", text)}
    assert named == set(found["inputs"])
    outputs = [
        re.fullmatch(r"\${{ steps\.plan\.outputs\.([a-z]+) }}", one["value"]) for one in found["outputs"].values()
    ]
    assert all(one and f'echo "{one[1]}=$' in steps[0]["run"] for one in outputs)


def test_the_component_is_in_the_documented_form() -> None:
    head, job = component()
    assert set(head) == {"spec"} and set(head["spec"]) == {"inputs"}
    inputs = head["spec"]["inputs"]
    assert all(set(one) <= SPEC for one in inputs.values())
    assert {one.get("type", "string") for one in inputs.values()} <= {"string", "number", "boolean", "array"}
    assert all(type(one["default"]) is bool for one in inputs.values() if one.get("type") == "boolean")
    (made,) = job.values()
    assert set(made) <= JOB
    assert set(re.findall(r"\$\[\[ inputs\.([a-z-]+) \]\]", yaml.safe_dump(job))) == set(inputs)
    assert all(type(text) is str for text in made["variables"].values())
