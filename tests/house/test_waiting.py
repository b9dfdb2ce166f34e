"""No test races: what another thread or process does is waited for long enough for a busy machine, and a bound is no measure."""

import ast
import math
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
ASKS = {
    *("get", "urlopen", "create_connection", "HTTPConnection", "HTTPSConnection"),
    *("communicate", "acquire", "partial", "run", "result"),
}


def short(tree: ast.Module) -> Iterator[tuple[int, float]]:
    """Line and seconds of each wait for another thread or process that ends too soon."""
    named, pauses = constants(tree), set[ast.AST]()
    for node in ast.walk(tree):
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            pauses.add(node.operand)  # that something does not happen is not waited for
        yield from ((node.lineno, one) for one in bounds(node, named, pauses) if 1 <= one < LEAST)


def bounds(node: ast.AST, named: dict[str, float], pauses: set[ast.AST]) -> list[float]:
    """The seconds after which what is waited for at this node is given up."""
    if (
        isinstance(node, ast.FunctionDef) and node.name in WAITS
    ):  # what a function of the tests for waiting has by itself
        return numbers(node.args.defaults, named)
    if isinstance(node, ast.Constant) and (told := FLAG.fullmatch(str(node.value))):
        return [float(told[1])] if told[1] != "1" else []  # `kubectl wait` of what is not to come
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add) and ast.unparse(node.left) == "time.monotonic()":
        return numbers([node.right], named)
    if not isinstance(node, ast.Call) or node in pauses or is_pause(node):
        return []
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if ast.unparse(node.func) == "urllib3.request" and not any(one.arg == "timeout" for one in node.keywords):
        return [3.0]  # what it has by itself
    given = [one.value for one in node.keywords if one.arg in BOUNDS[name in WAITS]]
    given += node.args[-1:] if name in WAITS or name == "acquire" else []
    return numbers(given, named) if name in WAITS | ASKS else []


def constants(tree: ast.Module) -> dict[str, float]:
    """The numbers that a module gives names to."""
    found = [node for node in tree.body if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)]
    return {ast.unparse(one.targets[0]): value for one in found for value in numbers([one.value], {})}


FLAG = re.compile(r"--timeout=(\d+)s")
BOUNDS = {True: ("seconds", "timeout"), False: ("timeout",)}


def numbers(nodes: list[ast.expr], named: dict[str, float]) -> list[float]:
    """What the expressions are that are numbers, names of numbers, or products of the two."""
    found = []
    for node in nodes:
        parts = [node.left, node.right] if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult) else [node]
        values = [named.get(part.id) if isinstance(part, ast.Name) else getattr(part, "value", None) for part in parts]
        if all(type(one) in (int, float) for one in values):
            found.append(math.prod(values))
    return found


def is_pause(node: ast.Call) -> bool:
    """`threading.Event().wait(0.1)`: nobody else knows the event."""
    return isinstance(node.func, ast.Attribute) and node.func.attr == "wait" and isinstance(node.func.value, ast.Call)


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
        "ends = time.monotonic() + 20",
        "SHORT = 2.0\nassert lease.acquire(SHORT * 2)",
        "pool.submit(act).result(timeout=10)",
        "urllib3.request('GET', url)",
    ):
        assert len(list(short(ast.parse(text)))) == 1, text
    for text in (
        "assert done.wait(60)",
        "threading.Event().wait(1.2)",
        "over.wait(0.05)",
        "until(check)",
        "box.get('a', 3)",
        "urllib3.request('GET', url, timeout=60.0)",
        "LONG = 60.0\nassert done.wait(LONG)",
        "assert not lost.wait(2)",
    ):
        assert list(short(ast.parse(text))) == [], text


def test_the_generator_of_the_process_is_left_alone() -> None:
    """Its state belongs to whoever runs the tests: a thread of another test that drew from it ended properties as "flaky"."""
    product = [file for room in ("reconciler", "webhook", "dashboard") for file in (TESTS.parent / room).rglob("*.py")]
    drawn = re.compile(r"\brandom\.(?!Random\b)\w+\(|from random import")
    assert [str(file) for file in product if drawn.search(file.read_text(encoding="utf-8"))] == []
