"""Histories of commits, people, restarts and kills, with one request in twenty failing: they end as if undisturbed.

Nothing that Git wants all along is deleted on the way, no record is lost, and nothing outside the inventory is touched. To read a
failure: `NIDUS_HISTORIES=SEED python -m pytest tests/test_histories.py -k one_history` prints its steps, shortened as far as it fails.
"""

from __future__ import annotations

import io
import os
import sys
from collections import Counter
from collections.abc import Collection, Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from tests.histories import story
from tests.histories.failing import EVERY_FORM, EVERY_VERB
from tests.histories.steps import steps

EACH = 20  # histories of one share
SHARES = 10  # of `make test`: 200 histories; `make test-long` plays all
ALL = 1000  # of `make test-long`
Played = tuple[list[str], Counter[tuple[str, str, str]]]


def played(first: int) -> Played:
    """What is wrong with the histories of one share, and which failures they met."""
    met: Counter[tuple[str, str, str]] = Counter()
    found = ((seed, story.wrong(seed, steps(seed), met)) for seed in range(first, first + EACH))
    return [f"history {seed}: {why} (NIDUS_HISTORIES={seed} shows it)" for seed, why in found if why], met


def judge(shares: Iterable[Played], forms: Collection[str], verbs: Collection[tuple[str, str]] = ()) -> None:
    """Every history ended well, and the failures among them were of these forms, and met these verbs and kinds of target."""
    met: Counter[tuple[str, str, str]] = Counter()
    for wrong, some in shares:
        assert not wrong
        met.update(some)
    assert {form for form, _, _ in met}.issuperset(forms)
    assert {(verb, where) for _, verb, where in met}.issuperset(verbs)


@pytest.mark.parametrize("share", range(SHARES))
def test_a_disturbed_history_ends_as_an_undisturbed_one(share: int) -> None:
    judge([played(EACH * share)], EVERY_FORM if share == 0 else ())  # a rare one is not in every share


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_thousand_histories_end_as_undisturbed_ones() -> None:
    """On every processor."""
    with ProcessPoolExecutor(mp_context=get_context("spawn"), initializer=quiet) as pool:
        judge(pool.map(played, range(0, ALL, EACH)), EVERY_FORM, EVERY_VERB)


def quiet() -> None:
    """The product's log is of no use here."""
    sys.stderr = io.StringIO()


if "NIDUS_HISTORIES" in os.environ:  # one history, to be read: its seed

    def test_one_history() -> None:
        seed = int(os.environ["NIDUS_HISTORIES"])
        whole = steps(seed)
        found = story.wrong(seed, whole)
        if found:
            short, found = story.shortened(seed, whole, found)
            pytest.fail("\n".join([f"history {seed}: {found}", *(f"  {kind}: {what}" for kind, what in short)]))
