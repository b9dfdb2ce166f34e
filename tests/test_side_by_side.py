"""Changes in parallel: what the others came to is known whatever one of them raises."""

import pytest

from reconciler.apply import side_by_side
from reconciler.model import Action, Change, ObjectRef, Result, Target


def change(name: str, action: Action = "create") -> Change:
    return Change(action, Target("local"), ObjectRef("", "ConfigMap", "web", name), "web/base")


def carry(one: Change) -> Result:
    if one.ref.name == "bug":
        raise RuntimeError(one.ref.name)
    return Result(one, "created")


@pytest.mark.parametrize("nested", [True, False])
def test_results_come_in_the_order_of_the_changes(nested: bool) -> None:
    changes = [change(f"c{number}", "create" if number % 3 else "unchanged") for number in range(40)]
    results, error = side_by_side.each(changes, carry, {"create"}, nested=nested)
    assert error is None and [one.change for one in results] == changes


def test_an_error_of_one_is_handed_over_with_the_results_of_the_others() -> None:
    changes = [change(name) for name in ("a", "b", "bug", "c", "d")]
    results, error = side_by_side.each(changes, carry, {"create"}, nested=False)
    assert isinstance(error, RuntimeError)
    assert [one.change.ref.name for one in results] == ["a", "b", "c", "d"]
    results, error = side_by_side.each(changes, carry, {"create"}, nested=True)
    assert isinstance(error, RuntimeError) and [one.change.ref.name for one in results] == ["a", "b"]


def test_nothing_to_do_is_nothing() -> None:
    assert side_by_side.each([], carry, {"create"}, nested=False) == ([], None)
