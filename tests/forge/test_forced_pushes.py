"""One change request whose author pushes by force again and again: what nobody can reach any more does not stay on the disk."""

import os
import random
from pathlib import Path

import pytest

from reconciler.model import Limits, SourceConfig
from reconciler.source.changes import ChangesMirror
from tests.test_source_mirror import Work

PUSHES, EACH = 2000, 192 << 10  # bytes that no compression makes less
SEEN = 5  # the controller comes to see one push in so many: it looks now and then
BASE, FILE = 33, 1 << 20
REF = "refs/pull/1/head"


def size(folder: Path) -> int:
    return sum((Path(base) / name).stat().st_size for base, _, names in os.walk(folder) for name in names)


def stream(main: str, bits: random.Random) -> bytes:
    """For git fast-import: every head that the change request has one after another, each a commit on `main`."""
    out = []
    for number in range(PUSHES):
        body = bits.randbytes(EACH)
        out += [
            b"commit refs/heads/push-%d\ncommitter a <a@b> %d +0000\ndata 4\npush\nfrom %s\n"
            % (number, number + 1, main.encode()),
            b"M 100644 inline noise.bin\ndata %d\n" % len(body), body, b"\n\n",
        ]  # fmt: skip
    return b"".join(out)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_two_thousand_forced_pushes_leave_a_mirror_within_twice_its_size(tmp_path: Path) -> None:
    bits, work = random.Random(1), Work(tmp_path / "work")
    for number in range(BASE):
        (work.folder / f"{number}.bin").write_bytes(bits.randbytes(FILE))
    main = work.commit({"README.md": "words"})
    work.git("fast-import", "--quiet", stdin=stream(main, bits))
    heads = work.git("for-each-ref", "--sort=committerdate", "--format=%(objectname)", "refs/heads/push-*").split()
    mirror = ChangesMirror.open(SourceConfig(name="s", url=str(work.folder)), tmp_path / "mirror", limits=Limits())
    try:
        mirror.fetch()
        begun = largest = size(tmp_path / "mirror")
        for head in heads[SEEN - 1 :: SEEN]:
            work.git("update-ref", REF, head)
            assert mirror.change(1, REF) == head
            mirror.keep({1})
            largest = max(largest, size(tmp_path / "mirror"))
        assert begun > BASE * FILE and largest < 2 * begun + 4 * EACH
        assert mirror.merged(main, heads[-1]).tree
        assert begun < PUSHES // SEEN * EACH  # otherwise nothing had to go
    finally:
        mirror.close()
