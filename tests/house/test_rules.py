"""Rule ids: every one that the code names is told in docs/rules.md, and none reaches a user."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house.documents import ROOT, parsed

ROOMS = ("reconciler", "webhook", "dashboard", "schemas", "devhost", "bench", "tests")
PREFIX = r"(?:AD|SEC-|[ABDFGHIKMOPRSTUVW])"
ID = re.compile(rf"(?<![\w.-])({PREFIX})([0-9]{{1,2}})(?![\w-]|\.[0-9])")
SPAN = re.compile(rf"(?<![\w.-])({PREFIX})([0-9]{{1,2}})(?:-| to )\1([0-9]{{1,2}})(?!\w)")
PAGES = (
    "README.md",
    "SECURITY.md",
    "CHANGELOG.md",
    "docs/operations.md",
    *(f"docs/reference/{kind}.md" for kind in ("NestedCluster", "ClusterProfile", "ControllerConfig")),
)


def files() -> list[Path]:
    return [file for room in ROOMS for file in sorted((ROOT / room).rglob("*.py"))]


def named(text: str) -> set[str]:
    """The ids in a text; `F7-F10` and `W1 to W3` name what lies between as well."""
    found = {f"{prefix}{number}" for prefix, number in ID.findall(text)}
    for prefix, first, last in SPAN.findall(text):
        found |= {f"{prefix}{number}" for number in range(int(first), int(last) + 1)}
    return found


def prose(file: Path) -> str:
    """The docstrings and comments of a module."""
    source = file.read_text()
    if not named(source):
        return ""
    told = [ast.get_docstring(node) or "" for node in ast.walk(ast.parse(source)) if isinstance(node, DOCUMENTED)]
    if any(named(line.partition("#")[2]) for line in source.splitlines() if "#" in line):
        tokens = tokenize.generate_tokens(io.StringIO(source).readline)
        told += [one.string for one in tokens if one.type == tokenize.COMMENT]
    return "\n".join(told)


DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def told() -> list[str]:
    page = (ROOT / "docs/rules.md").read_text()
    return re.findall(rf"^\| ({PREFIX}[0-9]{{1,2}}) \|", page, re.MULTILINE)


def test_every_rule_is_told_once_and_every_one_told_is_named() -> None:
    used: dict[str, str] = {}
    for file in files():
        used |= dict.fromkeys(named(prose(file)), str(file.relative_to(ROOT)))
    listed = told()
    assert len(listed) == len(set(listed))
    assert {id_: place for id_, place in used.items() if id_ not in listed} == {}
    assert set(listed) - used.keys() == set()


def test_spans_name_what_lies_between() -> None:
    assert named("(S7, F19-F21, M12; W1 to W3) but not v1.36, F-16, IPv4, A1b, M1.5 or S3-like") == {
        "S7", "F19", "F20", "F21", "M12", "W1", "W2", "W3",
    }  # fmt: skip


# What users see


def strings(tree: ast.AST) -> Iterator[ast.Constant]:
    """Every text of a module that is no docstring: messages, hints, reasons, log lines, help."""
    documented = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, DOCUMENTED) and node.body and isinstance(node.body[0], ast.Expr)
    }
    attributes = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documented | attributes:
            yield node


@pytest.mark.parametrize("room", ["reconciler", "webhook", "dashboard", "schemas"])
def test_no_rule_id_is_in_a_text_of_the_product(room: str) -> None:
    found = {
        f"{file.relative_to(ROOT)}:{node.lineno}: {node.value}"
        for file in sorted((ROOT / room).rglob("*.py"))
        if named(file.read_text())
        for node in strings(parsed(file))
        if named(node.value)
    }
    assert found == set()


def test_no_rule_id_is_in_what_users_read() -> None:
    schemas = [path.relative_to(ROOT).as_posix() for path in (ROOT / "schemas").rglob("*.json")]
    deployed = [path.relative_to(ROOT).as_posix() for path in (ROOT / "deploy").rglob("*.yaml")]
    samples = [path.relative_to(ROOT).as_posix() for path in (ROOT / "sample-repo").rglob("*.md")]
    assert schemas
    assert deployed
    found = {page: sorted(named((ROOT / page).read_text())) for page in [*PAGES, *schemas, *deployed, *samples]}
    assert {page: ids for page, ids in found.items() if ids} == {}
