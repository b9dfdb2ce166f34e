"""Changes in parallel: how many are sent at once, and that what the others came to is known whatever one of them raises."""

import threading

import pytest

from reconciler.apply import side_by_side
from reconciler.model import Action, Change, ObjectRef, Result, Target


def change(name: str, action: Action = "create") -> Change:
    return Change(action, Target("local"), ObjectRef("", "ConfigMap", "web", name), "web/base")


def changes(count: int) -> list[Change]:
    return [change(f"c{number}") for number in range(count)]


def carry(one: Change) -> Result:
    if one.ref.name == "bug":
        raise RuntimeError(one.ref.name)
    return Result(one, "created")


def carriers(count: int) -> set[int]:
    """The threads that carry so many changes into a nested cluster: each costs a connection of its own."""
    used: set[int] = set()

    def seen(one: Change) -> Result:
        used.add(threading.get_ident())
        return carry(one)

    side_by_side.each(changes(count), seen, {"create"}, nested=True)
    return used


def test_a_few_changes_inside_a_nested_cluster_share_one_connection() -> None:
    assert carriers(5) == {threading.get_ident()}


def test_many_changes_are_sent_side_by_side() -> None:
    assert len(carriers(100)) > 1


@pytest.mark.parametrize("nested", [True, False])
@pytest.mark.parametrize("count", [0, 1, 7, 40])
def test_results_come_in_the_order_of_the_changes(count: int, nested: bool) -> None:
    mixed = [change(f"c{number}", "create" if number % 3 else "unchanged") for number in range(count)]
    results, error = side_by_side.each(mixed, carry, {"create"}, nested=nested)
    assert error is None and [one.change for one in results] == mixed


def test_an_error_of_one_is_handed_over_with_the_results_of_the_others() -> None:
    some = [change(name) for name in ("a", "b", "bug", "c", "d")]
    results, error = side_by_side.each(some, carry, {"create"}, nested=False)
    assert isinstance(error, RuntimeError)
    assert [one.change.ref.name for one in results] == ["a", "b", "c", "d"]
    results, error = side_by_side.each(some, carry, {"create"}, nested=True)
    assert isinstance(error, RuntimeError) and [one.change.ref.name for one in results] == ["a", "b"]


def test_what_sends_nothing_takes_no_thread() -> None:
    used: set[int] = set()

    def seen(one: Change) -> Result:
        used.add(threading.get_ident() if one.action == "unchanged" else 0)
        return carry(one)

    side_by_side.each(
        [change(f"c{n}", "create" if n % 3 else "unchanged") for n in range(40)], seen, {"create"}, nested=False
    )
    assert used - {0} == {threading.get_ident()}
