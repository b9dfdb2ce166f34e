"""The input of `admit`, gathered once, and what is derived from it."""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cached_property

from msgspec import Struct

from reconciler.fleet.approvals import counting
from reconciler.fleet.running import running
from reconciler.model import ClusterDocument, Content, Merge, Record, Request, Rules, Snapshot, Versions, Violation
from reconciler.plan.consent import counted
from reconciler.spec import semver

CLUSTER, PROFILE = "cluster/", "profile/"


class Situation(Struct, frozen=True, dict=True):
    """One revision of one source against what was accepted before. `now` in seconds; `brought`: the change requests that brought what a
    cluster would be made of by this revision, None for what none explains."""

    snapshot: Snapshot
    accepted: Mapping[str, Content]
    records: Mapping[str, Record]
    requests: Sequence[Request]
    rules: Rules
    now: float
    brought: Callable[[str], Collection[Merge | None]] = lambda name: (None,)

    @cached_property
    def mine(self) -> Mapping[str, Record]:
        """Records of this source whose deletion has not been completed."""
        return {name: one for name, one in self.records.items() if one.source == self.snapshot.source and not done(one)}

    @cached_property
    def holding(self) -> Mapping[str, Record]:
        """Records of this source that a cluster, or what was retained of one, still stands for."""
        return {
            name: one for name, one in self.records.items() if one.source == self.snapshot.source and holds_name(one)
        }

    @cached_property
    def taken(self) -> Mapping[str, str]:
        """Clusters of other sources, name -> source. The first source keeps the name, also for what it retained."""
        source = self.snapshot.source
        return {name: one.source for name, one in self.records.items() if one.source != source and holds_name(one)}

    @cached_property
    def broken(self) -> Mapping[str, str]:
        """Subject of a violation -> the first message about it."""
        found: dict[str, str] = {}
        for one in sorted(self.snapshot.violations):
            found.setdefault(one.subject, f"{one.path}:{one.line}: {one.message}")
        return found

    @cached_property
    def unread(self) -> tuple[Violation, ...]:
        """Files that could not be read, sorted: they may describe any cluster."""
        silent = (one for one in self.snapshot.violations if not one.subject)
        return tuple(sorted({*silent, *self.snapshot.unread}))

    @cached_property
    def present(self) -> tuple[str, ...]:
        """Clusters that the tree names, broken ones too, sorted: none of them is ever removed."""
        named = (subject.removeprefix(CLUSTER) for subject in self.broken if subject.startswith(CLUSTER))
        return tuple(sorted({*self.snapshot.specs.clusters, *named}))

    def counted(self, about: Collection[str]) -> Sequence[Request]:
        """The requests as they count for these clusters together (`consent.counted`)."""
        if not any(one.change for one in self.requests):
            return self.requests
        return counted(self.requests, [one for name in about for one in self.brought(name)])

    @property
    def trailers(self) -> Sequence[tuple[str, str]]:
        """The trailers of its commits, as far as they approve anything."""
        return counting(self.snapshot.trailers, self.snapshot.source, self.rules)

    @cached_property
    def missing(self) -> tuple[str, ...]:
        """Clusters of this source that the tree no longer names, sorted."""
        return tuple(sorted(set(self.mine) - set(self.present)))

    def accepted_document(self, name: str) -> ClusterDocument | None:
        """The cluster's accepted document, None where it can no longer be read (S8)."""
        content = self.accepted.get(name)
        return content.specs.clusters.get(name) if content else None

    def running(self, name: str) -> Versions:
        """The versions rolled out last, also of retained clusters: the data on the volume is of these versions."""
        return running(self.records.get(name), self.accepted_document(name), self.rules)

    def version(self, name: str, span: str) -> str:
        """The profile version a use resolves to, broken ones included, "" for none."""
        key = (name, span)
        if key not in self._chosen:
            self._chosen[key] = chosen(name, span, self._versions.get(name, ()))
        return self._chosen[key]

    @cached_property
    def _chosen(self) -> dict[tuple[str, str], str]:
        return {}

    @cached_property
    def _versions(self) -> Mapping[str, frozenset[str]]:
        found: dict[str, set[str]] = {}
        for name, version in self.snapshot.specs.profiles:
            found.setdefault(name, set()).add(version)
        for subject in self.broken:
            if subject.startswith(PROFILE):
                name, _, version = subject.removeprefix(PROFILE).partition("@")
                found.setdefault(name, set()).add(version)
        return {name: frozenset(versions) for name, versions in found.items()}


def chosen(name: str, span: str, versions: frozenset[str] | Sequence[str]) -> str:
    """The newest version inside `span`; "" where none is, or where a version is malformed."""
    readable = [version for version in sorted(versions) if semver.is_version(version)]
    try:
        return semver.best(span, readable) or ""
    except ValueError:
        return ""


def done(record: Record) -> bool:
    """Whether its removal is over."""
    return record.tombstone is not None and record.tombstone.done


def holds_name(record: Record) -> bool:
    """Whether the cluster still has its name, and its host names: until it is removed, and after that if its data stays."""
    return not done(record) or (record.tombstone is not None and record.tombstone.policy == "Retain")
