"""Files that hold no document any more, and held one of ours in the last commit: what they described is removed by the next one."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reconciler.model import Snapshot, Violation


def warnings(folder: str, snapshot: Snapshot, blobs: Mapping[str, bytes]) -> Iterator[Violation]:
    """A warning for each such file; none where the folder is in no Git repository."""
    from reconciler.source.folder import git
    from reconciler.spec import files, lost

    hollow = [path for path, oid in snapshot.tree.items() if files.is_yaml(path) and oid in blobs and _bare(blobs[oid])]
    if not hollow:
        return
    words = ("grep", "--files-with-matches", "--null", "--fixed-strings", "-e", "nidus.dev/", "HEAD", "--")
    listed = git(Path(folder), "--literal-pathspecs", *words, *hollow) or b""
    for name in listed.split(b"\0")[:-1]:
        yield lost.hollow(os.fsdecode(name).removeprefix("HEAD:"), "the last commit has documents of ours here")


def _bare(data: bytes) -> bool:
    """Whether a file holds nothing but blank lines, comments and document marks."""
    lines = (line.strip() for line in data.splitlines())
    return all(line in (b"", b"---", b"...") or line.startswith(b"#") for line in lines)
