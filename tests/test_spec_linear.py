"""What is wrong with a document costs its length to tell, not its square, and what is told is bounded: calls are counted."""

import sys
from types import FrameType
from typing import Any

import pytest

from reconciler.spec import entries
from tests.spec_cases import CLUSTER, FILES, PROFILE, edited, snapshot


def namespaces(count: int) -> dict[str, str]:
    written = ", ".join("{name: web}" for _ in range(count))
    return edited(
        "clusters/team-a.yaml",
        CLUSTER,
        CLUSTER.replace('[{name: web, labels: {team: a}, quota: {cpu: "2", pods: 5}}]', f"[{written}]"),
    )


def references(count: int) -> dict[str, str]:
    written = ", ".join(f'v{number}: "${{{{ variables.none{number} }}}}"' for number in range(count))
    return edited(
        "profiles/web.yaml", PROFILE, PROFILE.replace("values: {replicas:", f"values: {{{written}, replicas:")
    )


def in_files(count: int) -> dict[str, str]:
    written = "".join(f"v{number}: ${{{{ variables.none{number} }}}}\n" for number in range(count))
    return {**FILES, "profiles/front.yaml": written}


def unknown(count: int) -> dict[str, str]:
    written = "".join(f"  field{number}: 1\n" for number in range(count))
    return {**FILES, "clusters/team-a.yaml": CLUSTER + written}


def same_name(count: int) -> dict[str, str]:
    return {**FILES, "clusters/team-a.yaml": "---\n".join([CLUSTER] * count)}


def calls(files: dict[str, str]) -> int:
    """How many functions of Python are called to load a repository that is read for the first time."""
    count = 0

    def seen(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(seen)
    try:
        snapshot(files)
    finally:
        sys.setprofile(None)
    return count


MADE = {made.__name__: made for made in (namespaces, references, in_files, unknown, same_name)}


@pytest.mark.parametrize("name", MADE)
def test_twice_as_many_mistakes_cost_twice_as_much(name: str) -> None:
    snapshot(MADE[name](3))  # what is loaded once
    some, twice = calls(MADE[name](100)), calls(MADE[name](200))
    assert twice < 2.5 * some, (some, twice)


@pytest.mark.parametrize(
    ("name", "count"), [("namespaces", 300), ("references", 150), ("in_files", 150), ("unknown", 150)]
)
def test_what_is_told_of_one_document_is_bounded(name: str, count: int) -> None:
    found, _ = snapshot(MADE[name](count))
    assert 1 <= len(found.violations) <= entries.TOLD + 2
    if name != "namespaces":
        assert any(
            f"{count - entries.TOLD + 1} more mistakes in this document" in one.message for one in found.violations
        )


def test_a_list_has_an_end() -> None:
    found, _ = snapshot(namespaces(257))
    assert [one.message for one in found.violations] == ["more than 256 items"]


def test_one_name_in_many_documents_is_told_in_a_short_message() -> None:
    found, _ = snapshot(same_name(200))
    assert len(found.violations) == 200
    assert all(len(one.message) < 300 and "and 194 other places" in one.message for one in found.violations)
