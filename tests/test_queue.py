"""The work queue: coalescing, one worker a key, delays, backoff."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.controller.queue import FIRST, LAST, Queue, threads


def test_a_key_waits_once() -> None:
    queue = Queue()
    for _ in range(3):
        queue.add("a")
    assert queue.take(1.0) == "a"
    assert queue.take(0.0) is None
    assert queue.depth() == (0, 1)


def test_a_busy_key_is_done_once_more_afterwards_and_by_nobody_else_meanwhile() -> None:
    queue = Queue()
    queue.add("a")
    assert queue.take(1.0) == "a"
    queue.add("a")
    queue.add("a")
    assert queue.take(0.0) is None
    queue.done("a")
    assert queue.take(1.0) == "a"
    queue.done("a")
    assert queue.take(0.0) is None


def test_the_earliest_asked_time_counts() -> None:
    queue = Queue()
    queue.add_after("a", 60.0)
    queue.add_after("a", 0.01)
    queue.add_after("a", 30.0)
    assert queue.take(5.0) == "a"
    queue.done("a")
    assert queue.take(0.05) is None


def test_what_is_asked_for_now_is_not_asked_for_later() -> None:
    queue = Queue()
    queue.add_after("a", 0.02)
    queue.add("a")
    assert queue.take(1.0) == "a"
    queue.done("a")
    assert queue.take(0.1) is None


def test_backoff_doubles_is_capped_and_forgotten() -> None:
    now = 0.0
    queue = Queue(lambda: now)
    pauses = []
    for _ in range(60):
        pauses.append(queue.back_off("a"))
        now += pauses[-1]
    assert all(0.8 * FIRST * 2**n <= pause <= 1.2 * FIRST * 2**n for n, pause in enumerate(pauses[:4]))
    assert 0.8 * LAST <= max(pauses) <= 1.2 * LAST
    queue.forget("a")
    assert queue.back_off("a") <= 1.2 * FIRST


def test_a_burst_of_events_does_not_push_the_retry_away() -> None:
    """Passes that events woke keep the retry that is due: else a starting engine is looked at again in minutes."""
    now = 0.0
    queue = Queue(lambda: now)
    first = queue.back_off("a")
    for _ in range(20):
        now += first / 40
        queue.add("a")
        assert queue.take(0.0) == "a"
        assert queue.back_off("a") <= first
        queue.done("a")


def test_closing_lets_nobody_wait() -> None:
    queue = Queue()
    found: list[str | None] = []
    waiting = threading.Thread(target=lambda: found.append(queue.take(30.0)))
    waiting.start()
    queue.close()
    waiting.join(60.0)
    assert found == [None] and queue.closed
    queue.add("a")
    assert queue.take(0.0) is None


@pytest.mark.timeout(30)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["add", "take", "done"])), max_size=40))
def test_no_key_is_lost_and_none_is_worked_on_twice_at_once(steps: list[tuple[str, str]]) -> None:
    queue, busy, owed = Queue(), set[str](), set[str]()
    for key, step in steps:
        if step == "add":
            queue.add(key)
            owed.add(key)
        elif step == "done" and key in busy:
            queue.done(key)
            busy.discard(key)
        elif step == "take" and (taken := queue.take(0.0)) is not None:
            assert taken not in busy
            busy.add(taken)
            owed.discard(taken)
    for key in sorted(busy):
        queue.done(key)
    left = set()
    while (taken := queue.take(0.0)) is not None:
        left.add(taken)
    assert left == owed


def test_what_has_begun_and_a_small_change_go_before_a_fleet_wide_one() -> None:
    queue = Queue()
    for name in ("new-1", "new-2", "new-3"):
        queue.add(name, bulk=True)
    queue.add("begun")
    assert queue.take(0.0) == "begun"
    queue.add("begun")
    queue.done("begun")
    assert queue.take(0.0) == "begun"


def test_a_fleet_wide_change_goes_on_beside_a_stream_of_events() -> None:
    queue = Queue()
    queue.add("new", bulk=True)
    taken = []
    for number in range(8):
        queue.add(f"event-{number}")
        queue.add(f"more-{number}")
        taken.append(queue.take(0.0))
    assert "new" in taken


def test_what_is_tried_again_in_bulk_comes_after_what_is_asked_for() -> None:
    now = 0.0
    queue = Queue(lambda: now)
    now += queue.back_off("a", bulk=True)
    queue.add_after("b", 0.0)
    assert [queue.take(0), queue.take(0)] == ["b", "a"]


def test_an_event_takes_a_waiting_key_out_of_the_bulk() -> None:
    queue = Queue()
    queue.add("a", bulk=True)
    queue.add("b", bulk=True)
    queue.add("b")
    assert [queue.take(0.0), queue.take(0.0), queue.take(0.0)] == ["b", "a", None]


def test_targets_that_did_not_answer_share_a_quarter_of_the_workers() -> None:
    queue = Queue(workers=8)
    for name in ("dead-1", "dead-2", "dead-3"):
        queue.unanswered(name, True)
        queue.add(name)
    queue.add("alive")
    assert [queue.take(0.0), queue.take(0.0), queue.take(0.0)] == ["dead-1", "dead-2", "alive"]
    assert queue.take(0.0) is None
    queue.done("dead-1")
    assert queue.take(0.0) == "dead-3"
    queue.done("dead-2")
    queue.unanswered("dead-3", False)
    queue.add("dead-1")
    queue.add("dead-2")
    assert {queue.take(0.0), queue.take(0.0)} == {"dead-1", "dead-2"}


def test_in_the_first_ten_minutes_nothing_waits_longer_than_fifteen_seconds() -> None:
    now = 0.0
    queue = Queue(lambda: now)
    while now < 600.0:
        pause = queue.back_off("a")
        assert pause <= 1.2 * 15.0
        now += pause
    assert queue.back_off("a") > 15.0


def test_work_that_waits_for_a_hung_server_holds_no_other() -> None:
    """Before a server is known to be silent its look holds a worker for its whole deadline: 20 such made the others wait 30 s."""
    held: set[str] = set()
    queue = Queue(workers=2, held=held.__contains__)
    for name in ("hung-1", "hung-2", "alive-1", "alive-2", "alive-3"):
        queue.add(name)
    assert [queue.take(0.0), queue.take(0.0), queue.take(0.0)] == ["hung-1", "hung-2", None]
    held |= {"hung-1", "hung-2"}
    assert [queue.take(0.0), queue.take(0.0), queue.take(0.0)] == ["alive-1", "alive-2", None]
    queue.done("alive-1")
    assert queue.take(0.0) == "alive-3"


def test_somebody_who_waits_for_a_key_learns_that_others_are_held() -> None:
    held: set[str] = set()
    queue = Queue(workers=1, held=held.__contains__)
    queue.add("hung")
    assert queue.take(0.0) == "hung"
    queue.add("alive")
    found: list[str | None] = []
    waiting = threading.Thread(target=lambda: found.append(queue.take(30.0)))
    waiting.start()
    held.add("hung")
    waiting.join(60.0)
    assert found == ["alive"]


def source(key: str) -> str:
    return key.partition("-")[0]


def test_sources_take_turns() -> None:
    """Before: one key of a source that was pushed to a moment later waited for every key of the others."""
    queue = Queue(workers=1, source=source, several=True)
    for key in ("many-1", "many-2", "many-3", "few-1", "other-1", "few-2"):
        queue.add(key)
    order = []
    while (key := queue.take(0.0)) is not None:
        order.append(key)
        queue.done(key)
    assert order == ["many-1", "few-1", "other-1", "many-2", "few-2", "many-3"]


def test_sources_take_turns_in_a_bulk_too() -> None:
    queue = Queue(workers=1, source=source, several=True)
    for key in ("many-1", "many-2", "many-3", "few-1"):
        queue.add(key, bulk=True)
    queue.add("many-2")
    order = []
    while (key := queue.take(0.0)) is not None:
        order.append(key)
        queue.done(key)
    assert order == ["many-2", "many-1", "few-1", "many-3"]


def test_no_source_has_every_worker_where_there_are_several() -> None:
    queue = Queue(workers=4, source=source, several=True)
    for number in range(6):
        queue.add(f"bad-{number}")
    assert [queue.take(0.0) for _ in range(4)] == ["bad-0", "bad-1", "bad-2", None]
    queue.add("good-0")
    assert [queue.take(0.0), queue.take(0.0)] == ["good-0", None]
    queue.done("bad-1")
    assert queue.take(0.0) == "bad-3"


def test_one_source_alone_has_every_worker() -> None:
    queue = Queue(workers=4, source=source)
    for number in range(6):
        queue.add(f"only-{number}")
    assert [queue.take(0.0) for _ in range(5)] == ["only-0", "only-1", "only-2", "only-3", None]


def test_passes_that_wait_leave_threads_for_other_sources() -> None:
    """A pass that waits counts as none, but it has a thread; were all of them one source's, the others would stand still."""
    queue = Queue(workers=4, held=lambda key: source(key) == "bad", source=source, several=True)
    for number in range(100):
        queue.add(f"bad-{number}")
    taken = 0
    while queue.take(0.0) is not None:
        taken += 1
    assert taken == threads(4) - 1
    queue.add("good-0")
    assert queue.take(0.0) == "good-0"
