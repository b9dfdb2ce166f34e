"""How many changes of a layer are sent at once: a lane into a nested cluster costs a connection of its own."""

import threading
from dataclasses import replace

import pytest

from reconciler.apply import side_by_side
from reconciler.model import Change, ObjectRef, Result, Target

NESTED = Target("local", "a")


def changes(count: int) -> list[Change]:
    return [Change("create", NESTED, ObjectRef("", "ConfigMap", "web", f"c{n}"), "web") for n in range(count)]


def carriers(count: int) -> set[int]:
    """The threads that carry so many changes into a nested cluster."""
    used: set[int] = set()

    def carry(change: Change) -> Result:
        used.add(threading.get_ident())
        return Result(change, "created")

    side_by_side.each(changes(count), carry, {"create"}, nested=True)
    return used


def test_results_are_in_the_order_of_the_changes() -> None:
    for count in (0, 1, 7, 40):
        results = side_by_side.each(changes(count), lambda change: Result(change, "created"), {"create"}, nested=True)
        assert [result.change for result in results] == changes(count)


def test_a_few_changes_inside_a_nested_cluster_share_one_connection() -> None:
    assert carriers(5) == {threading.get_ident()}


def test_many_changes_are_sent_side_by_side() -> None:
    assert len(carriers(100)) > 1


def test_a_bug_in_a_lane_is_raised_when_all_lanes_are_through() -> None:
    done: list[str] = []

    def carry(change: Change) -> Result:
        if change.ref.name == "c3":
            raise RuntimeError("a bug")
        done.append(change.ref.name)
        return Result(change, "created")

    with pytest.raises(RuntimeError):
        side_by_side.each(changes(40), carry, {"create"}, nested=True)
    assert len(done) > 20


def test_what_sends_nothing_takes_no_thread_and_keeps_its_place() -> None:
    mixed = [replace(one, action="create" if n % 3 else "unchanged") for n, one in enumerate(changes(40))]
    used: dict[str, set[int]] = {"create": set(), "unchanged": set()}

    def carry(change: Change) -> Result:
        used[change.action].add(threading.get_ident())
        return Result(change, "done")

    results = side_by_side.each(mixed, carry, {"create"}, nested=False)
    assert [result.change for result in results] == mixed
    assert used["unchanged"] == {threading.get_ident()}
