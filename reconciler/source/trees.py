"""From git's listing of a tree to `model.Tree`: which files may be read, and a violation for each that may not (S1, V3).

Codes: NID010 symlink, NID011 submodule, NID012 odd name, NID013 odd mode, NID014 too large, NID015 too long or too deep.
"""

import unicodedata
from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct

from reconciler.errors import Stalled, prints
from reconciler.model import Limits, Tree, Violation, replace
from reconciler.patterns import lazy
from reconciler.spec.units import room, size

_READABLE = frozenset((b"100644", b"100755"))
_RAISE = "raise spec.limits.{} in the controller's configuration"
_LONGEST = 512
_DEEPEST = 16
# The usual name: printable ASCII, no backslash, no component that starts with a dash or a dot. Everything else is looked at closely.
_PLAIN = lazy(rb"(?:(?![-.])[ !-.0-\[\]-~]+/){0,15}(?![-.])[ !-.0-\[\]-~]+")


class Bounds(Struct, frozen=True):
    """`model.Limits` in bytes and counts; `pack` caps every file git writes (M13)."""

    file: int
    files: int
    total: int
    pack: int


class Entry(Struct, frozen=True):
    """One line of `ls-tree -r -l`: the path as bytes, since git promises no encoding."""

    mode: bytes
    kind: bytes
    oid: str
    size: int
    path: bytes


def bounds(limits: Limits) -> Bounds:
    """The limits as numbers. A pack may hold four times the total: history is larger than one tree."""
    total = size(limits.total)
    return Bounds(size(limits.file), limits.files, total, 4 * total)


def listing(raw: bytes) -> Iterator[Entry]:
    """The entries of `ls-tree -r -z -l`. A line cut short is an error (ValueError), never the end of the list (S3)."""
    if raw and not raw.endswith(b"\0"):
        raise ValueError("truncated listing")
    for line in raw.split(b"\0")[:-1]:
        head, _, path = line.partition(b"\t")
        mode, kind, oid, length = head.split()
        yield Entry(mode, kind, oid.decode(), int(length) if kind == b"blob" else 0, path)


def differences(raw: bytes) -> tuple[tuple[bytes, ...], tuple[Entry, ...]]:
    """(paths removed, entries added or changed, without sizes) of `diff-tree -r -z --raw --no-renames`."""
    if raw and not raw.endswith(b"\0"):
        raise ValueError("truncated difference")
    parts = raw.split(b"\0")[:-1]
    removed, changed = [], []
    for head, path in zip(parts[::2], parts[1::2], strict=True):
        _, mode, _, oid, status = head.split()
        if status == b"D":
            removed.append(path)
        else:
            kind = b"commit" if mode == b"160000" else b"blob"
            changed.append(Entry(mode, kind, oid.decode(), 0, path))
    return tuple(removed), tuple(changed)


def sized(entries: Iterable[Entry], sizes: Mapping[str, int]) -> Iterator[Entry]:
    """The entries with the sizes of their blobs."""
    return (replace(entry, size=sizes.get(entry.oid, 0)) for entry in entries)


def tree(oid: str, entries: Iterable[Entry], limits: Bounds) -> Tree:
    """A tree from its complete listing. Raises Stalled("TooBig") past the count or the total of the limits."""
    files: dict[str, str] = {}
    sizes: dict[str, int] = {}
    violations: list[Violation] = []
    total = 0
    plain = _PLAIN.fullmatch
    for entry in entries:
        usual = entry.mode in _READABLE and entry.size <= limits.file and len(entry.path) <= _LONGEST
        found = None if usual and plain(entry.path) else violation(entry, limits)
        if found is not None:
            violations.append(found)
        else:
            total += 0 if entry.oid in sizes else entry.size
            files[entry.path.decode()] = entry.oid
            sizes[entry.oid] = entry.size
        if total > limits.total or len(files) + len(violations) > limits.files:
            break  # enough to refuse it
    return bounded(Tree(oid, files, sizes, tuple(sorted(violations))), limits)


def bounded(found: Tree, limits: Bounds) -> Tree:
    """The tree itself. Raises Stalled("TooBig") when it holds too much."""
    count, total = len(found.files) + len(found.violations), sum(found.sizes.values())
    if count > limits.files:
        raise Stalled(f"the tree holds more than {limits.files} files", reason="TooBig", hint=_RAISE.format("files"))
    if total > limits.total:
        raise Stalled(f"the tree holds more than {limits.total} bytes", reason="TooBig", hint=_RAISE.format("total"))
    return found


def amended(before: Tree, oid: str, removed: Iterable[bytes], entries: Iterable[Entry], limits: Bounds) -> Tree:
    """`before` with some paths gone and some entries new: equal to `tree` of the complete listing."""
    entries = tuple(entries)
    changed = {readable(path) for path in removed} | {readable(entry.path) for entry in entries}
    new = tree(oid, entries, limits)
    kept = [(path, blob) for path, blob in before.files.items() if path not in changed]
    files = dict(sorted([*kept, *new.files.items()]))  # the order of a listing
    known = {**before.sizes, **new.sizes}
    sizes = {blob: known[blob] for blob in files.values()}
    violations = [found for found in before.violations if found.path not in changed]
    return bounded(Tree(oid, files, sizes, tuple(sorted([*violations, *new.violations]))), limits)


def violation(entry: Entry, limits: Bounds) -> Violation | None:
    """Why this entry may not be read, None if it may."""
    if not _PLAIN.fullmatch(entry.path) or len(entry.path) > _LONGEST:
        odd = _odd(entry.path)
        if odd is not None:
            return _violation(entry, *odd)
    if entry.mode == b"120000":
        return _violation(entry, "NID010", "a symbolic link is never followed", "commit the file itself")
    if entry.mode == b"160000":
        return _violation(entry, "NID011", "a submodule is never read", "commit the files themselves")
    if entry.mode not in _READABLE:
        return _violation(
            entry, "NID013", f"file mode {entry.mode.decode()} is not a regular file's", "use mode 644 or 755"
        )
    if entry.size > limits.file:
        message = f"the file has {entry.size} bytes, {limits.file} are allowed"
        hint = f"split it, or set spec.limits.file to {room(entry.size)} in the controller's configuration"
        return _violation(entry, "NID014", message, hint)
    return None


def readable(path: bytes) -> str:
    """A path to show: what is not printable UTF-8 is escaped, so that no name can forge a line of output."""
    text = path.decode("utf-8", "backslashreplace")
    return "".join(c if prints(c) and c != "\\" else c.encode("unicode_escape").decode() for c in text)


def _odd(path: bytes) -> tuple[str, str, str] | None:
    """(code, message, hint) of a name that may not be used; dot files and names in other scripts may."""
    parts = path.split(b"/")
    if len(path) > _LONGEST or len(parts) > _DEEPEST:
        return "NID015", f"the path is longer than {_LONGEST} bytes or deeper than {_DEEPEST} folders", "shorten it"
    try:
        text = path.decode("utf-8")
    except UnicodeDecodeError:
        return "NID012", "the file name is not UTF-8", "rename it"
    if not text.isprintable() or "\\" in text or unicodedata.normalize("NFC", text) != text:
        return "NID012", "the file name holds characters that are not printable, or not in normal form", "rename it"
    if any(part in (b"", b".", b"..") or part.startswith(b"-") or part.lower() == b".git" for part in parts):
        return "NID012", "a part of the path is empty, a dot entry, .git, or starts with a dash", "rename it"
    return None


def _violation(entry: Entry, code: str, message: str, hint: str) -> Violation:
    return Violation(readable(entry.path), 0, 0, code, message, hint=hint)
