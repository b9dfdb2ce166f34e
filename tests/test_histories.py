"""Histories of commits, people, restarts and kills, with one request in twenty failing: they end as if undisturbed.

Nothing that Git wants all along is deleted on the way, no record is lost, and nothing outside the inventory is touched. To read a
failure: `NIDUS_HISTORIES=SEED python -m pytest tests/test_histories.py -k one_history` prints its steps, shortened as far as it fails.
"""

from __future__ import annotations

import os
from collections import Counter

import pytest

from tests.histories import story
from tests.histories.failing import EVERY_FORM, EVERY_VERB
from tests.histories.steps import steps

SHARES = 4  # of `make test`, so that workers can split them


def play(seeds: range) -> None:
    """Every history of these seeds ends well; the failures among them are of every form, verb and kind of target."""
    met: Counter[tuple[str, str, str]] = Counter()
    for seed in seeds:
        wrong = story.wrong(seed, steps(seed), met)
        if wrong:
            pytest.fail(f"history {seed}: {wrong}\nto read it: NIDUS_HISTORIES={seed} ... -k one_history")
    assert {form for form, _, _ in met} == EVERY_FORM
    assert {(verb, where) for _, verb, where in met} >= EVERY_VERB


@pytest.mark.parametrize("share", range(SHARES))
def test_a_disturbed_history_ends_as_an_undisturbed_one(share: int) -> None:
    play(range(50 * share, 50 * share + 50))


@pytest.mark.long
@pytest.mark.parametrize("share", range(8))
def test_a_thousand_histories_end_as_undisturbed_ones(share: int) -> None:
    play(range(200 + 100 * share, 300 + 100 * share))


@pytest.mark.skipif("NIDUS_HISTORIES" not in os.environ, reason="NIDUS_HISTORIES names no history")
def test_one_history() -> None:
    seed = int(os.environ.get("NIDUS_HISTORIES", "0"))
    whole = steps(seed)
    found = story.wrong(seed, whole)
    if found:
        short, found = story.shortened(seed, whole, found)
        pytest.fail("\n".join([f"history {seed}: {found}", *(f"  {kind}: {what}" for kind, what in short)]))
