"""What a repository makes git hold in memory is bounded: sizes before contents, large blobs in pieces, a limit for each process."""

import subprocess
import sys
from pathlib import Path

from reconciler.source import runner
from reconciler.source.history import LONGEST
from tests.test_source_mirror import Mirror, Work, mirror, work

__all__ = ("mirror", "work")

ROOT = Path(__file__).parents[1]
BLOB = 160 << 20
FETCH = """
import resource, sys
from pathlib import Path
from reconciler.model import Limits, SourceConfig
from reconciler.source.mirror import Mirror
made = Mirror.open(SourceConfig(name="s", url=sys.argv[1]), Path(sys.argv[2]), limits=Limits())
made.fetch()
made.close()
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss << 10)
"""


def test_a_long_commit_has_no_trailers(work: Work, mirror: Mirror) -> None:
    long = work.commit({}, f"subject\n\n{'x' * LONGEST}\n\nNidus-Approve: long\n")
    short = work.commit({}, "subject\n\nNidus-Approve: short\n")
    mirror.fetch()
    assert mirror.trailers(None, long) == ()
    assert mirror.trailers(None, short) == (("Nidus-Approve", "short"),)


def test_a_large_blob_is_fetched_in_pieces(work: Work, tmp_path: Path) -> None:
    (work.folder / "bomb").touch()
    with (work.folder / "bomb").open("r+b") as sparse:
        sparse.truncate(BLOB)
    work.git("-c", "core.bigFileThreshold=1m", "add", "bomb")
    work.git("commit", "-q", "-m", "bomb")
    done = subprocess.run(
        [sys.executable, "-c", FETCH, str(work.folder), str(tmp_path / "mirror")],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < BLOB // 2


def test_every_git_has_a_memory_limit(mirror: Mirror) -> None:
    mirror.head()
    process = mirror._reader._process
    assert process is not None
    rows = Path(f"/proc/{process.pid}/limits").read_text().splitlines()
    (row,) = [row for row in rows if row.startswith("Max data size")]
    assert row.split()[3:5] == [str(runner.MEMORY)] * 2


def test_many_files_fit_under_the_limit(work: Work, mirror: Mirror) -> None:
    commit = work.commit({f"a/{number // 100}/{number}.yaml": f"a: {number}\n" for number in range(5000)})
    mirror.fetch()
    assert len(mirror.tree(commit).files) == 5000
