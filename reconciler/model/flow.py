"""What one pass over one cluster works with, in the order of the flow: bundle -> desired -> observed -> plan -> results.

`Object` is a Kubernetes object as parsed JSON, never changed in place.
"""

from collections.abc import Mapping
from operator import attrgetter
from typing import Any, Literal, NamedTuple

from msgspec import Struct, field

from reconciler.model.documents import Check, IgnoreRule
from reconciler.model.fleet import NO_VERSIONS, ClusterDocument, Held, Revision, Tombstone, Versions

Object = Mapping[str, Any]
Action = Literal["create", "configure", "replace", "delete", "adopt", "hold", "skip", "unchanged"]
Outcome = Literal[
    "created",
    "configured",
    "replaced",
    "deleted",
    "deleting",
    "adopted",
    "unchanged",
    "held",
    "skipped",
    "failed",
    "waiting",
]
Role = Literal["namespace", "policies", "engine", "namespaces", "access", "pack", "leaving"]
EntryState = Literal["intended", "owned", "claimed", "deleting", "retained"]
GUARDS: frozenset[str] = frozenset({"namespace", "policies"})  # roles of the layers that guard a tenant
DESTRUCTIVE: frozenset[str] = frozenset({"delete", "replace"})
CONSENTED: frozenset[str] = DESTRUCTIVE | {"adopt"}
MISSING = "(none)"
TENANTS = "Asleep"  # the reason of the deletion of a tenant's pod whose cluster sleeps
PRUNING_WAITS = "PruningWaits"  # the reason of a deletion that waits for a layer or an object; the error names it
UNPROVEN = "NotProvenGone"  # of an object of a removed cluster that cannot be read, and so is not known to be gone


class Target(Struct, frozen=True, order=True):
    """Where objects live: the host, or one nested cluster on it (by name)."""

    host: str
    nested: str = ""

    def __str__(self) -> str:
        return f"{self.host}/{self.nested}" if self.nested else self.host


class ObjectRef(Struct, frozen=True, order=True):
    """Names one object, whatever version it is read at; `namespace` is "" for cluster-scoped kinds."""

    group: str
    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        kind = f"{self.kind}.{self.group}" if self.group else self.kind
        return f"{kind}/{self.namespace}/{self.name}" if self.namespace else f"{kind}/{self.name}"


class Layer(Struct, frozen=True, omit_defaults=True):
    """A pack resolved for one cluster. `spec` holds the kind's own parameters with variables filled in; `files` (path, oid) pairs the
    render reads; `context` what `${{ }}` means in those files. `digest` covers all of it and nothing of the revision; `role` says
    what it is for the cluster: the three host layers, the namespaces inside, a pack, or one that leaves with hooks to run. Defaults are
    left out of the digest: hooks run anew where it changes, and a new field must not do that."""

    name: str
    target: Target
    kind: str
    spec: Mapping[str, Any]
    digest: str
    files: tuple[tuple[str, str], ...] = ()
    context: Mapping[str, Any] = field(default_factory=dict)
    namespace: str = ""
    depends_on: tuple[str, ...] = ()
    gates: tuple[Check, ...] = ()
    timeout: float = 300.0
    drift: str = "correct"
    ignore: tuple[IgnoreRule, ...] = ()
    prune: bool = True
    role: Role = "pack"


class Bundle(Struct, frozen=True):
    """What one nested cluster should be, before rendering. Layers are in dependency order: a layer stands after all it depends on.
    `versions` are those its engine layer asks for, "" of a cluster that is being removed; `inputs` the digest of all it was made from, ""
    where nobody asked for it. `ahead`: the versions that follow them, a step each (O11)."""

    cluster: str
    namespace: str
    revision: Revision
    layers: tuple[Layer, ...]
    digest: str
    document: ClusterDocument | None = None
    tombstone: Tombstone | None = None
    suspend: str = ""
    versions: Versions = NO_VERSIONS
    inputs: str = ""
    ahead: tuple[Versions, ...] = ()


# Plan


class Desired(Struct, frozen=True):
    """A layer rendered: the objects it wants. `unplaced`: those of kinds whose scope is not known yet; they wait
    (A2). `hooks`: what its chart wants to run before and after (K7)."""

    layer: Layer
    objects: tuple[Object, ...]
    unplaced: tuple[Object, ...] = ()
    hooks: tuple[Object, ...] = ()


class Observed(Struct, frozen=True):
    """One object as it is. `live` None = a GET said 404 (or `unknown` says why it could not be read); `merged` = the
    server's dry-run answer; `refused` = why the dry-run was refused ("" if it was not), `immutable` that it was refused
    as a change of an immutable field; `unserved` = which versions the server serves instead of the desired one, in which it
    cannot be compared. `coming`: its kind or version was not served when it was read. `foreign`: a host object the engine
    made, ours only by a UID in the inventory (R4). `driven`: the autoscaler or manager that sets its replicas, "" where none does (A1)."""

    target: Target
    ref: ObjectRef
    live: Object | None
    merged: Object | None = None
    unknown: str = ""
    refused: str = ""
    immutable: bool = False
    unserved: str = ""
    coming: bool = False
    foreign: bool = False
    driven: str = ""

    @property
    def uid(self) -> str:
        return str(self.live["metadata"].get("uid", "")) if self.live else ""


class InventoryEntry(Struct, frozen=True):
    """One object we made or are about to make (A3); `fields` are those of our last confirmed apply, sorted; `once` marks a Job
    that is removed when it has ended (`plan.once`), or a Secret that is about to be made (`plan.frozen.proof`)."""

    target: Target
    ref: ObjectRef
    layer: str
    uid: str
    state: EntryState
    fields: tuple[str, ...] = ()
    once: str = ""


class FieldChange(Struct, frozen=True):
    """One field, before and after, as JSON values already redacted (P5); a missing side is `model.MISSING`."""

    path: str
    before: Any
    after: Any


class Owner(NamedTuple):
    """Who last wrote a field: operation is Apply or Update, `time` as the server prints it ("" where it does not)."""

    name: str
    operation: str
    subresource: str
    time: str


class Change(Struct, frozen=True, eq=False):
    """What a pass does to one object, and why: `reason` is one word, `detail` what it does not say. `would`: what a held change
    would do; `by`: who made the differences on the live side; `flags`: what else to know, only to be printed.

    `desired` is the object to send for create, configure, adopt and replace; `strays` are the paths whose ownership has to be
    taken first, so that sending the object removes them; `after` are objects to be deleted that hold an allocation this one needs;
    they are deleted before it where the server requires that. `guard`: it guards a tenant, and is put back every time.
    `hook`: the event that the object is a hook of; `turn`: when, among a layer's hooks, before (< 0) or after (> 0) its objects;
    `ran`: a run of a hook of ours made the object that goes. Two that differ in `desired` alone are equal.
    """

    action: Action
    target: Target
    ref: ObjectRef
    layer: str
    uid: str = ""
    fields: tuple[FieldChange, ...] = ()
    reason: str = ""
    detail: str = ""
    would: Action | None = None
    by: tuple[Owner, ...] = ()
    flags: tuple[str, ...] = ()
    desired: Object | None = None
    strays: tuple[str, ...] = ()
    after: tuple[tuple[Target, ObjectRef], ...] = ()
    guard: bool = False
    hook: str = ""
    turn: int = 0
    ran: bool = False

    @property
    def why(self) -> str:
        """The reason as it is told."""
        return f"{self.reason}: {self.detail}" if self.detail else self.reason

    @property
    def remarks(self) -> tuple[str, ...]:
        """What else is told of it."""
        return (f"would {self.would}", *self.flags) if self.would else self.flags

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Change) and _change(self) == _change(other)

    def __hash__(self) -> int:
        return hash(_change(self))

    def __repr__(self) -> str:
        """Without what is sent."""
        return f"Change({self.action}, {self.target} {self.ref}, {self.layer}, {self.why or self.would})"


_change = attrgetter(*(name for name in Change.__struct_fields__ if name != "desired"))


class Consent(Struct, frozen=True):
    """The destructive part of a plan (P7): "target ref uid action" lines, sorted, and their digest."""

    items: tuple[str, ...] = ()
    digest: str = ""


class Plan(Struct, frozen=True):
    """The difference of one cluster, in apply order. `unknown`: layers that could not be planned yet, with the reason
    (P6); `steps`: the versions of an upgrade of several steps, that which runs first (O11); `waits`: why the engine's layer is not
    applied yet; `removed`: objects of API versions that are served no more."""

    cluster: str
    revision: Revision
    changes: tuple[Change, ...]
    consent: Consent = Consent()
    unknown: Mapping[str, str] = field(default_factory=dict)
    steps: tuple[str, ...] = ()
    waits: str = ""
    removed: tuple[str, ...] = ()


class Destructive(Struct, frozen=True):
    """What one cluster of a revision wants to delete or replace (AD3). `consent` may also hold what it takes over, `refs` does not.
    `size` is its inventory's length."""

    cluster: str
    consent: Consent
    refs: tuple[ObjectRef, ...]
    size: int


class Permit(Struct, frozen=True):
    """The consent digests that are permitted, and why the others wait."""

    released: frozenset[str] = frozenset()
    held: Mapping[str, Held] = field(default_factory=dict)


# Results


class Result(Struct, frozen=True, eq=False):
    """What happened to one change. `live` is the server's answer, `fields` the field set it confirmed as ours. Two results that differ in
    `live` alone are equal."""

    change: Change
    outcome: Outcome
    uid: str = ""
    fields: tuple[str, ...] = ()
    error: str = ""
    reason: str = ""
    stalls: bool = False
    live: Object | None = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Result) and _result(self) == _result(other)

    def __hash__(self) -> int:
        return hash(_result(self))

    def __repr__(self) -> str:
        """Without what the server answered."""
        return f"Result({self.change}, {self.outcome}, {self.error})"


_result = attrgetter(*(name for name in Result.__struct_fields__ if name != "live"))
