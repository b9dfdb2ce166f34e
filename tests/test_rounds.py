"""Repeated work: once for many calls, again after a failure, and its thread never ends by an error."""

import threading
from datetime import UTC, datetime, timedelta

import pytest

from reconciler.controller import pace
from reconciler.controller.requests import heard
from reconciler.controller.rounds import QUIET, Rounds
from reconciler.errors import Retry
from reconciler.inventory.requests import API
from tests import shell
from tests.passes import HOME, Fleet


def test_many_calls_are_one_round() -> None:
    stop, done, rounds = threading.Event(), threading.Event(), []

    def work() -> None:
        rounds.append(1)
        done.set()

    made = Rounds("test", work, stop, every=None)
    for _ in range(400):
        made.ask()
    made.start()
    assert done.wait(60)
    stop.set()
    assert made.end(5)
    assert len(rounds) == 1


def test_rounds_that_are_asked_for_without_end_come_at_their_pace() -> None:
    """As many as are saved up, and then one in so many seconds, however often somebody asks."""
    rounds, now = list[float](), [0.0]

    class Turns(threading.Event):
        """What is waited for at the pace is counted, not waited for."""

        def wait(self, timeout: float | None = None) -> bool:
            if timeout is None or timeout <= QUIET:
                return super().wait(timeout)
            now[0] += timeout
            return self.is_set()

    def work() -> None:
        rounds.append(now[0])
        if len(rounds) == 5:
            stop.set()
        made.ask()

    stop = Turns()
    made = Rounds("test", work, stop, every=None, pace=pace.Pace(lambda: now[0], 2))
    made.ask()
    made.start()
    assert made.end(60)
    assert rounds == [0.0, 0.0, pace.EVERY, 2 * pace.EVERY, 3 * pace.EVERY]


def test_a_call_during_a_round_is_one_more() -> None:
    stop, begun, go, again = (threading.Event() for _ in range(4))
    rounds: list[int] = []

    def work() -> None:
        rounds.append(1)
        if len(rounds) == 2:
            again.set()
        begun.set()
        assert go.wait(60)

    made = Rounds("test", work, stop, every=None)
    made.start()
    made.ask()
    assert begun.wait(60)
    assert made.silent() > 0
    for _ in range(10):
        made.ask()
    go.set()
    assert again.wait(60)
    stop.set()
    assert made.end(5)
    assert len(rounds) == 2


@pytest.mark.parametrize("error", [Retry("not now"), TypeError("a bug")])
def test_a_round_that_failed_is_done_again_by_itself(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    stop, done, rounds = threading.Event(), threading.Event(), []

    def work() -> None:
        rounds.append(1)
        if len(rounds) < 3:
            raise error
        done.set()

    made = Rounds("test", work, stop, every=None, first=0.01)
    made.start()
    made.ask()
    assert done.wait(60)
    stop.set()
    assert made.end(5)
    told = capsys.readouterr().err
    assert told.count('"event": "RoundFailed"') == 2
    assert told.count('"event": "Bug"') == (2 if isinstance(error, TypeError) else 0)


def test_one_that_was_never_started_ends_at_once() -> None:
    assert Rounds("test", lambda: None, threading.Event(), every=None).end(5)


def test_400_requests_are_one_list_and_wake_the_sources_once() -> None:
    """With one round for a burst and one for what came during it: two lists and two syncs at most, and these only for
    approvals that are new."""
    fleet, wakes = Fleet(), []
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    for number in range(400):
        meta = {"name": f"r-{number}", "namespace": HOME}
        spec = {"kind": "approve", "who": f"person {number % 20}", "consent": "d" * 64, "expires": tomorrow}
        fleet.host.put({"apiVersion": API, "kind": "Request", "metadata": meta, "spec": spec})
    for _ in range(2):
        fleet.host.log.clear()
        client = shell.client(fleet.host)
        heard(client, HOME, fleet.registry, fleet.queue, lambda: wakes.append(1), lambda told: None)
        assert [call.verb for call in fleet.host.log if call.kind == "Request"] == ["list"]
        assert len(wakes) == 1
    assert len(fleet.registry.requests()) == 400
    fleet.close()
