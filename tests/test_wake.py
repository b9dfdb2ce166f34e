"""Wakes of a source: several are one, marks are levels, bursts are waited for (W3)."""

import threading
import time

from reconciler.controller.wake import Wake


def test_several_wakes_are_one() -> None:
    wake = Wake()
    wake.up("webhook", generation=5)
    wake.up("request", again=True)
    wake.up("sync", forced=True, resync=7)
    taken = wake.take()
    assert (taken.trigger, taken.again, taken.forced, taken.generation) == ("webhook", True, True, 7)
    assert wake.take().trigger == "poll"


def test_a_mark_heard_of_before_is_no_news() -> None:
    wake = Wake(served=5)
    wake.up("webhook", generation=5)
    wake.up("sync", forced=True, resync=4)
    taken = wake.take()
    assert (taken.trigger, taken.forced, taken.generation) == ("poll", False, 5)


def test_a_failed_sync_keeps_what_was_asked_for() -> None:
    wake = Wake()
    wake.up("sync", forced=True, resync=3)
    wake.keep(wake.take())
    taken = wake.take()
    assert taken.forced and taken.again


def test_one_mark_is_not_waited_for_and_a_burst_is() -> None:
    wake, stop = Wake(), threading.Event()
    wake.up("webhook", generation=1)
    began = time.monotonic()
    wake.wait(10.0, stop, longest=2.0)
    assert time.monotonic() - began < 0.09
    wake.up("webhook", generation=2)
    wake.wait(10.0, stop, longest=2.0)
    assert time.monotonic() - began >= 0.1
    assert wake.take().generation == 2


def test_a_burst_without_end_is_not_waited_for_for_ever() -> None:
    wake, stop = Wake(), threading.Event()

    def rain() -> None:
        generation = 2
        while not stop.is_set():
            generation += 1
            wake.up("webhook", generation=generation)
            stop.wait(0.005)

    wake.up("webhook", generation=1)
    wake.up("webhook", generation=2)
    thread = threading.Thread(target=rain)
    thread.start()
    began = time.monotonic()
    wake.wait(10.0, threading.Event(), longest=0.3)
    took = time.monotonic() - began
    stop.set()
    thread.join()
    assert 0.25 < took < 5
