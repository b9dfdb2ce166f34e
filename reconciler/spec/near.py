"""Documents that are probably meant for us and are not ours, as their apiVersion is another or missing.

They are warned of, not refused: other projects have a ClusterProfile too.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import schemas
from reconciler.errors import closest
from reconciler.model import Limits, Violation
from reconciler.spec import marks, schema, yaml
from reconciler.spec.codes import Code

_KINDS = tuple(kind.encode() for kind in schemas.KINDS)
_CLOSE = 0.7  # of 1, how alike a group must be to ours


def warnings(path: str, data: bytes, limits: Limits) -> Iterator[Violation]:
    """A warning for each such document of a file. A file that is no YAML has none."""
    if not any(kind in data for kind in _KINDS):
        return
    for index, document in enumerate(yaml.parse(data, path, limits).documents):
        kind = document.body.get("kind")
        if kind in schemas.KINDS and not schema.is_spec(document.body) and _meant(document.body):
            where = "/apiVersion" if "apiVersion" in document.body else "/kind"
            line, column = marks.find(marks.read(data)[index], where)
            message = f"kind {kind} but not ours, so it is not read: {_why(document.body)}"
            yield Violation(
                path, line, column, Code.NOT_OURS, message, where, f"write apiVersion: {schemas.API_VERSION}"
            )


def single(data: bytes) -> bool:
    """Whether a file cannot hold a second document: YAML begins one after three hyphens or three points."""
    return b"---" not in data.removeprefix(b"---") and b"..." not in data


def _meant(body: Mapping[str, Any]) -> bool:
    """Whether the group is none, or like ours: a kind of another project has its own group."""
    group = str(body.get("apiVersion", "")).partition("/")[0].lower()
    ours = schemas.API_VERSION.partition("/")[0]
    return "." not in group or "nidus" in group or closest(group, [ours], _CLOSE) != ""


def _why(body: Mapping[str, Any]) -> str:
    if "apiVersion" in body:
        return f"its apiVersion is not {schemas.API_VERSION}"
    other = next((key for key in body if key.lower().replace("_", "").replace("-", "") == "apiversion"), "")
    return f"{other} is written apiVersion" if other else "it has no apiVersion"
