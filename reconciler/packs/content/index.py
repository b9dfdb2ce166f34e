"""The index of a chart repository: where a chart's version is (the format of Helm's `index.yaml`)."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from reconciler import decoding
from reconciler.errors import UNREADABLE
from reconciler.packs import loader
from reconciler.packs.content.access import joined, refused
from reconciler.patterns import lazy

LARGEST = 64 << 20  # bytes of an index
_ONE = 8 << 20  # bytes of what it says of one chart
_SHA = lazy(r"(sha256:)?([0-9a-f]{64})", re.ASCII)


class Version(Struct, frozen=True):
    """One version of a chart: its address, and its digest (hex SHA-256), "" where the index has none."""

    version: str
    url: str
    digest: str


class _Entry(Struct):
    version: str = ""
    urls: list[str] = []
    digest: str | None = None


def versions(data: bytes | bytearray, name: str, repo: str) -> list[Version]:
    """The versions of a chart in the index of the repository at `repo`. Raises Stalled(ContentRefused) where it has none.

    Indexes of tens of MiB are usual, and parsing such a file takes many seconds: only the lines of the one chart are parsed.
    """
    found = list(_versions(_entries(data, name, repo), repo))
    if not found:
        raise refused(f"{repo}: the index has no chart {name}", "the name, and the address of the repository")
    return found


def _entries(data: bytes | bytearray, name: str, repo: str) -> Any:
    if re.match(rb"\s*\{", data):
        return _of_json(data, name, repo)
    block = _bounded(_block(data, name), name, repo)
    return next(iter(loader.load(block.decode("utf-8", "replace"), f"{repo}/index.yaml")), None)


def _of_json(data: bytes | bytearray, name: str, repo: str) -> Any:
    """What is said of all other charts is passed over, and not made into objects."""
    entries = msgspec.defstruct("_Entries", [("one", msgspec.Raw, msgspec.Raw(b"[]"))], rename={"one": name})
    index = msgspec.defstruct("_Index", [("entries", entries)])
    try:
        block = _bounded(decoding.fresh(index).decode(data).entries.one, name, repo)  # type: ignore[attr-defined]
        return msgspec.to_builtins(decoding.decoded(block, list[_Entry]))
    except UNREADABLE:
        raise refused(f"{repo}: the index is not JSON of the usual form") from None


def _bounded(block: Any, name: str, repo: str) -> Any:
    if len(memoryview(block)) > _ONE:
        raise refused(f"{repo}: the index says more than {_ONE >> 20} MiB of {name}")
    return block


def _block(data: bytes | bytearray, name: str) -> bytes | bytearray:
    """The lines below the chart's name, below `entries:`."""
    start = re.search(rb"^entries:[ \t]*\r?\n( *)", data, re.MULTILINE)
    indent = len(start[1]) if start else 0
    if start is None or not indent:
        return b""
    line = rb"^ {%d}(['\"]?)%s\1:[ \t]*\r?\n" % (indent, re.escape(name.encode()))
    key = re.compile(line, re.MULTILINE).search(data, start.start(1))
    if key is None:
        return b""
    end = re.compile(rb"^ {0,%d}[^ \r\n-]|^ {0,%d}-" % (indent, indent - 1), re.MULTILINE).search(data, key.end())
    return data[key.end() : end.start() if end else len(data)]


def _versions(entries: Any, repo: str) -> Iterator[Version]:
    for one in entries if isinstance(entries, list) else ():
        urls = one.get("urls") if isinstance(one, Mapping) else None
        first = urls[0] if isinstance(urls, list) and urls else None
        if isinstance(one, Mapping) and isinstance(one.get("version"), str) and isinstance(first, str):
            digest = _SHA.fullmatch(str(one.get("digest") or ""))
            yield Version(one["version"], joined(repo.rstrip("/") + "/", first), digest[2] if digest else "")
