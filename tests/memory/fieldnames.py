"""`python -m tests.memory.fieldnames` writes `schemas/kubernetes.json`, the field names of Kubernetes' own kinds, out of `facts.json`."""

import json
from pathlib import Path
from typing import Any

import schemas
from tests.memory import facts

STORED = Path(schemas.__file__).parent / "kubernetes.json"
_ROOTS = ("io.k8s.api.", "io.k8s.")


def made() -> str:
    """`kinds`: GROUP/VERSION/KIND -> type. `types`: name -> field -> "" (anything below it), or a type, with [ before it for a list and
    { for a map of such. Types that take any name are left out."""
    found = facts.read()
    structs = {name: one for name, one in found["types"].items() if _closed(one)}
    kinds = {
        "/".join(filter(None, (one["group"], one["version"], one["kind"]))): _short(one["type"])
        for one in found["kinds"]
        if one.get("type") in structs
    }
    types = {
        _short(name): {field: _reference(kind, structs) for field, kind in sorted(one.items()) if field not in "!="}
        for name, one in structs.items()
    }
    lines = [f"  {json.dumps(name)}: {json.dumps(one, separators=(',', ':'))}" for name, one in sorted(types.items())]
    named = [f"  {json.dumps(name)}: {json.dumps(one)}" for name, one in sorted(kinds.items())]
    return '{"kinds": {\n' + ",\n".join(named) + '\n}, "types": {\n' + ",\n".join(lines) + "\n}}\n"


def _closed(one: Any) -> bool:
    return isinstance(one, dict) and "" not in one and bool(set(one) - {"!", "="})


def _short(name: str) -> str:
    return next((name.removeprefix(root) for root in _ROOTS if name.startswith(root)), name)


def _reference(kind: Any, structs: dict[str, Any]) -> str:
    if isinstance(kind, list):
        below = _reference(kind[1], structs)
        return f"[{below}" if below else ""
    if isinstance(kind, dict):
        below = _reference(kind[""], structs) if "" in kind else ""
        return f"{{{below}" if below else ""
    name = str(kind).removeprefix("@").removesuffix("!")
    return _short(name) if name in structs else ""


if __name__ == "__main__":
    STORED.write_text(made(), encoding="utf-8")
