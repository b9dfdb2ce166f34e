"""Wakes of a source: several count as one, a sync request is a level, bursts are waited for (W3)."""

import itertools
import threading
import time
from collections.abc import Callable

import pytest

from reconciler.controller import pace, trigger
from reconciler.controller.pace import EVERY
from reconciler.controller.trigger import AT_ONCE, QUIET, Trigger


def test_several_wakes_are_one() -> None:
    wake = Trigger()
    wake.up("webhook", generation=5)
    wake.up("request", again=True)
    wake.up("sync", forced=True, resync=7)
    taken = wake.take()
    assert (taken.trigger, taken.again, taken.forced, taken.generation) == ("webhook", True, True, 7)
    assert wake.take().trigger == "poll"


def test_a_mark_heard_of_before_is_no_news() -> None:
    wake = Trigger(served=5)
    wake.up("webhook", generation=5)
    wake.up("sync", forced=True, resync=4)
    taken = wake.take()
    assert (taken.trigger, taken.forced, taken.generation) == ("poll", False, 5)


def test_a_delivery_counts_from_when_it_was_stored() -> None:
    """Also where another process took it, which was killed; and whatever another clock says."""
    wake, now = Trigger(), time.time()
    wake.up("start")
    wake.up("webhook", generation=int((now - 300.0) * 1e9))
    assert abs(wake.take().at - (now - 300.0)) < 1e-3
    wake.up("webhook", generation=int((now + 30.0) * 1e9))
    assert now <= wake.take().at <= time.time()
    wake = Trigger()
    wake.up("webhook", generation=5)
    assert now <= wake.take().at <= time.time()


def test_a_failed_sync_keeps_what_was_asked_for() -> None:
    wake = Trigger()
    wake.up("sync", forced=True, resync=3)
    wake.keep(wake.take())
    taken = wake.take()
    assert taken.forced and taken.again and not taken.recall
    wake.up("record", again=True, recall=True)
    wake.keep(wake.take())
    assert wake.take().recall
    assert not wake.take().recall


class Pauses(threading.Event):
    """A stop event whose time is counted, not waited for: each wait is a step of the clock, and `then` happens meanwhile."""

    def __init__(self, then: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self.now, self._then = 0.0, then

    def wait(self, timeout: float | None = None) -> bool:
        self.now += timeout or 0.0
        self._then()
        return self.is_set()


def test_one_mark_is_not_waited_for_and_a_burst_is() -> None:
    pauses = Pauses()
    wake = Trigger(clock=lambda: pauses.now)
    wake.up("webhook", generation=1)
    wake.wait(10.0, pauses, longest=2.0)
    assert pauses.now == 0.0
    wake.up("webhook", generation=2)
    wake.wait(10.0, pauses, longest=2.0)
    assert pauses.now == QUIET
    assert wake.take().generation == 2


def test_a_burst_is_waited_for_where_each_sync_is_quicker_than_the_next_mark() -> None:
    """A thousand marks, one every 40 ms, were a sync each."""
    pauses, syncs = Pauses(), 0
    wake = Trigger(clock=lambda: pauses.now)
    marks = iter(range(1, 101))
    while (mark := next(marks, None)) is not None:
        wake.up("webhook", generation=mark)
        pauses._then = lambda: [wake.up("webhook", generation=one) for one in [next(marks, None)] if one]  # type: ignore[assignment, return-value]
        wake.wait(10.0, pauses, longest=100.0)
        assert wake.take().generation
        syncs += 1
        pauses.now += 0.04
    assert syncs <= 2


def test_a_burst_without_end_is_not_waited_for_for_ever() -> None:
    marks = itertools.count(3)
    pauses = Pauses(lambda: wake.up("webhook", generation=next(marks)))
    wake = Trigger(clock=lambda: pauses.now)
    wake.up("webhook", generation=1)
    wake.up("webhook", generation=2)
    wake.wait(10.0, pauses, longest=2.0)
    assert 2.0 <= pauses.now < 2.0 + QUIET


def test_a_delivery_joins_the_mark_that_no_sync_has_begun_for() -> None:
    wake = Trigger(served=4)
    wake.up("request", again=True)
    assert wake.joined() == 0  # none was stored
    wake.up("webhook", generation=5)
    assert wake.joined() == 5
    assert wake.take().generation == 5
    assert wake.joined() == 0  # the sync may have read already what this one is about
    wake.up("due")
    assert wake.joined() == 0


def test_deliveries_that_join_a_mark_are_part_of_its_burst() -> None:
    def more() -> None:
        wake.joined()

    pauses = Pauses(more)
    wake = Trigger(clock=lambda: pauses.now)
    wake.up("webhook", generation=1)
    assert wake.joined() == 1
    wake.wait(10.0, pauses, longest=2.0)
    assert 2.0 <= pauses.now < 2.0 + QUIET


def test_an_end_is_not_delayed_by_a_burst() -> None:
    pauses = Pauses()
    wake = Trigger(clock=lambda: pauses.now)
    pauses.set()
    wake.up("webhook", generation=1)
    wake.up("webhook", generation=2)
    wake.wait(10.0, pauses, longest=2.0)
    assert pauses.now < QUIET


def test_what_people_ask_for_costs_no_more_however_often_they_ask() -> None:
    """A thousand sync requests in a minute: as many whole looks as are saved up, and then one in so many seconds. Every one is
    answered, and none before a look that began after it."""
    pauses, looks, served = Pauses(), 0, 0
    wake = Trigger(clock=lambda: pauses.now)
    for mark in range(1, 1001):
        wake.up("sync", forced=True, resync=mark)
        pauses.now += 0.06
        taken = wake.take()
        looks += taken.forced
        assert taken.generation == mark if taken.forced else taken.generation == served
        served = taken.generation
    assert AT_ONCE <= looks <= AT_ONCE + 60.0 / EVERY
    wake.up("sync", forced=True, resync=1001)
    assert not wake.take().forced
    pauses.now += EVERY
    wake.wait(60.0, pauses, longest=2.0)
    taken = wake.take()
    assert (taken.trigger, taken.forced, taken.generation) == ("sync", True, 1001)
    assert not wake.take().forced


def test_a_push_waits_for_no_sync_that_is_asked_for() -> None:
    pauses = Pauses()
    wake = Trigger(clock=lambda: pauses.now)
    for mark in range(1, 100):
        wake.up("sync", forced=True, resync=mark)
        wake.take()
    wake.up("webhook", generation=200)
    wake.wait(60.0, pauses, longest=2.0)
    taken = wake.take()
    assert (pauses.now, taken.trigger, taken.forced, taken.again, taken.generation) == (
        0.0,
        "webhook",
        False,
        False,
        AT_ONCE,
    )
    pauses.now += EVERY
    assert wake.take().generation == 200


def test_a_sync_waits_for_its_lists_and_a_push_for_nothing() -> None:
    """The host is listed anew for a sync that is asked for, which may take seconds: no commit waits for that."""
    pauses = Pauses()
    wake = Trigger(clock=lambda: pauses.now, lists=True)

    def taken() -> tuple[str, bool, int]:
        wake.wait(60.0, pauses, longest=2.0)
        found = wake.take()
        return found.trigger, found.forced, found.generation

    wake.up("sync", forced=True, resync=5)
    wake.up("webhook", generation=7)
    assert taken() == ("webhook", False, 4)
    wake.up("sync", forced=True, resync=9)  # after the lists have begun
    wake.listed(5)
    assert taken() == ("sync", True, 5)
    pauses.now += 1.0
    wake.up("webhook", generation=10)
    assert taken() == ("webhook", False, 5)
    wake.listed(9)
    assert taken() == ("sync", True, 10)
    assert pauses.now == 1.0


def test_a_sync_that_comes_while_the_source_waits_is_done_at_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The source may wait for its next look at Git, ten minutes later."""
    monkeypatch.setattr(trigger, "AT_ONCE", 1)
    monkeypatch.setattr(pace, "EVERY", 0.3)
    wake, stop = Trigger(), threading.Event()
    wake.up("sync", forced=True, resync=1)
    assert wake.take().forced
    waiting = threading.Thread(target=wake.wait, args=(600.0, stop, 1.0))
    waiting.start()
    wake.up("sync", forced=True, resync=2)
    waiting.join(60)
    assert not waiting.is_alive()
    taken = wake.take()
    assert (taken.forced, taken.generation) == (True, 2)


def test_the_answer_never_goes_back() -> None:
    pauses = Pauses()
    wake = Trigger(clock=lambda: pauses.now)
    for mark in range(1, AT_ONCE + 1):
        wake.up("sync", forced=True, resync=mark)
        wake.take()
    wake.up("webhook", generation=500)
    assert wake.take().generation == 500
    wake.up("sync", forced=True, resync=100)  # written by hand, below a webhook's
    assert wake.take().generation == 500
