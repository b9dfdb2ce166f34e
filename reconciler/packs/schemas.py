"""A chart's `values.schema.json` may only refer to itself: Helm's schema library opens every other address, files too.

Looked at before Helm sees the chart, in the chart's own files and in packed subcharts (`packs.archives`).
"""

import json
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from reconciler.errors import Stalled

_NAME = "values.schema.json"
_REFERENCES = frozenset({"$ref", "$dynamicRef", "$recursiveRef", "$schema"})
_IDENTITIES = frozenset({"$id", "id"})
_HOST = "json-schema.org"
_DRAFTS = frozenset(
    {f"{_HOST}/schema"}
    | {f"{_HOST}/draft-{number}/schema" for number in ("04", "06", "07")}
    | {f"{_HOST}/draft/{number}/schema" for number in ("2019-09", "2020-12")}
)
"""What the library holds itself and does not open."""
_HINT = "a chart's schema may refer to itself (#/...) and to the JSON Schema drafts; write the rest out in the file"


def check(path: str, data: bytes) -> None:
    """Raises Stalled(ChartInvalid) where a file of a chart is a schema that would make Helm open an address or a file."""
    if PurePosixPath(path).name == _NAME:
        for address in _addresses(path, data):
            raise _refused(path, f"its schema names {address[:100]!r}, and nothing outside the chart is ever opened")


def _addresses(path: str, data: bytes) -> Iterator[str]:
    """What the schema refers to outside itself. Every pair counts, those that stand twice too: the last one is not everybody's."""
    pairs: list[tuple[str, Any]] = []

    def seen(found: list[tuple[str, Any]]) -> dict[str, Any]:
        pairs.extend(found)
        return {}

    try:
        json.loads(data.decode("utf-8-sig"), object_pairs_hook=seen)
    except (ValueError, RecursionError):
        raise _refused(path, "its schema is not JSON") from None
    for key, value in pairs:
        if isinstance(value, str) and _foreign(key, value):
            yield value


def _foreign(key: str, value: str) -> bool:
    if key in _REFERENCES:
        return not value.startswith("#") and not _is_draft(value)
    return key in _IDENTITIES and (value.startswith(("/", "file:")) or "\\" in value)


def _is_draft(value: str) -> bool:
    """One of the drafts, with or without an empty fragment."""
    address = value.removesuffix("#")
    return address.removeprefix("http://").removeprefix("https://") in _DRAFTS and address.startswith("http")


def _refused(path: str, what: str) -> Stalled:
    return Stalled(f"{path}: {what}", reason="ChartInvalid", hint=_HINT)
