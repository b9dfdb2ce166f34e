"""Versions and ranges."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.spec import semver

VERSIONS = [
    "0.2.3",
    "0.2.9",
    "0.3.0",
    "1.0.0",
    "1.1.9",
    "1.2.0",
    "1.2.3",
    "1.2.4-rc.1",
    "1.2.4-rc.10",
    "1.3.0",
    "2.0.0-alpha",
    "2.0.0",
    "2.1.0",
]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1.2.0", "1.2.0"),
        ("=1.2.0", "1.2.0"),
        ("1.2.x", "1.2.3"),
        ("1.2", "1.2.3"),
        ("1.x", "1.3.0"),
        ("1.X.x", "1.3.0"),
        ("1", "1.3.0"),
        ("*", "2.1.0"),
        ("^1.2", "1.3.0"),
        ("^1.2.3", "1.3.0"),
        ("^0.2.3", "0.2.9"),
        ("^0.2", "0.2.9"),
        ("^0", "0.3.0"),
        ("^0.0", None),
        ("~1.2.3", "1.2.3"),
        ("~1.2", "1.2.3"),
        ("~1", "1.3.0"),
        (">=1.0 <2.0", "1.3.0"),
        (">= 1.0, < 1.2", "1.1.9"),
        (">1.2", "2.1.0"),
        (">1.2.3 <1.3", None),
        ("<=1.2", "1.2.3"),
        ("<1", "0.3.0"),
        ("1.2.4-rc.1", "1.2.4-rc.1"),
        (">=1.2.4-rc.1 <1.3", "1.2.4-rc.10"),
        (">=2.0.0-0", "2.1.0"),
        ("3.x", None),
        ("v1.2.0", "1.2.0"),
    ],
)
def test_the_newest_version_that_fits(text: str, expected: str | None) -> None:
    assert semver.best(text, VERSIONS) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "latest",
        "1.2.3.4",
        "1.2.0 ||",
        "~> 1",
        ">",
        "^*",
        "1.2-rc",
        "1..2",
        "1" * 200,
        "1.2.0abc",
        "1.2.x\n\nx",
    ],
)
def test_what_is_no_range(text: str) -> None:
    with pytest.raises(ValueError):
        semver.best(text, VERSIONS)


def test_the_order_of_the_specification() -> None:
    texts = [
        "1.0.0-alpha",
        "1.0.0-alpha.1",
        "1.0.0-alpha.beta",
        "1.0.0-beta",
        "1.0.0-beta.2",
        "1.0.0-beta.11",
        "1.0.0-rc.1",
        "1.0.0",
    ]
    parsed = [semver.version(text) for text in texts]
    assert parsed == sorted(parsed) and len(set(parsed)) == len(parsed)


_number = st.integers(0, 30)


@given(st.tuples(_number, _number, _number), st.tuples(_number, _number, _number))
def test_a_caret_keeps_the_first_number_that_counts(low: tuple[int, int, int], other: tuple[int, int, int]) -> None:
    text, version = "^{}.{}.{}".format(*low), "{}.{}.{}".format(*other)
    kept = next((index for index in range(3) if low[index]), 2)
    assert (semver.best(text, [version]) == version) == (other >= low and other[: kept + 1] == low[: kept + 1])
