"""An older commit of a work tree, and the accepted contents of clusters, read from its own object database."""

from pathlib import Path

import pytest

from reconciler.errors import Stalled
from reconciler.model import Limits, Record
from reconciler.source import past
from reconciler.verbs.baseline import Baseline
from tests.spec_cases import FILES
from tests.test_source_mirror import Work


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path / "work")


def test_an_older_commit(work: Work) -> None:
    old = work.commit({"a.yaml": "1", "fleet/b.yaml": "2"})
    new = work.commit({"a.yaml": "3"})
    tree, blobs = past.read(work.folder, ".", old, Limits())
    assert list(tree.files) == ["a.yaml", "fleet/b.yaml"]
    assert list(blobs(list(tree.files.values())).values()) == [b"1", b"2"]
    assert tree.oid == work.git("rev-parse", f"{old}^{{tree}}")
    assert list(past.read(work.folder, "fleet", old, Limits())[0].files) == ["b.yaml"]
    assert list(past.read(work.folder / "fleet", ".", old, Limits())[0].files) == ["b.yaml"]
    assert past.descends(work.folder, old, new) and not past.descends(work.folder, new, old)


def test_what_is_not_there_is_said(work: Work, tmp_path: Path) -> None:
    commit = work.commit({"a.yaml": "1"})
    tree, blobs = past.read(work.folder, ".", commit, Limits())
    for folder, wanted in ((work.folder, "0" * 40), (tmp_path, commit)):
        with pytest.raises(Stalled) as refused:
            past.read(folder, ".", wanted, Limits())
        assert refused.value.reason == "CommitMissing"
    with pytest.raises(Stalled) as refused:
        blobs([*tree.files.values(), "1" * 40])
    assert refused.value.reason == "BlobMissing"


def test_what_clusters_stand_on(work: Work) -> None:
    commit = work.commit(dict(FILES))
    work.commit({"clusters/new.yaml": "# nothing\n"})
    known = Record("p", "team-a", "local", "", "main", commit, {}, "n", 0.0)
    lost = Record("p", "gone", "local", "", "main", "0" * 40, {}, "n", 0.0)
    found = Baseline(work.folder, ".", Limits(), [known, lost])
    assert found.accepted.keys() == {"team-a"}
    assert found.missing == ["gone"]
    assert found.accepted["team-a"].revision.commit == commit
