"""Every command of the task pages, typed in a fresh shell beside a controller's host in memory: it is answered as the
page says, in one sentence where that cannot be, without colours where no terminal reads; and programs get one document."""

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from reconciler.__main__ import main
from tests.answering import kubeconfig
from tests.documents import cluster, config_map, pack, profile
from tests.house.documents import PAGES, typed
from tests.house.test_readme import calls
from tests.memory.http import Front
from tests.passes import Fleet
from tests.repository import CHART
from tests.test_source_mirror import Work

TASKS = [page for page in PAGES if page.parent.name == "tasks"]
MORE = {"demo": {"deletion": {"ttl": "8h"}}}
CLUSTERS = ("payments", "team-a", "sandbox", "demo", "tekton-demo")
HOSTS = ("fra", "ams")  # contexts of docs/tasks/cost.md: that other hosts are read too is shown in test_usage_kept.py

BEGINNINGS = ("error: ", "note: ", "  hint: ", "not known offline: ")
LATER = ("kubeconfig payments --hold", "webhook send", "lock", "disconnect")
"""Has tests of its own: ends with Ctrl-C, goes to a network, writes files of the clone."""
LINES = {
    page.stem: [line for words in calls(typed(page)) if not (line := shlex.join(words)).startswith(LATER)]
    for page in TASKS
}
OTHERWISE = {
    "approve ": "nothing held has the digest",
    "backup ": "has no place for snapshots",
    "restore ": "has no whole snapshot",
    "cost": "nothing was measured",
    "connect ": "the control plane of",
    "plan --config nidus.yaml --source platform --base origin/main": "",
    "sync ": "no controller runs",
    "check": "none holds the Lease",
    "workloads ": "the control plane of",
    "plan --config nidus.yaml": "Plan (incomplete): ",
}
"""What this host has not; everything else is done."""


@dataclass(frozen=True)
class Desk:
    """A person's machine: a clone, a kubeconfig for the host, and folders of their own."""

    work: Work
    front: Front


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("pages")
    fleet = Fleet()
    packs = profile(pack("base", config_map("one")))
    documents = {f"clusters/{name}.yaml": cluster(name, **MORE.get(name, {})) for name in CLUSTERS}
    try:
        fleet.push({"web.yaml": packs, **documents})
        fleet.run()
        fleet.reporter.statuses.settle(60.0)
        work = Work(folder / "work")
        work.commit({"web.yaml": packs, **documents})
        work.git("update-ref", "refs/remotes/origin/main", "HEAD")
        spec = {
            "sources": [{"name": "platform", "url": str(work.folder)}],
            "engine": {"versions": [{"version": "0.36.1", "chart": {"path": str(CHART)}}]},
            "files": str(CHART),
        }
        (work.folder / "nidus.yaml").write_text(
            json.dumps({"apiVersion": "nidus.dev/v1alpha1", "kind": "ControllerConfig", "spec": spec})
        )
        with Front(fleet.host) as front:
            kubeconfig(folder, front.url, contexts=("x", *HOSTS))
            yield Desk(work, front)
    finally:
        fleet.close()


def typed_at(desk: Desk, words: list[str], home: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """The exit code of a command that is typed in the clone, in a terminal of 60 columns."""
    monkeypatch.chdir(desk.work.folder)
    for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.setenv(name, str(home))
    monkeypatch.setenv("KUBECONFIG", str(desk.work.folder.parent / "kubeconfig"))
    monkeypatch.setenv("COLUMNS", "60")
    try:
        return main(words)
    except SystemExit as ended:
        return int(ended.code or 0)


@pytest.mark.parametrize("page", [page for page, lines in LINES.items() if lines])
def test_the_commands_of_a_task_page_are_answered(
    page: str, desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for line in LINES[page]:
        words = ["team-a" if word == "NAME" else word for word in shlex.split(line)]
        code = typed_at(desk, words, tmp_path, monkeypatch)
        out, err = capsys.readouterr()
        wanted = next((told for begin, told in OTHERWISE.items() if line.startswith(begin)), "")
        assert code == bool(wanted), (line, out, err)
        assert wanted in out + err and (out or err)
        assert "\x1b" not in out + err
        assert all(one.startswith(BEGINNINGS) for one in err.splitlines()), err


FOR_PROGRAMS = [
    "status",
    "status payments",
    "why payments",
    "wait payments",
    "events payments",
    "history payments",
    "backups team-a",
    "check",
    "version",
    "validate",
    "plan",
    "plan payments",
]  # fmt: skip


@pytest.mark.parametrize("line", FOR_PROGRAMS)
def test_programs_get_one_document(
    line: str, desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = typed_at(desk, [*line.split(), "-o", "json"], tmp_path, monkeypatch)
    out, err = capsys.readouterr()
    assert (
        isinstance(json.loads(out), dict)
        and code in (0, 1)
        and all(one.startswith(BEGINNINGS) for one in err.splitlines())
    )


def test_the_pages_have_commands() -> None:
    assert sum(map(len, LINES.values())) > 30
    assert "status" in LINES["first-cluster"] and "plan --config nidus.yaml" in LINES["tekton"]
