"""Documents accepted from a file that no longer shows them: an unreadable document is not a removed one (S3, V4)."""

from collections.abc import Collection, Iterator, Mapping

from msgspec import Struct

from reconciler.model import ClusterDocument, Limits, Violation, replace
from reconciler.spec import files, unread, yaml
from reconciler.spec.codes import Code
from reconciler.spec.entries import Entry, named
from reconciler.spec.outline import Outline

Key = tuple[str, str]


class Seen(Struct, frozen=True):
    """What was read of a tree: `paths` are its files, `entries` those that may hold documents."""

    paths: Mapping[str, str]
    outline: Outline
    entries: Mapping[str, Entry]
    limits: Limits


def clusters(accepted: Mapping[str, ClusterDocument], present: Collection[str], seen: Seen) -> list[Violation]:
    """Why clusters that no file describes may still be wanted: one violation for each reason, subject cluster/NAME."""
    missing = {name: document.path for name, document in accepted.items() if name not in present}
    found = []
    for name, path in missing.items():
        found += [replace(one, subject=f"cluster/{name}") for one in _reasons(path, ("NestedCluster", name, ""), seen)]
    return found


def profiles(accepted: Mapping[Key, str], present: Collection[Key], seen: Seen) -> tuple[list[Violation], set[Key]]:
    """The same for profile versions, (name, version) -> the file they were accepted from, subject profile/NAME@VERSION;
    and all versions that may still be meant: a cluster must not fall back to an older one."""
    found, meant = [], set()
    for (name, version), path in accepted.items():
        if (name, version) in present:
            continue
        reasons = list(_reasons(path, ("ClusterProfile", name, version), seen))
        found += [replace(one, subject=f"profile/{name}@{version}") for one in reasons]
        entry = seen.entries.get(path)
        if reasons or (entry is not None and any(not one.subject for one in entry.violations)):
            meant.add((name, version))
    return found, meant


def emptied(
    accepted: Mapping[str, ClusterDocument], present: Collection[str], entries: Mapping[str, Entry], limits: Limits
) -> Iterator[Violation]:
    """A warning for each cluster whose file is still there, without any document: nothing says that this is no removal, and it may be an
    accident."""
    for name, document in accepted.items():
        entry = entries.get(document.path) if name not in present else None
        if entry is not None and not entry.violations and not yaml.parse(entry.data, document.path, limits).documents:
            yield hollow(document.path, f"cluster {name} was described here")


def hollow(path: str, what: str) -> Violation:
    """A file that holds no document any more."""
    message = f"{what}, and the file holds no document now: that is a removal"
    return Violation(path, 1, 1, Code.EMPTIED, message, hint="put it back; or remove the file, where that is meant")


def _reasons(path: str, document: tuple[str, str, str], seen: Seen) -> Iterator[Violation]:
    what = _spoken(document)
    for one in unread.at(path, seen.outline.unread):
        yield replace(one, message=f"{one.message}; {what} was described in {path}")
    if path in seen.paths and files.inside(path, seen.outline.charts):
        message = f"{what} was described here, in a folder that is a chart now: documents in charts are not read"
        yield Violation(path, 1, 1, Code.FILE_KIND, message, hint="move the file out of the chart")
    entry = seen.entries.get(path)
    if entry is not None and not entry.violations:
        yield from _silent(path, document, entry.data, seen.limits)


def _silent(path: str, document: tuple[str, str, str], data: bytes, limits: Limits) -> Iterator[Violation]:
    """A file in which no document of ours was found and no mistake: it is read again, to find out whether one was
    meant."""
    parsed = yaml.parse(data, path, limits)
    if not parsed.whole:
        yield from parsed.violations
        return
    message = f"{_spoken(document)} was described here, under another apiVersion"
    for index, one in enumerate(parsed.documents):
        if named(one.body)[: 2 if not document[2] else 3] == document[: 2 if not document[2] else 3]:
            place = yaml.locate(data, index, "/apiVersion")
            yield Violation(path, *place, Code.API_VERSION, message, "/apiVersion")


def _spoken(document: tuple[str, str, str]) -> str:
    kind, name, version = document
    return f"cluster {name}" if kind == "NestedCluster" else f"profile {name} {version}"
