"""Waiting for a render worker ends, and a worker that cannot be started is tried again later: neither ends a thread (A7, H4)."""

import contextlib
import resource
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

from reconciler.errors import Retry
from reconciler.model import Layer, Target
from reconciler.packs.pool import Pool
from reconciler.packs.process import Worker
from reconciler.packs.render import Renderer
from reconciler.packs.wire import Job

PLAIN = Job("manifests", "web", {"objects": []}, {}, {}, "v1.36.0")
SLOW = Job(
    "helm",
    "web",
    {"chart": "c", "release": "web"},
    {
        "c/Chart.yaml": b"apiVersion: v2\nname: c\nversion: 1.0.0\n",
        "c/templates/a.yaml": b"{{ range until 100000 }}{{ range until 100000 }}{{ end }}{{ end }}",
    },
    {},
    "v1.36.0",
    cpu=60,
)


@pytest.fixture
def pool() -> Iterator[Pool]:
    made = Pool(1, recycle=10, memory=1 << 40)
    yield made
    made.close()


@contextlib.contextmanager
def no_file_left() -> Iterator[None]:
    """This process may open no more files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.xfail(strict=True, reason="waiting for a worker has no end, and one that cannot be started is an OSError")
def test_a_renderer_whose_workers_cannot_be_started_starts_and_says_so() -> None:
    layer = Layer("p/a", Target("local", "a"), "manifests", {"objects": []}, "d", ())
    with no_file_left():
        renderer = Renderer(2)
        with pytest.raises(Retry):
            renderer.render(layer, _nothing, host_version="v1.36.0")
    assert renderer.render(layer, _nothing, host_version="v1.36.0") == ()
    renderer.close()


@pytest.mark.xfail(strict=True, reason="waiting for a worker has no end, and one that cannot be started is an OSError")
def test_a_worker_that_cannot_be_started_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with no_file_left(), pytest.raises(OSError):
        Worker()
    assert list(tmp_path.iterdir()) == []


def _nothing(oids: Collection[str]) -> dict[str, bytes]:
    return {}
