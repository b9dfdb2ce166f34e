"""What is read from Git and what `fleet` decides about it: revision -> snapshot -> rollout.

Times are seconds since the epoch (float) and enter as `now`; digests are hex SHA-256.
"""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field
from msgspec.structs import force_setattr

from reconciler.errors import printable, prints
from reconciler.model.access import Kubeconfigs
from reconciler.model.backups import Backups, Restores
from reconciler.model.config import Budget, Ceilings, ContentAllow, Defaults, ReviewerRule
from reconciler.model.documents import ClusterProfile, NestedCluster
from reconciler.model.operations import Expiry, Growth, Ran, Slept


class Revision(Struct, frozen=True):
    """One commit of one branch; `dirty` marks a work tree (validate and plan only)."""

    branch: str
    commit: str
    dirty: bool = False

    def __str__(self) -> str:
        return self._shown(self.commit)

    @property
    def short(self) -> str:
        """As people read it: 7 digits of the commit, as Git abbreviates."""
        return self._shown(self.commit[:7])

    def _shown(self, commit: str) -> str:
        form = "sha256" if len(self.commit) == 64 else "sha1"
        return (f"{self.branch}@{form}:{commit}" if commit else "") + ("+dirty" if self.dirty else "")


class Tree(Struct, frozen=True):
    """The files below the source path at one commit, path (relative to it) -> blob oid; `sizes` in bytes by oid.

    Entries that may not be read (symlinks, gitlinks, odd names; S1) are in `violations` instead.
    """

    oid: str
    files: Mapping[str, str]
    sizes: Mapping[str, int]
    violations: tuple["Violation", ...] = ()


class Document(Struct, frozen=True):
    """One YAML document: its file, the 1-based line it starts on, its parsed body and the blob it came from."""

    path: str
    line: int
    body: Mapping[str, Any]
    oid: str


class Violation(Struct, frozen=True, order=True):
    """One mistake in the repository (V3). `subject` is what it can affect (V4): cluster/NAME, profile/NAME@VERSION, or "" for the file."""

    path: str
    line: int
    column: int
    code: str
    message: str
    pointer: str = ""
    hint: str = ""
    subject: str = ""

    def __post_init__(self) -> None:
        """Text from a repository is made printable."""
        for name in ("path", "message", "pointer", "hint", "subject"):
            text = getattr(self, name)
            if not prints(text):
                force_setattr(self, name, printable(text))


class ClusterDocument(Struct, frozen=True):
    """A NestedCluster as accepted from one place; `digest` is of the document alone."""

    cluster: NestedCluster
    path: str
    line: int
    digest: str


class ProfileDocument(Struct, frozen=True):
    """One version of a ClusterProfile; `digest` covers the document and every file its packs name."""

    profile: ClusterProfile
    path: str
    line: int
    digest: str
    files: Mapping[str, tuple[tuple[str, str], ...]]  # pack name -> ((path, oid), ...) it reads, sorted
    contents: Mapping[str, str] = field(
        default_factory=dict
    )  # pack name -> digest of what those files say, free of comments


class Specs(Struct, frozen=True):
    """What one tree of the source says: clusters by name, profiles by (name, version)."""

    clusters: Mapping[str, ClusterDocument]
    profiles: Mapping[tuple[str, str], ProfileDocument]


class Content(Struct, frozen=True):
    """Specs that can be resolved, with their revision."""

    revision: Revision
    specs: Specs


class Snapshot(Struct, frozen=True):
    """One commit, read wholly and validated.

    `oid` is the tree of the source path, `tree` its files (path -> oid), `descends` whether the commit descends from
    the one accepted before (S5). `unread` are the entries outside charts that may not be read: each may hide documents,
    whether it is in `violations` or not. `warnings`: what is probably wrong, and stops nothing. `refused`: the documents of clusters
    that can be read and break a rule, by name; those that cannot be read, or not told apart, are only in `violations`.
    """

    source: str
    revision: Revision
    oid: str
    tree: Mapping[str, str]
    specs: Specs
    violations: tuple[Violation, ...] = ()
    descends: bool = True
    trailers: tuple[tuple[str, str], ...] = ()
    unread: tuple[Violation, ...] = ()
    warnings: tuple[Violation, ...] = ()
    refused: Mapping[str, ClusterDocument] = field(default_factory=dict)

    @property
    def content(self) -> Content:
        return Content(self.revision, self.specs)


# Fleet


class EngineChart(Struct, frozen=True):
    """An engine version the operator allows: chart files as (path, oid), and the image digest, if pinned.

    `problem`: why the chart cannot be used ("" if it can).
    """

    version: str
    digest: str
    files: tuple[tuple[str, str], ...]
    image_digest: str = ""
    problem: str = ""


class Versions(Struct, frozen=True, omit_defaults=True):
    """An engine version and a Kubernetes version, as written (`0.36.1`, `v1.36.0`); "" where not known. `settled`: the cluster was Ready
    since it runs them; only an upgrade of several steps asks for that (O11)."""

    engine: str = ""
    kubernetes: str = ""
    settled: bool = True


NO_VERSIONS = Versions()


class Rules(Struct, frozen=True):
    """What the operator decided, for every host. `engines` is ordered oldest to newest; `grace` and `max_ttl` (0: none) in
    seconds; `ceilings` None: not known, so nothing is judged by them, and likewise `content`; `forges`: the sources whose changes are
    approved on a forge."""

    namespace_pattern: str
    engines: tuple[EngineChart, ...]
    kubernetes_versions: tuple[str, ...]
    defaults: Defaults = field(default_factory=Defaults)
    budget: Budget = field(default_factory=Budget)
    grace: float = 86400.0
    profile_versions: str = "Immutable"
    dns_pattern: str = ""
    ceilings: Ceilings | None = field(default_factory=Ceilings)
    unreviewed: str = "Allow"
    reviewers: tuple[ReviewerRule, ...] = ()
    content: tuple[ContentAllow, ...] | None = None
    max_ttl: float = 0.0
    forges: tuple[str, ...] = ()


class HostFacts(Struct, frozen=True):
    """What is true of one host: its name, the Kubernetes version it runs, and on it the controller's own service account
    (NAMESPACE:NAME, "" where not known) and namespace, and the namespace of Secrets that clusters may share."""

    name: str
    version: str = "v1.36.0"
    account: str = ""
    namespace: str = ""
    share: str = "nidus-shared"


class Tombstone(Struct, frozen=True):
    """A cluster that is no longer in Git (D1), or that `expired` (O6). Nothing is deleted before `due`; `policy` and `protect` are
    those of its accepted spec. `commit`: the revision that removed it, "" where none did."""

    since: float
    due: float
    policy: str
    protect: bool
    done: bool = False
    expired: bool = False
    commit: str = ""


class Brought(Struct, frozen=True):
    """One commit that moved what a cluster would be made of, admitted or not: `tree` is that of the source's path, `was` tells what it
    would have been made of before, "" of a new one. All "" where no commit is known."""

    commit: str = ""
    tree: str = ""
    was: str = ""


class Record(Struct, frozen=True):
    """What is stored of a cluster. `digests`: "spec", "deletion" and "profile/NAME@VERSION" -> digest; `nonce` marks objects we
    made (A3); `versions` are those rolled out last, "" before the first time; `hosts` are the host names it was
    accepted with, sorted; `slept` stands from falling asleep until Ready again; `hooks` is by layer; `inputs` is the digest of
    what `bundle` was made from; `put_back` when what was approved of its removal, its end or a rewrite was used up last, 0 for never: by
    being done, or because its file or an extension called it off. `bundle`, `inputs`, `commit` and `digests` say what was taken up;
    `ready` is the digest of the bundle that a pass last found Ready, "" for none, and once another was taken up or a removal began;
    `brought` are the commits that moved what it would be made of since then (numbers of an earlier release: nothing explains them)."""

    source: str
    cluster: str
    host: str
    path: str
    branch: str
    commit: str
    digests: Mapping[str, str]
    nonce: str
    born: float
    applied: str = ""
    bundle: str = ""
    tombstone: Tombstone | None = None
    versions: Versions = NO_VERSIONS
    hosts: tuple[str, ...] = ()
    slept: Slept | None = None
    expiry: Expiry | None = None
    backups: Backups | None = None
    hooks: Mapping[str, Ran] = field(default_factory=dict)
    restores: Restores | None = None
    inputs: str = ""
    kubeconfigs: Kubeconfigs | None = None
    growth: Growth | None = None
    put_back: float = 0.0
    ready: str = ""
    brought: tuple[Brought | int, ...] = ()


class Request(Struct, frozen=True):
    """Something a human asked for (`inventory.requests.KINDS`), kept as an object; `expires` 0 means never.

    `who` and `created` are the API server's own word, `name` and `uid` the object's. `old`: a ConfigMap of an earlier release. An
    approval that was given on a forge names its `change` request there, and the accounts of the `approvers` (`consent.counts`).
    """

    kind: str
    source: str
    cluster: str
    who: str
    created: float
    expires: float = 0.0
    consent: str = ""
    items: tuple[str, ...] = ()
    reason: str = ""
    name: str = ""
    uid: str = ""
    old: bool = False
    change: int = 0
    approvers: tuple[int, ...] = ()


class Held(Struct, frozen=True):
    """Why something of a cluster waits for a human, and the digest that approves it ("" where it cannot be approved).

    `stalls`: only a commit or the operator can end it, so condition Stalled is True. `waits_for`: the names, of clusters
    or hosts, that other clusters have; once one is free, the cluster may be admitted. `about`: the clusters that the digest concerns,
    where it is of a set that may span several; () where it is of the cluster's own. `end`: why the end of the cluster waits meanwhile,
    "" where it does not (O6).
    """

    reason: str
    message: str
    consent: str = ""
    items: tuple[str, ...] = ()
    stalls: bool = False
    waits_for: frozenset[str] = frozenset()
    about: tuple[str, ...] = ()
    end: str = ""


class Rollout(Struct, frozen=True):
    """What this revision may do over all clusters (AD1).

    `admitted`: cluster -> content to resolve it from, the accepted one where the new is broken (V4); `put_back`: when
    what was approved of a cluster was used up, of those where this revision does that.
    """

    admitted: Mapping[str, Content]
    tombstones: Mapping[str, Tombstone]
    held: Mapping[str, Held]
    next_at: float | None = None
    put_back: Mapping[str, float] = field(default_factory=dict)
