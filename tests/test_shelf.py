"""What commands keep of renders, and what a worker loads before it is asked."""

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from reconciler import settings
from reconciler.model import Layer, replace
from reconciler.packs.process import Worker
from reconciler.packs.render import Renderer
from reconciler.packs.wire import Job
from reconciler.verbs import kept
from reconciler.verbs.shelf import Shelf
from tests.test_packs_render import CHART, CONFIG, Repository, chart, layer

ENGINE = replace(chart({"a.yaml": CONFIG % "one"}), role="engine")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NIDUS_DATA", str(tmp_path))
    return tmp_path / "rendered"


@pytest.fixture
def rendered(folder: Path) -> Iterator[list[Path]]:
    """What a command left that rendered the engine."""
    assert asked(ENGINE) == (["one"], 1)
    yield list(folder.iterdir())


def asked(wanted: Layer, version: str = "v1.36.0") -> tuple[list[str], int]:
    """The names of what a new command renders, and how often it read the layer's files for that."""
    repository = Repository()
    with closing(Renderer(1, shelf=Shelf(), ahead=(), confined=False)) as made:
        found = made.render(wanted, repository.read, host_version=version)
    return [one["metadata"]["name"] for one in found], repository.reads


def test_the_next_command_does_not_render_the_engine_again(rendered: list[Path]) -> None:
    assert len(rendered) == 1
    assert asked(ENGINE) == (["one"], 0)
    assert asked(ENGINE, "v1.35.0") == (["one"], 1)  # another server's version is another render
    other = replace(chart({"a.yaml": CONFIG % "two"}), role="engine")
    assert asked(other) == (["two"], 1)


def test_what_people_wrote_is_not_kept(folder: Path) -> None:
    for one in (replace(ENGINE, role="pack"), layer("manifests", {"objects": []}, {"m.yaml": CONFIG % "one"})):
        assert asked(one) == (["one"], 1)
    assert not folder.exists()


def test_what_is_damaged_or_not_ours_counts_as_not_there(rendered: list[Path]) -> None:
    (file,) = rendered
    whole = file.read_bytes()
    for data in (b"", whole[:40], whole[:-1] + b"!"):
        file.write_bytes(data)
        assert Shelf().get(b"") is None and asked(ENGINE) == (["one"], 1)
    file.chmod(0o666)
    assert asked(ENGINE) == (["one"], 1)


def test_a_command_adds_no_more_than_are_kept(folder: Path) -> None:
    shelf = Shelf()
    for number in range(kept.MOST + 3):
        shelf.put(str(number).encode(), b"[]")
    assert len(list(folder.iterdir())) == kept.MOST
    assert shelf.get(b"0") == b"[]" and shelf.get(str(kept.MOST).encode()) is None


def test_a_folder_among_what_is_kept_keeps_nothing_from_going(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    os.utime(tmp_path / "a", (0, 0))
    for number in range(kept.MOST + 3):
        kept.replace(tmp_path / f"file-{number}", b"x")
    assert sorted(one.is_dir() for one in tmp_path.iterdir()) == [False] * kept.MOST + [True]


def test_a_disk_that_cannot_be_written_costs_time_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NIDUS_DATA", str(tmp_path / "file"))
    assert settings.rendered_folder().parent == tmp_path / "file"
    assert asked(ENGINE) == (["one"], 1) == asked(ENGINE)


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="reads what another process has loaded")
def test_helm_is_loaded_ahead_or_when_a_chart_comes() -> None:
    manifests = Job("manifests", "web", {"objects": [], "files": ["m.yaml"]}, {"m.yaml": b"{}"}, {}, "v1.36.0")
    helm = Job("helm", "web", {"chart": "c", "release": "r"}, {"c/Chart.yaml": CHART.encode()}, {}, "v1.36.0")
    with closing(Worker(ahead=())) as late, closing(Worker()) as ahead:
        for worker, before in ((late, False), (ahead, True)):
            worker.ask(manifests, 30.0)
            assert has_helm(worker) is before
            worker.ask(helm, 30.0)
            assert has_helm(worker)


def has_helm(worker: Worker) -> bool:
    return "helm" in Path(f"/proc/{worker.process}/maps").read_text()
