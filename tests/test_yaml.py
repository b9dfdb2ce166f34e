"""Strict YAML (V1): what is read, what is refused, where, and that nothing crashes it."""

import math

import pytest
import yaml as pyyaml
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model import Limits
from reconciler.spec import marks
from reconciler.spec.codes import Code
from reconciler.spec.yaml import Parsed, locate, parse

LIMITS = Limits()


def read(text: str | bytes, limits: Limits = LIMITS) -> Parsed:
    return parse(text.encode() if isinstance(text, str) else text, "f.yaml", limits)


def told(text: str | bytes, limits: Limits = LIMITS) -> list[tuple[int, int, str]]:
    return [(one.line, one.column, one.code) for one in read(text, limits).violations]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a", "a"),
        ("'yes'", "yes"),
        ("true", True),
        ("False", False),
        ("~", None),
        ("null", None),
        ("", None),
        ("0", 0),
        ("-12", -12),
        ("+3", 3),
        ("0x1F", 31),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("9007199254740992", 2**53),
        ("1.2.0", "1.2.0"),
        ("v1.36.0", "v1.36.0"),
        ("5Gi", "5Gi"),
        ("-", None),
        ("a b  c", "a b  c"),
        ("|\n  two\n  lines", "two\nlines"),
        ("0.36.1", "0.36.1"),
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("...x", "...x"),
    ],
)
def test_plain_scalars_are_those_of_yaml_1_2(text: str, value: object) -> None:
    expected = [None] if text == "-" else value
    source = f"a:\n  {text}" if text == "-" else f"a: {text}"
    assert read(source).violations == ()
    assert read(source).documents[0].body == {"a": expected}


@pytest.mark.parametrize(
    "text",
    [
        "yes",
        "No",
        "ON",
        "off",
        "y",
        "N",
        "012",
        "-07",
        "0o17",
        "0b11",
        "1_000",
        "1:20",
        "22:22:22",
        "2026-01-02",
        "=",
        "2026-1-2 10:00:00",
    ],
)
def test_ambiguous_scalars_are_errors_that_name_the_quoted_fix(text: str) -> None:
    violations = read(f"a:\n  b: {text}").violations
    assert [(one.line, one.column, one.code) for one in violations] == [(2, 6, Code.AMBIGUOUS)]
    assert f'"{text}"' in violations[0].hint


@pytest.mark.parametrize("text", [".nan", ".inf", "-.INF", "1e999", "9007199254740993", "9" * 5000, "0x" + "f" * 20])
def test_numbers_json_cannot_carry_are_errors(text: str) -> None:
    assert told(f"a: {text}") == [(1, 4, Code.NUMBER)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\nb: 2\na: 3", [(3, 1, Code.DUPLICATE_KEY)]),
        ("a: &x 1", [(1, 4, Code.NOT_ALLOWED)]),
        ("a: &x [1]\nb: *x", [(1, 4, Code.NOT_ALLOWED), (2, 4, Code.NOT_ALLOWED)]),
        ("<<: {a: 1}", [(1, 1, Code.NOT_ALLOWED)]),
        ("a: !!str 1", [(1, 4, Code.NOT_ALLOWED)]),
        ("a: !!python/object/apply:os.system [x]", [(1, 4, Code.NOT_ALLOWED)]),
        ("%YAML 1.1\n---\na: 1", [(1, 1, Code.NOT_ALLOWED)]),
        ("1: a", [(1, 1, Code.KEY)]),
        ("true: a", [(1, 1, Code.KEY)]),
        ("on: a", [(1, 1, Code.AMBIGUOUS)]),
        ("? [a]\n: b", [(1, 3, Code.KEY)]),
        ("a: b: c", [(1, 5, Code.SYNTAX)]),
        ("a: {", [(2, 1, Code.SYNTAX)]),
        (b"\xff\xfea\x00", [(1, 1, Code.NOT_UTF8)]),
        ("a: b".encode("utf-16-be"), [(1, 1, Code.NOT_UTF8)]),
        (b"a: 1\nb: \x00", [(2, 4, Code.NOT_UTF8)]),
        (b"a: caf\xe9", [(1, 7, Code.NOT_UTF8)]),
        ("version https://git-lfs.github.com/spec/v1\noid sha256:0\n", [(1, 1, Code.LFS_POINTER)]),
    ],
)
def test_refusals_have_their_place(text: str | bytes, expected: list[tuple[int, int, str]]) -> None:
    assert told(text) == expected


def test_all_mistakes_of_a_readable_file_are_told_at_once() -> None:
    assert [code for _, _, code in told("a: yes\na: 012\nb: .nan\n3: x")] == [
        Code.AMBIGUOUS,
        Code.DUPLICATE_KEY,
        Code.AMBIGUOUS,
        Code.NUMBER,
        Code.KEY,
    ]


def test_coordinates_may_be_called_y() -> None:
    assert read("x: 1\ny: 2\nn: 3").documents[0].body == {"x": 1, "y": 2, "n": 3}


def test_a_byte_order_mark_and_windows_lines_are_fine() -> None:
    assert read(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n").documents[0].body == {"a": 1, "b": 2}


def test_documents_know_their_line_and_empty_ones_are_left_out() -> None:
    parsed = read("# x\n---\n---\na: 1\n---\n\nb: 2\n---\n")
    assert [(one.line, one.body) for one in parsed.documents] == [(4, {"a": 1}), (7, {"b": 2})]


def test_depth_is_refused_in_the_event_stream_before_libyaml_crashes() -> None:
    assert told("[" * 500_000) == [(1, LIMITS.depth + 1, Code.TOO_DEEP)]
    assert told("- " * 50_000 + "x")[0][2] == Code.TOO_DEEP
    assert told("{a: " * 33 + "1" + "}" * 33)[0][2] == Code.TOO_DEEP
    assert read("[" * 32 + "]" * 32).violations == ()


def test_nodes_documents_and_bytes_are_limited() -> None:
    assert told("[" + "1," * 110_000 + "]")[0][2] == Code.TOO_MUCH
    assert told("---\na\n" * 201)[0][2] == Code.TOO_MUCH
    assert told("a: " + "x" * (1 << 22))[0][2] == Code.TOO_LARGE
    assert told("a: 1", Limits(file="3")) == [(1, 1, Code.TOO_LARGE)]


def test_what_is_beyond_a_limit_names_the_setting() -> None:
    for text, setting in (("[1, 2]", "nodes"), ("a\n---\nb\n", "documents"), ("[[[[[]]]]]", "depth")):
        (found,) = read(text, Limits(nodes=9 if setting == "depth" else 2, documents=1, depth=4)).violations
        assert f"spec.limits.{setting}" in found.hint
    (found,) = read("a: " + "x" * (5 << 20)).violations
    assert "spec.limits.file to 8Mi" in found.hint


def test_messages_hold_no_long_values() -> None:
    assert len(read("a: " + "9" * 100_000).violations[0].message) < 120


def test_places_are_those_of_values_and_of_keys_of_collections() -> None:
    data = b"a: 1\nb:\n  - c: x\n    d/e: {f: [1, 2]}\n---\n---\nz: [q]\n"
    assert locate(data, 0, "/a") == (1, 4)
    assert locate(data, 0, "/b") == (2, 1)
    assert locate(data, 0, "/b/0/c") == (3, 8)
    assert locate(data, 0, "/b/0/d~1e/f/1") == (4, 18)
    assert locate(data, 0, "/b/0/missing/deep") == (3, 5)
    assert locate(data, 1, "/z/0") == (7, 5)
    assert locate(data, 9, "/z") == (1, 1)


_text = st.text(
    st.characters(max_codepoint=0xFFFF, exclude_categories=("Cs",)), max_size=12
)  # YAML has no surrogate escapes
_scalars = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(-1e6, 1e6) | _text
_trees = st.recursive(
    _scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_text, inner, max_size=4), max_leaves=12
)


@given(st.dictionaries(_text, _trees, min_size=1, max_size=4))
def test_what_json_can_say_is_read_back_the_same(body: dict[str, object]) -> None:
    """JSON is YAML: every document written by another program as JSON is read as it was meant."""
    import json

    parsed = read(json.dumps(body))
    assert parsed.violations == ()
    assert parsed.documents[0].body == body


@given(st.binary(max_size=200) | st.text(alphabet="ab:-[]{}&*!|>'\"%@`#,?\n \t0.~yn", max_size=60).map(str.encode))
def test_no_bytes_crash_it_and_what_it_accepts_the_reference_loader_reads_too(data: bytes) -> None:
    parsed = parse(data, "f.yaml", LIMITS)
    places = marks.read(data)
    assert all(one.line >= 1 and one.column >= 1 for one in parsed.violations)
    if not parsed.violations:
        assert len(places) == len(parsed.documents)
        ours = [body for body in (one.body.get("", one.body) for one in parsed.documents) if body != ""]
        theirs = pyyaml.load_all(data, Loader=pyyaml.CBaseLoader)
        assert len(ours) == len([body for body in theirs if body not in ("", "~", "null", "Null", "NULL")])


def test_floats_stay_finite() -> None:
    value = read("a: 1.7976931348623157e308").documents[0].body["a"]
    assert math.isfinite(value)
