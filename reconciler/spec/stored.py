"""What was read of the files of a tree, as bytes for the disk, so that the next command need not read unchanged files again. Pure."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import cast

import msgspec
from msgspec import Raw, Struct

from reconciler import decoding
from reconciler.model import ClusterProfile, Limits, NestedCluster
from reconciler.spec.entries import Entry, Item


class _File(Struct, array_like=True):
    """One sound file; a document is (line, index in the file, digest, spec)."""

    path: str
    oid: str
    data: bytes
    clusters: list[tuple[int, int, str, NestedCluster]]
    profiles: list[tuple[int, int, str, ClusterProfile]]


def worth(entry: Entry) -> bool:
    """Whether reading it again costs something: files without documents of ours are hardly read, and those with mistakes are read
    again, to say where they are."""
    return bool(entry.items) and not entry.violations and not entry.broken and not entry.warnings


def stamp(limits: Limits, program: Iterable[object]) -> str:
    """What a file's content means depends on this besides its bytes; `program` tells one state of the program's own files from another."""
    return hashlib.sha256(repr((limits, tuple(program))).encode()).hexdigest()


def encode(entries: Mapping[str, Entry]) -> bytes:
    """Those by path that are `worth` it; what has no binary form, such as an integer of more than 64 bits, is left out."""
    files = (_packed(path, entry) for path, entry in entries.items() if worth(entry))
    return msgspec.msgpack.encode([one for one in files if one is not None])


def decode(data: bytes) -> dict[str, Entry]:
    """What `encode` was given, without those whose bytes are not the blob that they claim to be. Raises one of
    UNREADABLE for anything else."""
    files = decoding.unpacked(data, list[_File])
    return {file.path: _entry(file) for file in files if _is_blob(file.oid, file.data)}


def _packed(path: str, entry: Entry) -> Raw | None:
    found = [(item.line, item.index, item.digest, item.spec) for item in entry.items]
    clusters = [one for one in found if isinstance(one[3], NestedCluster)]
    profiles = [one for one in found if isinstance(one[3], ClusterProfile)]
    file = _File(
        path,
        entry.oid,
        entry.data,
        cast("list[tuple[int, int, str, NestedCluster]]", clusters),
        cast("list[tuple[int, int, str, ClusterProfile]]", profiles),
    )
    try:
        return Raw(msgspec.msgpack.encode(file))
    except (OverflowError, RecursionError, TypeError, ValueError):
        return None


def _entry(file: _File) -> Entry:
    found: list[tuple[int, int, str, NestedCluster | ClusterProfile]] = [*file.clusters, *file.profiles]
    items = [Item(file.path, *one, file.data) for one in found]
    return Entry(file.oid, file.data, tuple(sorted(items, key=lambda item: item.index)))


def _is_blob(oid: str, data: bytes) -> bool:
    """Whether Git would give these bytes this name."""
    made = hashlib.sha256 if len(oid) == 64 else hashlib.sha1
    return made(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest() == oid
