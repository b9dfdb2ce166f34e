"""Who renders next: fair to sources, one worker kept for those that never failed, and quarantine with an end (H4)."""

import pytest

from reconciler.errors import Retry
from reconciler.packs.queue import CLUSTER_BUDGET, FAILED, LONG, SOURCE_BUDGET, WINDOW, Line, Owner, Standing, Ticket


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def serve(line: Line, tickets: list[Ticket], free: int) -> str:
    """The cluster whose turn it is, "" if nobody's."""
    (found,) = [one for one in tickets if line.first(one, free)] or [None]
    if found is None:
        return ""
    line.serve(found)
    line.leave(found)
    line.over(found.owner)
    tickets.remove(found)
    return found.owner.cluster


def test_sources_take_turns_and_so_do_clusters() -> None:
    line = Line(1, lambda owner: True)
    owners = [
        Owner("a", "a1"),
        Owner("a", "a1"),
        Owner("a", "a2"),
        Owner("b", "b1"),
        Owner("b", "b1"),
        Owner("c", "c1"),
    ]
    tickets = [line.join(owner) for owner in owners]
    assert [serve(line, tickets, 1) for _ in owners] == ["a1", "b1", "c1", "a2", "b1", "a1"]


def test_the_last_free_worker_is_for_those_that_never_failed() -> None:
    line = Line(1, lambda owner: owner.source != "bad")
    tickets = [line.join(Owner("bad", "x"))]
    assert serve(line, tickets, 1) == ""
    tickets.append(line.join(Owner("good", "y")))
    assert serve(line, tickets, 1) == "y"
    assert serve(line, tickets, 2) == "x"


def test_a_single_worker_is_kept_for_nobody() -> None:
    line = Line(0, lambda owner: owner.source != "bad")
    tickets = [line.join(Owner("bad", "x")), line.join(Owner("good", "y"))]
    assert [serve(line, tickets, 1), serve(line, tickets, 1)] == ["y", "x"]


def test_no_source_holds_every_worker_where_there_are_several() -> None:
    """Before: two clusters whose charts loop for the first time held both workers for their whole deadline."""
    line = Line(1, lambda owner: True)
    loops, again, other = (line.join(Owner(*one)) for one in (("bad", "x"), ("bad", "y"), ("good", "z")))
    assert line.first(loops, 2)
    line.serve(loops)
    line.leave(loops)
    line.leave(other)
    assert not line.first(again, 1)
    other = line.join(Owner("good", "z"))
    assert line.first(other, 1)
    line.leave(other)
    line.over(loops.owner)
    assert line.first(again, 2)


def test_one_source_alone_has_every_worker() -> None:
    line = Line(1, lambda owner: True)
    line.leave(line.join(Owner()))  # whoever asks what confines the workers is no source
    first, second = line.join(Owner("only", "a")), line.join(Owner("only", "b"))
    line.serve(first)
    line.leave(first)
    assert line.first(second, 1)


def test_long_renders_cost_their_time_and_short_ones_nothing() -> None:
    """Before: a chart that ended just before its deadline cost nothing, in every commit anew."""
    standing, long, short = Standing(Clock()), Owner("s", "long"), Owner("s", "short")
    for _ in range(1000):
        standing.rendered(short, LONG - 0.1)
    for _ in range(2):
        standing.raise_spent(long)
        standing.rendered(long, 19.0)
    standing.rendered(long, 2.0)
    with pytest.raises(Retry) as refused:
        standing.raise_spent(long)
    assert refused.value.reason == "RenderQuarantined"
    assert "40 s of processor time" in refused.value.message and "tried after" in refused.value.message
    standing.raise_spent(short)
    assert standing.trusted(long)


def test_a_quarantine_ends_when_enough_of_its_own_costs_is_forgotten() -> None:
    """Before: the first failure of anybody told when, so that the quarantined came back again and again."""
    clock = Clock()
    standing, bad = Standing(clock), Owner("s", "bad")
    standing.failed(Owner("t", "other"))
    clock.now = 100.0
    standing.failed(bad)
    clock.now = 150.0
    standing.failed(bad)
    with pytest.raises(Retry) as refused:
        standing.raise_spent(bad)
    assert refused.value.after == WINDOW - 50.0
    clock.now += WINDOW - 50.0
    standing.raise_spent(bad)


def test_of_a_failing_source_one_may_wait() -> None:
    line = Line(1, lambda owner: owner.source != "bad")
    first, second, other = line.join(Owner("bad", "x")), line.join(Owner("bad", "y")), line.join(Owner("good", "z"))
    assert [line.superfluous(one) for one in (first, second, other)] == [False, True, False]
    line.leave(first)
    assert not line.superfluous(second)


def test_a_cluster_is_in_quarantine_until_its_failures_are_forgotten() -> None:
    clock = Clock()
    standing, bad, other = Standing(clock), Owner("s", "bad"), Owner("s", "other")
    for _ in range(int(CLUSTER_BUDGET / FAILED)):
        standing.raise_spent(bad)
        standing.failed(bad)
        assert not standing.trusted(bad)
    with pytest.raises(Retry) as refused:
        standing.raise_spent(bad)
    assert refused.value.reason == "RenderQuarantined" and refused.value.after == WINDOW
    standing.raise_spent(other)
    clock.now = WINDOW
    standing.raise_spent(bad)
    assert standing.trusted(bad)


def test_a_source_in_quarantine_keeps_its_sound_clusters() -> None:
    standing, sound, new = Standing(Clock()), Owner("s", "sound"), Owner("s", "new")
    standing.rendered(sound)
    assert standing.trusted(new)
    for number in range(int(SOURCE_BUDGET / FAILED)):
        standing.failed(Owner("s", f"bad-{number}"))
        assert standing.trusted(sound) and not standing.trusted(new)
    standing.raise_spent(sound)
    with pytest.raises(Retry):
        standing.raise_spent(new)
    standing.raise_spent(Owner("t", "new"))
