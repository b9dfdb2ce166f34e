"""One file of the tree, read once and kept by its blob: the specs in it, and what is wrong with it."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from reconciler.model import ClusterProfile, Document, Limits, NestedCluster, Violation, replace
from reconciler.patterns import lazy
from reconciler.spec import marks, schema, slips, yaml
from reconciler.spec.codes import Code

MARK = b"nidus.dev/"
TOLD = 100
"""Mistakes of one document that are told."""
_KINDS: dict[str, type[NestedCluster] | type[ClusterProfile]] = {
    "NestedCluster": NestedCluster,
    "ClusterProfile": ClusterProfile,
}
_NAMES = lazy(rb"\bname:[ \t]*[\"']?([a-z0-9][-a-z0-9]{0,62})\b")


class Item(Struct, frozen=True, eq=False):
    """One sound document: compared by identity, so that results derived from it are kept while its blob stays."""

    path: str
    line: int
    index: int
    digest: str
    spec: NestedCluster | ClusterProfile
    data: bytes

    @property
    def subject(self) -> str:
        return subject(self.spec)

    def violation(self, pointer: str, code: Code, message: str, hint: str = "") -> Violation:
        """A mistake in this document, at the place the pointer has in the file."""
        line, column = yaml.locate(self.data, self.index, pointer)
        return Violation(self.path, line, column, code, message, pointer, hint, self.subject)


class Entry(Struct, frozen=True):
    """The result of one file. `broken`: (kind, name, version) of documents of ours that have mistakes, "" where
    unknown."""

    oid: str
    data: bytes
    items: tuple[Item, ...] = ()
    violations: tuple[Violation, ...] = ()
    broken: tuple[tuple[str, str, str], ...] = ()
    warnings: tuple[Violation, ...] = ()


def capped(found: Iterable[Violation]) -> tuple[Violation, ...]:
    """The first mistakes of one document, each once and in order; beyond a hundred the last says how many more there are."""
    told = sorted(set(found))
    if len(told) <= TOLD:
        return tuple(told)
    more = f"{len(told) - TOLD + 1} more mistakes in this document, {told[TOLD - 1].message}"
    return (*told[: TOLD - 1], replace(told[TOLD - 1], message=more))


def subject(spec: NestedCluster | ClusterProfile) -> str:
    """What a mistake in this document can affect (V4)."""
    if isinstance(spec, ClusterProfile):
        return f"profile/{spec.metadata.name}@{spec.spec.version}"
    return f"cluster/{spec.metadata.name}"


def digest(value: Any) -> str:
    """SHA-256 of a value's canonical JSON: key order, comments and layout of the file do not matter."""
    return hashlib.sha256(msgspec.json.encode(value, order="deterministic")).hexdigest()


def _mentions(data: bytes) -> bool:
    """Whether our API group is named, also in UTF-16: a file saved like that must be reported, not ignored."""
    return MARK in data or (b"\0" in data[:4] and MARK in data.replace(b"\0", b""))


def read(path: str, oid: str, data: bytes, limits: Limits) -> Entry:
    """Reads one file; a file that does not mention our API group is kept unread until a pack names it."""
    if not _mentions(data):
        return Entry(oid, data)
    parsed = yaml.parse(data, path, limits)
    if not parsed.whole:
        return Entry(oid, data, (), parsed.violations, _suspected(data))
    impure = _owned(parsed) if parsed.violations else {}
    items: list[Item] = []
    violations: list[Violation] = []
    broken: list[tuple[str, str, str]] = []
    for index, document in enumerate(parsed.documents):
        ours = schema.is_spec(document.body) and document.body.get("kind") != "ControllerConfig"
        found = impure.get(index) or (_item(document, index, data) if ours else [])
        if isinstance(found, Item):
            items.append(found)
        elif found:
            violations += found
            broken.append(named(document.body))
    warnings = slips.quoted(path, data) if items or broken else ()
    return Entry(oid, data, tuple(items), tuple(violations), tuple(broken), warnings)


def _owned(parsed: yaml.Parsed) -> dict[int, list[Violation]]:
    """Mistakes in the YAML itself, by the document they stand in; only that document is left out, and only ours matter."""
    starts = [document.line for document in parsed.documents]
    found: dict[int, list[Violation]] = {}
    for violation in parsed.violations:
        index = max(sum(start <= violation.line for start in starts) - 1, 0)
        body = parsed.documents[index].body if parsed.documents else {}
        if schema.is_spec(body):
            found.setdefault(index, []).append(replace(violation, subject=_subject(body)))
    return found


def _item(document: Document, index: int, data: bytes) -> Item | list[Violation]:
    body = schema.settled(document.body)
    spec, mistakes = schema.read(body, _KINDS, lambda pointer: marks.text(data, index, pointer))
    if spec is not None:
        return Item(document.path, document.line, index, digest(body), spec, data)
    places = marks.read(data)[index]
    affected = _subject(body)
    told = [
        Violation(
            document.path,
            *marks.find(places, pointer, key=code == Code.UNKNOWN_FIELD),
            code,
            message,
            pointer,
            hint,
            affected,
        )
        for pointer, message, hint, code in mistakes
    ]
    return list(capped(told))


def named(body: Mapping[str, Any]) -> tuple[str, str, str]:
    """(kind, name, version) as far as a broken document has them."""
    meta, spec = body.get("metadata"), body.get("spec")
    name = meta.get("name") if isinstance(meta, dict) else None
    version = spec.get("version") if isinstance(spec, dict) else None
    return str(body.get("kind", "")), name if isinstance(name, str) else "", version if isinstance(version, str) else ""


def _subject(body: Mapping[str, Any]) -> str:
    kind, name, version = named(body) if schema.is_spec(body) else ("", "", "")
    if not name or kind not in _KINDS:
        return ""
    return f"cluster/{name}" if kind == "NestedCluster" else f"profile/{name}@{version}"


def _suspected(data: bytes) -> tuple[tuple[str, str, str], ...]:
    """Names in an unreadable file that may be a profile's: clusters using them must not fall back to another
    version."""
    if b"ClusterProfile" not in data:
        return ()
    names = {match[1].decode() for match in _NAMES.finditer(data)}
    return tuple(("ClusterProfile", name, "") for name in sorted(names))
