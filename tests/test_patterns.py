"""No regular expression of the product can be made to run away: each is tried against strings made of its own parts, in a child
process whose processor time the kernel ends."""

import ast
import copy
import importlib
import json
import pickle
import pkgutil
import re
import signal
import subprocess
import sys
import types
import typing
from collections.abc import Iterable, Iterator
from pathlib import Path
from re import _constants as op  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

import msgspec
import pytest

import reconciler
import schemas
import webhook
from reconciler.patterns import Lazy, lazy

ROOT = Path(__file__).parents[1]
SECONDS = 0.3  # of processor time for one string: a linear pattern takes a few milliseconds, a quadratic one a second
SIZE = 20_000
BUILT = {
    "reconciler/packs/content/index.py": "of an escaped name and a number of spaces",
    "reconciler/patterns.py": "of a global of another module, which is tried",
    "reconciler/packs/documents.py": "of an escaped name",
    "reconciler/kube/shape.py": "of a name of its own",
    "reconciler/source/answers.py": "of the rows beside it, which are tried",
}
"""Where a pattern is put together in a function, and of what."""


def modules() -> Iterator[str]:
    for package in (reconciler, webhook, schemas):
        yield package.__name__
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not found.name.endswith("__main__"):
                yield found.name


def compiled(value: Any) -> Iterator[re.Pattern[Any]]:
    """The patterns a module's global holds, also as a bound method, inside a container, or in the types of a model's fields."""
    kind = type(value)  # not isinstance: some globals are proxies that work in a request only
    if kind is types.BuiltinMethodType:
        value, kind = value.__self__, type(value.__self__)
    if kind is re.Pattern:
        yield value
    elif kind is Lazy:
        yield re.compile(value.text, value.flags)
    elif kind is msgspec.Meta and value.pattern:
        yield re.compile(value.pattern)
    for one in inside(value, kind):
        yield from compiled(one)


def inside(value: Any, kind: type) -> Iterable[Any]:
    """What a container, a type with arguments or a model holds."""
    if kind in (tuple, list, set, frozenset):
        return tuple(value)
    if kind is dict:
        return tuple(value.values())
    if kind is type(msgspec.Struct):
        return tuple(vars(value).get("__annotations__", {}).values())
    if kind is types.UnionType or kind.__module__ == "typing":
        return (*typing.get_args(value), *getattr(value, "__metadata__", ()))
    return ()


SEARCHES = frozenset({"search", "finditer", "findall", "sub", "split"})


def used(tree: ast.Module, name: str) -> frozenset[str]:
    """What a module calls on one of its globals; everything where that cannot be seen."""
    calls = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == name
    }
    return frozenset(calls)


def patterns() -> Iterator[tuple[str, str | bytes, int, bool]]:
    """(place, pattern, flags, whether it is searched for) of every pattern in the product."""
    for module in modules():
        loaded = importlib.import_module(module)
        assert loaded.__file__
        tree = ast.parse(Path(loaded.__file__).read_text())
        for name, value in vars(loaded).items():
            for one in compiled(value):
                calls = used(tree, name)
                searched = bool(calls & SEARCHES) or type(value) not in (re.Pattern, Lazy, types.BuiltinMethodType)
                yield f"{module}.{name}", one.pattern, one.flags, searched
        yield from written(tree, module, str(Path(loaded.__file__).relative_to(ROOT)))


def written(tree: ast.Module, module: str, path: str) -> Iterator[tuple[str, str | bytes, int, bool]]:
    """The patterns that calls of `re` contain, wherever they are; one that is put together is of what BUILT says."""
    whole = {id(node) for top in tree.body if isinstance(top, ast.Assign | ast.AnnAssign) for node in ast.walk(top)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id == "lazy":
            assert id(node) in whole, f"{path}:{node.lineno}: lazy is for globals, which this test sees"
        assert not (isinstance(node, ast.ImportFrom) and node.module == "re"), (
            f"{path}: import re, so that this test sees its calls"
        )
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args):
            continue
        text, what = node.args[0], node.func
        if not (isinstance(what.value, ast.Name) and what.value.id == "re") or what.attr == "escape":
            continue
        if what.attr == "compile" and id(node) in whole:
            continue  # tried as the global that it makes
        if isinstance(text, ast.Constant):
            yield f"{module}:{node.lineno}", text.value, 0, what.attr in {*SEARCHES, "compile"}
        else:
            assert path in BUILT, (path, node.lineno)


def letters(item: tuple[Any, Any]) -> list[str]:
    """A few characters that one part of a pattern takes."""
    kind, value = item
    if kind is op.LITERAL:
        return [chr(value)]
    if kind is op.NOT_LITERAL:
        return ["a" if value != ord("a") else "b", " "]
    if kind is op.ANY:
        return ["a", " "]
    if kind is op.RANGE:
        return [chr(value[0]), chr(value[1])]
    if kind is op.CATEGORY:
        return {op.CATEGORY_DIGIT: ["1"], op.CATEGORY_SPACE: [" ", "\n"], op.CATEGORY_WORD: ["a", "_"]}.get(
            value, ["!"]
        )
    if kind is op.IN:
        if value[0][0] is op.NEGATE:
            refused = {one for part in value[1:] for one in letters(part)}
            return [one for one in 'a1 _[("/.' if one not in refused][:3]
        return [one for part in value for one in letters(part)][:6]
    return []


def sample(parts: Any, pick: int = 0) -> str:
    """A text that the parts take, more or less."""
    text = ""
    for item in parts:
        kind, value = item
        if kind in (op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT):
            text += sample(value[2], pick) * max(1, min(value[0], 70))
        elif kind is op.SUBPATTERN:
            text += sample(value[-1], pick)
        elif kind is op.ATOMIC_GROUP:
            text += sample(value, pick)
        elif kind is op.BRANCH:
            text += sample(value[1][pick % len(value[1])], pick)
        else:
            found = letters(item)
            text += found[pick % len(found)] if found else ""
    return text


def pumps(parts: Any, before: str = "") -> Iterator[tuple[str, str]]:
    """(what comes before, what is repeated) for every repeat in a pattern, inner ones too."""
    for item in parts:
        kind, value = item
        if kind in (op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT):
            for pick in range(6):
                yield before, sample(value[2], pick)
            yield from pumps(value[2], before)
        elif kind is op.SUBPATTERN:
            yield from pumps(value[-1], before)
        elif kind is op.ATOMIC_GROUP:
            yield from pumps(value, before)
        elif kind is op.BRANCH:
            for branch in value[1]:
                yield from pumps(branch, before)
        before += sample([item])


def strings(pattern: str | bytes, flags: int) -> set[str]:
    text = pattern.decode("latin-1") if isinstance(pattern, bytes) else pattern
    parts = parser.parse(text, flags & ~re.LOCALE)
    bases = {(before, body) for before, body in pumps(parts) if body}
    bases |= {("", before + body) for before, body in bases} | {("", sample(parts, pick)) for pick in range(3)}
    singles = {one for _, body in bases for one in body[:2]}
    bases |= {("", one) for one in sorted(singles)[:12]}
    return {
        before + (body * (SIZE // len(body) + 1))[:SIZE] + end
        for before, body in sorted(bases)[:60]
        if body
        for end in ("", "\0")
    }


def try_all() -> None:
    """The child: the kernel ends it when one call takes too long; the last line says which."""
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    for place, pattern, flags, searched in sorted(set(patterns()), key=repr):
        one = re.compile(pattern, flags)
        calls = [one.fullmatch, (lambda text, one=one: list(one.finditer(text))) if searched else one.match]
        for text in sorted(strings(pattern, flags)):
            print(json.dumps([place, str(pattern), text[:80], len(text)]), flush=True)
            given: Any = text.encode("utf-8", "replace") if isinstance(pattern, bytes) else text
            for call in calls:
                signal.setitimer(signal.ITIMER_PROF, SECONDS)
                call(given)
        signal.setitimer(signal.ITIMER_PROF, 0)


def test_no_pattern_runs_away() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from tests.test_patterns import try_all; try_all()"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=500,
    )
    lines = done.stdout.splitlines()
    assert done.returncode == 0, (done.returncode, lines[-1:], done.stderr[-500:])
    tried = {json.loads(line)[0] for line in lines}
    assert len(tried) > 60 and {"reconciler.kube.shape._Meta", "reconciler.kube.discovery.Label"} <= tried


RUN_AWAY = ("[a-z]+_[a-z_]*x", "(a|a)*b", r"\s*-\s+\s*x", "(?:x+)+y")
TRIED = """
import os, sys, tests.test_patterns as trial
for pattern in trial.RUN_AWAY:
    child = os.fork()
    if not child:
        trial.patterns = lambda: [("here", pattern, 0, True)]
        trial.try_all()
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), file=sys.stderr)
"""


def test_the_trial_finds_what_runs_away() -> None:
    done = subprocess.run([sys.executable, "-c", TRIED], capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert done.stderr.split() == [str(-signal.SIGPROF)] * len(RUN_AWAY), done.stderr


@pytest.mark.parametrize("used", [False, True])
def test_a_pattern_that_is_not_compiled_yet_is_copied_and_pickled(used: bool) -> None:
    one = lazy("a+b")
    assert not used or one.fullmatch("aab")
    for made in (copy.copy(one), copy.deepcopy(one), pickle.loads(pickle.dumps(one))):  # noqa: S301 - our own
        assert made.fullmatch("aab") and not made.fullmatch("b") and made.pattern == "a+b"
