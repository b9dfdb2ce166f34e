"""Listings and differences: reading only what changed gives the same tree as reading everything (S1, S3)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import Stalled
from reconciler.model import Limits
from reconciler.source.trees import Entry, amended, bounds, differences, listing, readable, sized, tree

BOUNDS = bounds(Limits(file="1Ki", files=1000, total="1Mi"))
OIDS = [f"{number:040x}" for number in range(6)]
paths = st.sampled_from(
    [b"a", b"a.yaml", b"b/c.yaml", b"b/d", b"-x", b"l\nm", b"\xff", "é".encode(), b"z/z/z", b".hidden", b"b-c"]
)
kinds = st.sampled_from([b"100644", b"100755", b"120000", b"160000"])
sizes = {oid: 300 * number for number, oid in enumerate(OIDS)}
states = st.dictionaries(paths, st.tuples(kinds, st.sampled_from(OIDS)), max_size=8)
State = dict[bytes, tuple[bytes, str]]


def entries(state: State) -> list[Entry]:
    return [
        Entry(mode, b"commit" if mode == b"160000" else b"blob", oid, 0 if mode == b"160000" else sizes[oid], path)
        for path, (mode, oid) in sorted(state.items())
    ]


def raw_difference(old: State, new: State) -> bytes:
    """What `diff-tree -r -z --raw` prints for two states."""
    parts = []
    for path in sorted(old.keys() | new.keys()):
        before, after = old.get(path, (b"000000", "0" * 40)), new.get(path, (b"000000", "0" * 40))
        if before != after:
            status = b"D" if path not in new else b"A" if path not in old else b"M"
            parts.append(
                b":%s %s %s %s %s\0%s\0" % (before[0], after[0], before[1].encode(), after[1].encode(), status, path)
            )
    return b"".join(parts)


@given(states, states)
def test_the_amended_tree_equals_the_listed_one(old: State, new: State) -> None:
    removed, changed = differences(raw_difference(old, new))
    before, whole = tree("o", entries(old), BOUNDS), tree("n", entries(new), BOUNDS)
    found = amended(before, "n", removed, sized(changed, sizes), BOUNDS)
    assert found == whole
    assert list(found.files) == list(whole.files)


@given(states)
def test_every_entry_is_either_read_or_reported(state: State) -> None:
    found = tree("x", entries(state), BOUNDS)
    assert len(found.files) + len(found.violations) == len(state)
    assert set(found.sizes) == set(found.files.values())
    assert all(violation.path.isprintable() for violation in found.violations)


@given(st.binary(max_size=60))
def test_a_path_to_show_is_printable_and_tells_paths_apart(path: bytes) -> None:
    assert readable(path).isprintable()
    assert readable(path) != readable(path + b"\n")


def test_listing() -> None:
    raw = b"100644 blob %s       5\ta b\tc\x00160000 commit %s       -\tm\0" % (OIDS[1].encode(), OIDS[2].encode())
    assert list(listing(raw)) == [
        Entry(b"100644", b"blob", OIDS[1], 5, b"a b\tc"),
        Entry(b"160000", b"commit", OIDS[2], 0, b"m"),
    ]
    assert list(listing(b"")) == []


@pytest.mark.parametrize("raw", [b"100644 blob 1 5\ta", b"100644 blob\0", b"x"])
def test_a_listing_cut_short_is_an_error(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"truncated|unpack"):
        list(listing(raw))
    with pytest.raises(ValueError, match=r"truncated|zip|unpack"):
        differences(raw)


def test_limits_are_of_the_whole_tree() -> None:
    many = [Entry(b"100644", b"blob", OIDS[0], 1, b"%d" % number) for number in range(1001)]
    with pytest.raises(Stalled, match="more than 1000 files"):
        tree("x", many, BOUNDS)
    before = tree("x", many[:1000], BOUNDS)
    with pytest.raises(Stalled, match="more than 1000 files"):
        amended(before, "y", (), many[1000:], BOUNDS)
