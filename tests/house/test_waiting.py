"""No test races: what another thread or process does is waited for long enough for a busy machine, and a bound is no measure."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parents[1]
LEAST = 30.0  # seconds, for a machine that does other things too; less than one is a pause, not a bound
WAITS = {
    "until",
    "eventually",
    "wait",
    "wait_for",
    "wait_until",
    "wait_read",
    "wait_applied",
    "wait_ready",
    "heal",
    "join",
    "settle",
}
ASKS = {"get", "urlopen", "create_connection", "HTTPConnection", "communicate", "acquire", "partial", "run", "result"}


def short(tree: ast.AST) -> Iterator[tuple[int, float]]:
    """Line and seconds of each wait for another thread or process that ends too soon."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            yield from defaults(node)
        if isinstance(node, ast.Constant) and (told := FLAG.fullmatch(str(node.value))) and 1 < int(told[1]) < LEAST:
            yield node.lineno, float(told[1])
        if not isinstance(node, ast.Call) or is_pause(node):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        given = [one.value for one in node.keywords if one.arg in BOUNDS[name in WAITS]]
        given += node.args[-1:] if name in WAITS else []
        if name in WAITS | ASKS:
            yield from ((node.lineno, one) for one in numbers(given) if 1 <= one < LEAST)


FLAG = re.compile(r"--timeout=(\d+)s")
BOUNDS = {True: ("seconds", "timeout"), False: ("timeout",)}


def defaults(node: ast.FunctionDef) -> Iterator[tuple[int, float]]:
    """The bound that a function of the tests for waiting has by itself."""
    if node.name in WAITS:
        yield from ((node.lineno, one) for one in numbers(node.args.defaults) if 1 <= one < LEAST)


def numbers(nodes: list[ast.expr]) -> list[float]:
    return [one.value for one in nodes if isinstance(one, ast.Constant) and type(one.value) in (int, float)]


def is_pause(node: ast.Call) -> bool:
    """`threading.Event().wait(0.1)`: nobody else knows the event."""
    return isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Call)


def test_waits_are_long_enough() -> None:
    found = {file: list(short(ast.parse(file.read_text()))) for file in sorted(TESTS.rglob("*.py"))}
    assert [
        f"{file.relative_to(TESTS)}:{line}: {seconds} s" for file, told in found.items() for line, seconds in told
    ] == []


def test_a_short_wait_is_found() -> None:
    for text in (
        "assert done.wait(5)",
        "until(check, seconds=2.0)",
        "box.get(timeout=5.0)",
        "def until(check, seconds=10.0): ...",
    ):
        assert len(list(short(ast.parse(text)))) == 1, text
    for text in (
        "assert done.wait(60)",
        "threading.Event().wait(1.2)",
        "over.wait(0.05)",
        "until(check)",
        "box.get('a', 3)",
    ):
        assert list(short(ast.parse(text))) == [], text


def test_the_generator_of_the_process_is_left_alone() -> None:
    """Its state belongs to whoever runs the tests: a thread of another test that drew from it ended properties as "flaky"."""
    product = [file for room in ("reconciler", "webhook", "dashboard") for file in (TESTS.parent / room).rglob("*.py")]
    drawn = re.compile(r"\brandom\.(?!Random\b)\w+\(|from random import")
    assert [str(file) for file in product if drawn.search(file.read_text(encoding="utf-8"))] == []
