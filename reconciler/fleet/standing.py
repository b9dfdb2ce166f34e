"""The accepted contents of clusters, in the form that validation needs."""

from collections.abc import Callable, Iterable, Mapping

from reconciler.model import ClusterDocument, Content, Held, Record, Rollout, Snapshot, replace

GONE = "gone"  # what a cluster would be made of that the tree does not name


def in_use(records: Iterable[Record], source: str) -> dict[tuple[str, str], str]:
    """The digests of the profile versions that clusters of a source use: (name, version) -> digest. A version in use is
    immutable."""
    found = {}
    for record in records:
        for key, digest in record.digests.items():
            kind, _, rest = key.partition("/")
            name, _, version = rest.partition("@")
            if kind == "profile" and record.source == source:
                found[name, version] = digest
    return found


def profiles(accepted: Mapping[str, Content]) -> dict[tuple[str, str], str]:
    """The file each profile version was accepted from: (name, version) -> path."""
    return {key: one.path for content in accepted.values() for key, one in content.specs.profiles.items()}


def documents(accepted: Mapping[str, Content]) -> dict[str, ClusterDocument]:
    """Each cluster's own document, from its accepted content."""
    return {name: one.specs.clusters[name] for name, one in accepted.items() if name in one.specs.clusters}


def invalid(snapshot: Snapshot) -> dict[str, str]:
    """The first violation of each broken cluster, with its place."""
    found: dict[str, str] = {}
    for one in snapshot.violations:
        kind, _, name = one.subject.partition("/")
        if kind == "cluster":
            found.setdefault(name, f"{one.path}:{one.line}:{one.column}: {one.code} {one.message}")
    return found


def hides(before: Snapshot, after: Snapshot, name: str) -> bool:
    """Whether a file that cannot be read may hold what a cluster would be made of, before a change: any file of which nothing is known,
    and a version of a profile that it uses."""
    documents = [one.specs.clusters[name] for one in (before, after) if name in one.specs.clusters]
    uses = {f"profile/{use.name}" for each in documents for use in each.cluster.spec.profiles}
    subjects = {one.subject.partition("@")[0] for one in before.violations}
    return bool(before.unread) or not subjects.isdisjoint({"", *uses})


def unclear(snapshot: Snapshot) -> frozenset[tuple[str, str, str]]:
    """The files that may say more of clusters than is known: those that cannot be read, and those of profiles with mistakes. Path, subject,
    and content."""
    told = [one for one in snapshot.violations if not one.subject.startswith("cluster/")]
    return frozenset((one.path, one.subject, snapshot.tree.get(one.path, "")) for one in (*told, *snapshot.unread))


def asks(name: str, snapshot: Snapshot, held: Held | None, digest: Callable[[], str]) -> str:
    """What a cluster that is held or invalid would be made of by a snapshot, like nothing that is admitted: another value where another
    commit may ask for something else of it. What a file with mistakes asks for cannot be said, nor what it would be without them: the
    tree stands for it. `digest` gives that of its bundle, "" where it has none."""
    if name not in snapshot.specs.clusters and not _may_name(snapshot, name):
        return GONE
    rewritten = held is not None and held.reason == "HistoryRewritten"  # of a whole fleet
    told = "" if rewritten or snapshot.violations or snapshot.unread else digest()
    return f"asks {told or snapshot.oid}"


def _may_name(snapshot: Snapshot, name: str) -> bool:
    """Whether something that cannot be read, or has mistakes, may be a document of the cluster."""
    return bool(snapshot.unread) or any(one.subject in ("", f"cluster/{name}") for one in snapshot.violations)


def withheld(rollout: Rollout, why: Mapping[str, Held]) -> Rollout:
    """The rollout without the clusters in `why`: their records cannot be read, so they stay as they are and keep their
    names."""
    return replace(
        rollout,
        admitted={name: one for name, one in rollout.admitted.items() if name not in why},
        tombstones={name: one for name, one in rollout.tombstones.items() if name not in why},
        held=dict(sorted({**rollout.held, **{name: why[name] for name in why if _named(rollout, name)}}.items())),
    )


def _named(rollout: Rollout, name: str) -> bool:
    return name in rollout.admitted or name in rollout.tombstones or name in rollout.held
