"""The index of a chart repository: where a chart's version is (the format of Helm's `index.yaml`).

Whoever serves an index writes what they like, and other threads run while it is read: it is searched and parsed in steps none of which
takes long, since searching and parsing let no other thread run.
"""

import itertools
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
_LARGEST_JSON = 16 << 20  # of one in JSON, which is read in one step; tens of thousands of versions fit
_ONE = 8 << 20  # bytes of what it says of one chart
_OBJECTS, _VALUES = 50_000, 500_000  # of one chart, in JSON: a version has about ten, and sixty
_STEP = 256 << 10  # bytes that are searched at once
_PART = 64 << 10  # bytes of versions that are parsed at once, where one ends
_VERSION = 1 << 20  # bytes of one version
_BLANK = 256  # bytes that a line may end in, and the index begin with, without saying anything
_DEEPEST = 64  # spaces before the name of a chart
_NEAR = 100  # lines that begin as the one that is looked for
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
    found = [one for part in _entries(data, name, repo) for one in _versions(part, repo)]
    if not found:
        raise refused(f"{repo}: the index has no chart {name}", "the name, and the address of the repository")
    return found


def _entries(data: bytes | bytearray, name: str, repo: str) -> Iterator[Any]:
    """Lists of what is said of the versions."""
    if data[:_BLANK].lstrip().startswith(b"{"):
        return iter((_of_json(data, name, repo),))
    block = _bounded(_block(data, name), name, repo)
    return loader.loaded((part.decode("utf-8", "replace") for part in _parts(block, name, repo)), f"{repo}/index.yaml")


def _of_json(data: bytes | bytearray, name: str, repo: str) -> Any:
    """What is said of all other charts is passed over, and not made into objects."""
    if len(data) > _LARGEST_JSON:
        raise refused(f"{repo}: an index in JSON is at most {_LARGEST_JSON >> 20} MiB", "serve it in YAML")
    entries = msgspec.defstruct("_Entries", [("one", msgspec.Raw, msgspec.Raw(b"[]"))], rename={"one": name})
    index = msgspec.defstruct("_Index", [("entries", entries)])
    try:
        block = bytes(_bounded(decoding.fresh(index).decode(data).entries.one, name, repo))  # type: ignore[attr-defined]
        if block.count(b"{") > _OBJECTS or block.count(b",") > _VALUES:
            raise refused(f"{repo}: the index says more than {_OBJECTS} objects or {_VALUES} values of {name}")
        return [msgspec.structs.asdict(one) for one in decoding.decoded(block, list[_Entry])]
    except UNREADABLE:
        raise refused(f"{repo}: the index is not JSON of the usual form") from None


def _bounded(block: Any, name: str, repo: str) -> Any:
    if len(memoryview(block)) > _ONE:
        raise refused(f"{repo}: the index says more than {_ONE >> 20} MiB of {name}")
    return block


def _block(data: bytes | bytearray, name: str) -> bytes | bytearray:
    """The lines below the chart's name, below `entries:`; no more of them than `_bounded` refuses."""
    start = _below(data, b"entries:", 0)
    indent = _indent(data, start)
    if start < 0 or not 0 < indent < _DEEPEST:
        return b""
    written = (b" " * indent + one.encode() + b":" for one in (name, f'"{name}"', f"'{name}'"))
    key = next((at for one in written if (at := _below(data, one, start)) >= 0), -1)
    if key < 0:
        return b""
    ends = re.compile(rb"^ {0,%d}[^ \r\n-]|^ {0,%d}-" % (indent, indent - 1), re.MULTILINE)
    for at in range(key, key + _ONE + 1, _STEP):
        if end := ends.search(data, at, at + _STEP + _DEEPEST):
            return data[key : end.start()]
    return data[key : key + _ONE + 1]


def _below(data: bytes | bytearray, sign: bytes, start: int) -> int:
    """Where the lines below the one that says `sign` begin, which is looked for from the beginning of a line; -1 where there is none."""
    for at in itertools.islice(_beginnings(data, sign, start), _NEAR):
        after = at + len(sign)
        end = data.find(b"\n", after, after + _BLANK)
        if end >= 0 and not data[after:end].strip(b" \t\r"):
            return end + 1
    return -1


def _beginnings(data: bytes | bytearray, sign: bytes, start: int) -> Iterator[int]:
    """Where lines begin that begin with `sign`, from the beginning of a line."""
    if data.startswith(sign, start):
        yield start
    sought = b"\n" + sign
    while start < len(data):
        at = data.find(sought, start, start + _STEP + len(sought))
        if at >= 0:
            yield at + 1
        start = at + 1 if at >= 0 else start + _STEP


def _indent(data: bytes | bytearray, start: int) -> int:
    line = data[start : start + _DEEPEST]
    return len(line) - len(line.lstrip(b" "))


def _parts(block: bytes | bytearray, name: str, repo: str) -> Iterator[bytes | bytearray]:
    """Some versions at a time: the lines of a list, cut where items of it begin."""
    start = 0
    item = b" " * _indent(block, 0) + b"-"
    for at in itertools.chain(_beginnings(block, item, 0), (len(block),)):
        if at - start > _VERSION:
            raise refused(f"{repo}: the index says more than {_VERSION >> 20} MiB of one version of {name}")
        if at - start >= _PART or at == len(block):
            yield block[start:at]
            start = at


def _versions(entries: Any, repo: str) -> Iterator[Version]:
    for one in entries if isinstance(entries, list) else ():
        urls = one.get("urls") if isinstance(one, Mapping) else None
        first = urls[0] if isinstance(urls, list) and urls else None
        if isinstance(one, Mapping) and isinstance(one.get("version"), str) and isinstance(first, str):
            digest = _SHA.fullmatch(str(one.get("digest") or ""))
            yield Version(one["version"], joined(repo.rstrip("/") + "/", first), digest[2] if digest else "")
