"""The demo's folder: one demo at a time, and a person's work in its clone is never removed. Real git, real locks."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from devhost import claims, demofolder
from devhost.errors import HostError
from devhost.stage import Repository, _repository
from reconciler.verbs import demo


@pytest.fixture
def stage(tmp_path: Path) -> Path:
    """What a demo leaves behind: a bare repository and a clone with one commit of its own."""
    folder = tmp_path / "demo" / "stage"
    folder.mkdir(parents=True)
    made = _repository(folder, None)
    demofolder.note(folder, made.git("rev-parse", "HEAD").strip())
    return folder


def test_a_second_demo_takes_the_next_folder_and_the_first_goes_on(tmp_path: Path) -> None:
    with demofolder.taken(tmp_path / "demo", exactly=False) as first:
        (first / "host").mkdir()
        with demofolder.taken(tmp_path / "demo", exactly=False) as second:
            assert (first.name, second.name) == ("demo", "demo-2")
        assert (first / "host").exists()
    with demofolder.taken(tmp_path / "demo", exactly=False) as again:
        assert again == first


def test_a_named_folder_in_use_is_refused(tmp_path: Path) -> None:
    with (
        demofolder.taken(tmp_path, exactly=True),
        pytest.raises(HostError, match=r"a demo runs in .*--dir"),
        demofolder.taken(tmp_path, exactly=True),
    ):
        pass


def test_nothing_of_a_host_or_a_demo_is_added_to_the_repository_around_it(tmp_path: Path) -> None:
    """They hold private keys, and people add everything."""
    git = ["git", "-C", str(tmp_path)]
    subprocess.run([*git, "init", "--quiet"], check=True)
    claims.claim(tmp_path / ".nidus" / "host")
    with demofolder.taken(tmp_path / ".nidus" / "demo", exactly=True):
        subprocess.run([*git, "add", "--all"], check=True)
    assert subprocess.run([*git, "status", "--porcelain"], check=True, capture_output=True).stdout == b""


def test_the_tables_of_a_demo_are_those_of_status() -> None:
    layer = {"name": "engine", "target": "local", "health": "Current", "objects": 6, "message": ""}
    assert demo._layers([layer]).splitlines() == [
        "LAYER    TARGET   HEALTH    OBJECTS",
        "engine   local    Current   6",
    ]
    assert demo._layers([{**layer, "message": "waits"}]).endswith("Current   6         waits")


def test_a_demo_tells_how_far_each_cluster_is() -> None:
    layers = [{"health": "Current"}, {"health": "InProgress"}, {"health": "Waiting"}]
    clusters = [
        {"name": "b", "status": "Provisioning", "layers": layers},
        {"name": "a", "status": "Ready", "layers": layers[:1]},
        {"name": "c", "status": "Pending", "layers": []},
    ]
    assert demo._progress(clusters) == "a: Ready   b: Provisioning 1/3   c: Pending"
    assert demo._progress([]) == "no clusters yet"


def test_a_clone_nobody_worked_in_goes(stage: Path) -> None:
    assert demofolder.cleared(stage) is None
    assert not stage.exists()


def _commit(made: Repository) -> None:
    made.commit("mine")


def _pushed(made: Repository) -> None:
    made.commit("mine")
    made.push()
    made.git("reset", "--hard", "HEAD~1")
    made.git("reflog", "expire", "--expire=now", "--all")
    made.git("update-ref", "refs/remotes/origin/main", "HEAD")


def _stash(made: Repository) -> None:
    (made.work / "file").write_text("mine")
    made.git("stash", "--include-untracked")


@pytest.mark.parametrize(
    "work",
    [
        _commit,
        _pushed,
        _stash,
        lambda made: (made.work / "new").write_text("mine"),
        lambda made: made.git("reset", "--hard", made.commit("mine") + "~1"),
        lambda made: (made.work.parent / demofolder.OWN).unlink(),
    ],
    ids=["commit", "only pushed", "stash", "new file", "reset away", "nothing known"],
)
def test_a_persons_work_is_kept(stage: Path, work: Callable[[Repository], object]) -> None:
    work(Repository(stage / "repository.git", stage / "work"))
    (stage.parent / "stage-kept").mkdir()
    assert demofolder.cleared(stage) == stage.parent / "stage-kept-2"
    assert not stage.exists() and (stage.parent / "stage-kept-2" / "work" / ".git").exists()


def test_a_stage_that_came_with_a_repository_runs_nothing(stage: Path, tmp_path: Path) -> None:
    """Whoever types `nidus demo` in a clone asks Git about what its author put there, by the configuration that stands in it."""
    work, ran, script = stage / "work", tmp_path / "ran", tmp_path / "script"
    script.write_text(f"#!/bin/sh\ntouch {ran}\n")
    script.chmod(0o700)
    subprocess.run(["git", "config", "core.fsmonitor", str(script)], cwd=work, check=True)
    for one in [*(work / ".git").iterdir()]:  # no commit holds a folder .git
        one.rename(work / one.name)
    (work / ".git").rmdir()
    assert demofolder.cleared(stage) == stage.parent / "stage-kept" and not ran.exists()


def test_who_has_no_name_can_commit(stage: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    demofolder.let_commit(stage / "work")
    subprocess.run(["git", "commit", "--quiet", "--allow-empty", "-m", "mine"], cwd=stage / "work", check=True)
