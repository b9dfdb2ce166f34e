"""What commands keep of the files of a large repository: the same snapshot as without it, and nothing that could be another's word."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import schemas
from reconciler import model, spec
from reconciler.__main__ import main
from reconciler.model import Limits, Revision, Snapshot, Tree, replace
from reconciler.spec import load, stored
from reconciler.spec.entries import Entry
from reconciler.verbs import kept as files
from reconciler.verbs import parsed
from reconciler.verbs.parsed import Parsed
from tests.documents import cluster, config_map, pack, profile
from tests.examples import examples
from tests.spec_cases import FACTS, FILES, RULES

Files = Mapping[str, str]
SAMPLE = Path(__file__).parents[1] / "sample-repo"
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text()
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)
TEXTS = st.one_of(
    st.builds(lambda name, value: cluster(name, profiles=[{"name": "web", "version": "1.x", "values": {"front": {"a": value}}}]),
              st.sampled_from("abc"), VALUES),
    st.builds(lambda version, value: profile(pack("base", config_map("x", a=str(value))), version=version),
              st.sampled_from(["1.0.0", "1.1.0", "one"]), st.text(max_size=9)),
    st.sampled_from([*FILES.values(), "nidus.dev/: [", cluster("a") + "\n---\n" + cluster("b"), cluster("A"), "a: b"]),
)  # fmt: skip
REPOS = st.dictionaries(st.sampled_from(["a.yaml", "b/c.yaml", "d.yml", "e.yaml"]), TEXTS)


def tree(files: Files) -> tuple[Tree, dict[str, bytes]]:
    """As Git names them."""
    blobs = {path: text.encode("utf-8", "surrogatepass") for path, text in sorted(files.items())}
    oids = {path: hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest() for path, data in blobs.items()}
    return Tree("t", oids, {oids[path]: len(data) for path, data in blobs.items()}), {
        oids[path]: data for path, data in blobs.items()
    }


def loaded(files: Files, known: load.Known = load.NOTHING) -> tuple[Snapshot, load.Known]:
    whole, blobs = tree(files)
    wanted = {oid: blobs[oid] for oid in load.wanted(whole, known)}
    return load.load("p", Revision("main", "c"), whole, wanted, known, RULES, FACTS, Limits())


def many(count: int = parsed.FEW) -> dict[str, Entry]:
    files = {f"c{number}.yaml": cluster(f"c{number}") for number in range(count)}
    return dict(loaded(files)[1].entries)


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Parsed:
    """The entries of a large folder are kept; a fresh value reads them from the disk."""
    monkeypatch.setenv("NIDUS_DATA", str(tmp_path / "data"))
    made = Parsed(tmp_path, ".", Limits())
    made.keep(many())
    return again(made)


def file_of(one: Parsed) -> Path:
    (found,) = file_parent(one).iterdir()
    return found


@examples(40)
@given(REPOS, REPOS)
def test_what_is_kept_gives_the_snapshot_that_reading_gives(before: Files, after: Files) -> None:
    entries = loaded(before)[1].entries
    again = stored.decode(stored.encode(entries))
    assert all(facts(one) == facts(entries[path]) for path, one in again.items())
    assert loaded(after, load.Known(entries=again))[0] == loaded(after)[0]


def facts(one: Entry) -> tuple[Any, ...]:
    """Items are compared by identity elsewhere."""
    items = [(item.path, item.line, item.index, item.digest, item.spec, item.data) for item in one.items]
    return one.oid, one.data, items, one.violations, one.broken


def test_every_document_of_the_sample_repository_is_the_same_again() -> None:
    files = {str(path.relative_to(SAMPLE)): path.read_text() for path in SAMPLE.rglob("*.yaml")}
    entries = {path: one for path, one in loaded(files)[1].entries.items() if stored.worth(one)}
    again = stored.decode(stored.encode(entries))
    assert len(entries) > 5 and {path: facts(one) for path, one in again.items()} == {
        path: facts(one) for path, one in entries.items()
    }


def test_sound_files_are_kept_and_read_from_nowhere_else(kept: Parsed) -> None:
    assert kept.known.entries.keys() == many().keys()
    whole, _ = tree({f"c{number}.yaml": cluster(f"c{number}") for number in range(parsed.FEW)})
    assert load.wanted(whole, kept.known) == []


def test_of_a_small_folder_nothing_is_written(kept: Parsed, tmp_path: Path) -> None:
    small = again(kept, place=tmp_path / "small")
    small.keep(many(parsed.FEW - 1))
    assert again(small).known.entries == {}


def test_validate_says_the_same_of_what_it_read_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NIDUS_DATA", str(tmp_path / "data"))
    work = tmp_path / "work"
    work.mkdir()
    for number in range(parsed.FEW):
        (work / f"c{number}.yaml").write_text(
            cluster(f"c{number}", namespaces=[], description="-----BEGIN PRIVATE KEY-----")
        )
    (work / "web.yaml").write_text(profile(pack("base", config_map("x"))))
    first, told = main(["validate", "--no-render", str(work)]), capsys.readouterr()
    assert (tmp_path / "data" / "parsed").exists()
    assert (main(["validate", "--no-render", str(work)]), capsys.readouterr()) == (first, told)
    assert first == 1 and f"{parsed.FEW} mistakes" in told.out
    (work / "c7.yaml").write_text(cluster("c7", sleep=3))
    assert main(["validate", "--no-render", str(work)]) == 1
    assert "c7.yaml:1:" in (out := capsys.readouterr().out) and f"{parsed.FEW} mistakes" in out


def test_few_new_files_are_not_worth_a_write_and_many_are(kept: Parsed) -> None:
    before = file_of(kept).read_bytes()
    kept.keep({**kept.known.entries, **{f"new{path}": one for path, one in many(3).items()}})
    assert file_of(kept).read_bytes() == before
    kept.keep(many(2 * parsed.FEW))
    assert len(again(kept).known.entries) == 2 * parsed.FEW


@pytest.mark.parametrize("changed", [{"limits": replace(Limits(), file="1Mi")}, {"sub": "fleet"}])
def test_other_limits_and_another_folder_have_nothing(kept: Parsed, changed: dict[str, Any]) -> None:
    assert kept.known.entries
    assert again(kept, **changed).known is load.NOTHING


def test_another_state_of_the_program_has_nothing() -> None:
    ours = list(files.program(spec, model, schemas))
    assert any(name == "entries.py" for name, _, _ in ours) and any("schema" in name for name, _, _ in ours)
    assert stored.stamp(Limits(), ours) != stored.stamp(Limits(), [*ours[1:], (ours[0][0], 1, 1)])


@pytest.mark.parametrize("place", [0, 70, 100, 5_000, -1])
def test_damage_anywhere_is_not_believed(kept: Parsed, place: int) -> None:
    data = bytearray(file_of(kept).read_bytes())
    data[place] ^= 1
    file_of(kept).write_bytes(data)
    assert kept.known is load.NOTHING


@pytest.mark.parametrize("size", [0, 1, 95, 96, 97, 4_000])
def test_what_is_cut_short_is_not_believed(kept: Parsed, size: int) -> None:
    os.truncate(file_of(kept), size)
    assert kept.known is load.NOTHING


def test_bytes_that_are_not_the_blob_are_not_believed(kept: Parsed) -> None:
    """Also where somebody made the whole file fit."""
    forged = {path: replace(one, data=one.data + b" ") for path, one in many().items()}
    body = stored.encode({**forged, "c1.yaml": many()["c1.yaml"]})
    file_of(kept).write_bytes(kept._head(body) + body)
    assert kept.known.entries.keys() == {"c1.yaml"}


def test_what_others_may_write_is_not_believed(kept: Parsed) -> None:
    file_of(kept).chmod(0o620)
    assert kept.known is load.NOTHING
    file_of(kept).chmod(0o600)
    assert again(kept).known.entries
    file_of(kept).parent.chmod(0o702)
    assert again(kept).known is load.NOTHING


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives its files to another user")
@pytest.mark.parametrize("whose", ["file", "folder"])
def test_what_another_user_owns_is_not_believed(kept: Parsed, whose: str) -> None:
    os.chown(file_of(kept) if whose == "file" else file_parent(kept), 65534, 65534)
    assert kept.known is load.NOTHING


def test_no_link_and_no_pipe_is_followed(kept: Parsed, tmp_path: Path) -> None:
    there = file_of(kept)
    moved = there.rename(tmp_path / "moved")
    there.symlink_to(moved)
    assert again(kept).known is load.NOTHING
    there.unlink()
    os.mkfifo(there, 0o600)
    assert again(kept).known is load.NOTHING


def test_a_disk_that_cannot_be_written_is_no_error(
    kept: Parsed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NIDUS_DATA", str(tmp_path / "file"))
    (tmp_path / "file").write_text("no folder")
    other = again(kept)
    other.keep(many())
    assert again(other).known is load.NOTHING


def test_it_is_readable_for_its_owner_alone(kept: Parsed) -> None:
    assert file_of(kept).stat().st_mode & 0o077 == 0 and file_of(kept).parent.stat().st_mode & 0o077 == 0


def test_a_few_folders_are_remembered(kept: Parsed, tmp_path: Path) -> None:
    for number in range(files.MOST + 2):
        again(kept, sub=str(number)).keep(many())
    assert len(list(file_parent(kept).iterdir())) == files.MOST
    assert again(kept, sub=str(files.MOST + 1)).known.entries


def file_parent(one: Parsed) -> Path:
    return one.place / "data" / "parsed"


def again(one: Parsed, **changed: Any) -> Parsed:
    """As another command has it."""
    return Parsed(**{"place": one.place, "sub": one.sub, "limits": one.limits, **changed})
