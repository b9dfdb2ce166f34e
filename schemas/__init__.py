"""The JSON Schemas of the documents people write, and of what commands print. Everything else that describes the format is made
from them.

Draft-07-compatible subset, closed everywhere except free-form values, linear patterns only, nothing recursive, no remote references.
"""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

API_VERSION = "nidus.dev/v1alpha1"
KINDS = ("ClusterProfile", "NestedCluster", "ControllerConfig")
OUTPUTS = ("Plan",)


@cache
def text(kind: str) -> str:
    """The schema of one of KINDS or OUTPUTS as it stands in its file. Raises KeyError for another kind."""
    if kind not in KINDS + OUTPUTS:
        raise KeyError(kind)
    return _read(f"{kind}.schema.json")


def write(folder: Path, kinds: Sequence[str] = KINDS) -> list[Path]:
    """Write the schemas of `kinds` into `folder`, made if it is not there; return the files. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{kind}.schema.json" for kind in kinds]
    for kind, file in zip(kinds, files, strict=True):
        file.write_text(text(kind), encoding="utf-8")
    return files


@cache
def load(kind: str) -> dict[str, Any]:
    """The schema of one of KINDS or OUTPUTS, parsed; read-only by agreement. Raises KeyError for another kind."""
    schema: dict[str, Any] = json.loads(text(kind))
    return schema


@cache
def kubernetes() -> dict[str, dict[str, Any]]:
    """The field names of the kinds that Kubernetes itself serves, by tests/memory/fieldnames.py, which says how they are written."""
    found: dict[str, dict[str, Any]] = json.loads(_read("kubernetes.json"))
    return found


def _read(name: str) -> str:
    from pathlib import Path  # a tenth of the start of a render worker, which needs it for nothing else

    return (Path(__file__).parent / name).read_text(encoding="utf-8")
