"""What the import contracts cannot say: who may use devhost and the environment, and that the core has no clock and no chance."""

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler import packs
from tests.house.documents import ROOT, marked, parsed, quoted, rows

RECONCILER = ROOT / "reconciler"
CORE = ("fleet", "spec", "usage", "engine", "operations", "plan", "conditions", "health", "model", "errors")
CLOCKS = {"now", "utcnow", "today", "time", "monotonic", "time_ns", "localtime", "gmtime"}
CHANCE = {"time", "random", "secrets", "uuid", "os", "threading", "logging", "subprocess", "socket"}


def modules(*rooms: str) -> list[Path]:
    found = []
    for room in rooms:
        found += sorted((RECONCILER / room).rglob("*.py")) or [RECONCILER / f"{room}.py"]
    return found


def imports(file: Path) -> Iterator[str]:
    """Every module the file imports, wherever in it."""
    for node in ast.walk(parsed(file)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def contracts() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"][
        "contracts"
    ]
    return found


@pytest.mark.parametrize("file", modules(*CORE), ids=lambda file: file.relative_to(RECONCILER).as_posix())
def test_the_core_has_no_clock_and_no_chance(file: Path) -> None:
    assert not {name.split(".")[0] for name in imports(file)} & CHANCE
    for node in ast.walk(parsed(file)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CLOCKS:
            assert node.args, f"{file}:{node.lineno}: a clock"


def test_only_the_demo_and_the_host_verb_know_the_embedded_host() -> None:
    users = {
        file for file in RECONCILER.rglob("*.py") if any(name.split(".")[0] == "devhost" for name in imports(file))
    }
    assert {file.relative_to(RECONCILER).as_posix() for file in users} == {
        "verbs/demo.py",
        "verbs/demo_ground.py",
        "verbs/host.py",
    }


def test_only_the_settings_read_the_environment() -> None:
    """And, of what kubectl looks at, the reader of kubeconfigs."""
    readers = set()
    for file in RECONCILER.rglob("*.py"):
        for node in ast.walk(parsed(file)):
            if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv"):
                readers.add(file.relative_to(RECONCILER).as_posix())
    assert readers == {"settings.py", "kube/kubeconfig.py"}


def test_the_contracts_know_every_pack_kind() -> None:
    independent = next(one for one in contracts() if one["type"] == "independence" and "pack" in one["name"])
    assert set(independent["modules"]) == set(packs.KINDS.values())


def test_the_core_of_the_contracts_is_the_core_of_this_test() -> None:
    forbidden = next(one for one in contracts() if one["name"].startswith("the core"))
    assert set(forbidden["source_modules"]) == {f"reconciler.{room}" for room in CORE}


@pytest.mark.parametrize(("table", "room"), [("layers", "reconciler"), ("controller", "reconciler.controller")])
def test_the_layers_are_told_in_their_order(table: str, room: str) -> None:
    told = [sorted(quoted(row[0])) for row in rows(marked("CONTRIBUTING.md", table))]
    kept = next(one for one in contracts() if one["type"] == "layers" and one["containers"] == [room])["layers"]
    assert told == [sorted(layer.split(" | ")) for layer in kept]


def test_every_room_of_the_shell_has_layers_of_its_own() -> None:
    layered = {
        room for one in contracts() if one["type"] == "layers" and one["exhaustive"] for room in one["containers"]
    }
    rooms = {"controller", "controller.registry", "apply", "gather"}
    assert layered == {"reconciler", *(f"reconciler.{room}" for room in rooms)}


def test_no_python_that_we_start_looks_for_modules_where_somebody_works() -> None:
    """`python -m` takes those of the folder it is started in first: of a clone, its author's (-P and -I do not)."""
    files = [file for room in ("reconciler", "devhost", "dashboard", "webhook") for file in (ROOT / room).rglob("*.py")]
    started = 0
    for file in files:
        for node in ast.walk(parsed(file)):
            words = [ast.unparse(one) for one in node.elts] if isinstance(node, ast.List | ast.Tuple) else []
            if "sys.executable" in words and len(words) > 1:
                started += 1
                assert {"'-P'", "'-I'"} & set(words), f"{file}:{node.lineno}"
    assert started > 5
