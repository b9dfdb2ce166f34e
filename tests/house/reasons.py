"""Every reason the code can give, read from its source: what a status, a condition, an Event or the log may carry."""

import ast
import re
from collections.abc import Iterator
from functools import cache

from reconciler.errors import ErrorClass
from reconciler.source import answers
from tests.house.documents import ROOT, parsed

WORD = re.compile(r"[A-Z][a-z]+(?:[A-Z]?[a-z]+)*")
# functions whose argument of this number is a reason; any argument called `reason` is one too
PLACES = {"Health": 1, "Held": 0, "_hold": 0, "Condition": 2, "waiting": 0, "spelled": 1, "_short": 0}


@cache
def all_of_them() -> set[str]:
    """Reasons of errors, healths, conditions, holds, changes and results."""
    trees = [parsed(file) for file in sorted((ROOT / "reconciler").rglob("*.py"))]
    named = {name: value for tree in trees for name, value in _constants(tree)}
    rows = {reason for _, _, reason, _, _ in answers._ROWS}
    given = {reason for tree in trees for node in ast.walk(tree) for reason in _given(node, named)}
    return given | rows | {str(one) for one in ErrorClass}


def logged() -> set[str]:
    """The names of the controller's own lines in the log."""
    trees = [parsed(file) for file in sorted((ROOT / "reconciler").rglob("*.py"))]
    calls = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call) and _name(node) == "line"]
    return {word for call in calls for word in _words(call.args[0] if call.args else None, {})}


def _constants(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in tree.body:
        target = (
            node.targets[0]
            if isinstance(node, ast.Assign)
            else node.target
            if isinstance(node, ast.AnnAssign)
            else None
        )
        if isinstance(target, ast.Name) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):  # type: ignore[attr-defined]
            yield target.id, node.value.value  # type: ignore[attr-defined]


def _given(node: ast.AST, named: dict[str, str]) -> Iterator[str]:
    if not isinstance(node, ast.Call):
        return
    for keyword in node.keywords:
        if keyword.arg == "reason":
            yield from _words(keyword.value, named)
    place = PLACES.get(_name(node))
    if place is not None and len(node.args) > place:
        yield from _words(node.args[place], named)


def _words(value: ast.AST | None, named: dict[str, str]) -> Iterator[str]:
    """The reasons an expression can have: literals, constants, and both sides of a conditional one."""
    if isinstance(value, ast.IfExp):
        yield from _words(value.body, named)
        yield from _words(value.orelse, named)
    elif isinstance(value, ast.Constant) and isinstance(value.value, str) and WORD.fullmatch(value.value):
        yield value.value
    elif isinstance(value, ast.Name | ast.Attribute):
        name = value.id if isinstance(value, ast.Name) else value.attr
        yield from (word for word in [named.get(name, "")] if WORD.fullmatch(word))


def _name(call: ast.Call) -> str:
    return (
        call.func.attr
        if isinstance(call.func, ast.Attribute)
        else call.func.id
        if isinstance(call.func, ast.Name)
        else ""
    )
