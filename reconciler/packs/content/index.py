"""The index of a chart repository: where a chart's version is (the format of Helm's `index.yaml`)."""

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urljoin

import msgspec
from msgspec import Struct

from reconciler.packs import loader
from reconciler.packs.content.access import refused

LARGEST = 64 << 20  # bytes of an index
_ONE = 8 << 20  # bytes of what it says of one chart
_SHA = re.compile(r"(sha256:)?([0-9a-f]{64})", re.ASCII)


class Version(Struct, frozen=True):
    """One version of a chart: its address, and its digest (hex SHA-256), "" where the index has none."""

    version: str
    url: str
    digest: str


def versions(data: bytes, name: str, repo: str) -> list[Version]:
    """The versions of a chart in the index of the repository at `repo`. Raises Stalled(ContentRefused) where it has none.

    Indexes of tens of MiB are usual, and parsing such a file takes many seconds: only the lines of the one chart are parsed.
    """
    found = list(_versions(_entries(data, name, repo), repo))
    if not found:
        raise refused(f"{repo}: the index has no chart {name}", "the name, and the address of the repository")
    return found


def _entries(data: bytes, name: str, repo: str) -> Any:
    if data.lstrip()[:1] == b"{":
        try:
            whole = msgspec.json.decode(data)
        except (msgspec.DecodeError, RecursionError):
            raise refused(f"{repo}: the index is not JSON") from None
        entries = whole.get("entries") if isinstance(whole, dict) else None
        return entries.get(name) if isinstance(entries, dict) else None
    block = _block(data, name)
    if len(block) > _ONE:
        raise refused(f"{repo}: the index says more than {_ONE >> 20} MiB of {name}")
    return next(iter(loader.load(block.decode("utf-8", "replace"), f"{repo}/index.yaml")), None)


def _block(data: bytes, name: str) -> bytes:
    """The lines below the chart's name, below `entries:`."""
    start = re.search(rb"^entries:[ \t]*\r?\n", data, re.MULTILINE)
    body = data[start.end() :] if start else b""
    indent = len(body) - len(body.lstrip(b" "))
    key = re.search(rb"^ {%d}(['\"]?)%s\1:[ \t]*\r?\n" % (indent, re.escape(name.encode())), body, re.MULTILINE)
    if key is None or not indent:
        return b""
    end = re.compile(rb"^ {0,%d}[^ \r\n-]|^ {0,%d}-" % (indent, indent - 1), re.MULTILINE).search(body, key.end())
    return body[key.end() : end.start() if end else len(body)]


def _versions(entries: Any, repo: str) -> Iterator[Version]:
    for one in entries if isinstance(entries, list) else ():
        urls = one.get("urls") if isinstance(one, Mapping) else None
        first = urls[0] if isinstance(urls, list) and urls else None
        if isinstance(one, Mapping) and isinstance(one.get("version"), str) and isinstance(first, str):
            digest = _SHA.fullmatch(str(one.get("digest") or ""))
            yield Version(one["version"], urljoin(repo.rstrip("/") + "/", first), digest[2] if digest else "")
