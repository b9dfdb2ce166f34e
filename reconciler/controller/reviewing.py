"""Plans one change request: the tree that a merge would give, by the planner that a sync uses (B1, B3, B4)."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

from msgspec import Struct

from reconciler import fleet, review
from reconciler.controller.registry import Registry
from reconciler.errors import Stalled, few
from reconciler.gather import Reader, beating
from reconciler.inventory.reviews import Reviews
from reconciler.model import (
    CONSENTED,
    Bundle,
    ChangeRequest,
    Consent,
    Held,
    Limits,
    Merge,
    Planned,
    Request,
    Review,
    Reviewed,
    Revision,
    Rules,
    Snapshot,
    replace,
)
from reconciler.packs.blobs import Read
from reconciler.plan import consent as consents
from reconciler.plan import declared
from reconciler.source.changes import ChangesMirror
from reconciler.spec import load

FAILING = frozenset({"Degraded", "Held", "Invalid"})


class Waiting(Struct, frozen=True):
    """What waits for an approval, and the change requests that brought it: 0 is what none explains."""

    consent: Consent
    brought: frozenset[int]


class Tools(Struct, frozen=True):
    """What plans need of the controller: `reader` reads for the pass of a bundle, with files by the given reader; `salt` hashes
    values of Secrets; `released` is called with clusters whose deletions were approved with a merge; `word` is that of a
    cluster's last report, with a sentence; `clock` gives seconds since the epoch; `records` is where change requests are
    remembered; `held` gives what waits for an approval of clusters, each with its name, and of the whole source, with ""; `ask` stores
    a request; `stages` gives the times of a commit of the source, where it was told last."""

    registry: Registry
    reader: Callable[[Bundle, Read], Reader]
    salt: bytes
    limits: Limits
    released: Callable[[Collection[str]], None]
    word: Callable[[str], tuple[str, str]]
    clock: Callable[[], float]
    records: Reviews
    held: Callable[[Collection[str]], Iterable[tuple[str, Held]]]
    ask: Callable[[Request], object]
    stages: Callable[[str], Mapping[str, float]]


class Reviewer:
    """Plans the change requests of one source, one at a time. What was read of files is kept from one to the next."""

    def __init__(self, source: str, mirror: ChangesMirror, tools: Tools) -> None:
        self.source, self.mirror, self.records, self._tools = source, mirror, tools.records, tools
        self.salt = tools.salt
        self._known = load.NOTHING
        self._base: tuple[str, Snapshot] | None = None
        self._bases: dict[str, review.Base] = {}

    def begin(self) -> None:
        """A round begins: what change requests are compared with is computed anew, once for all of them."""
        self._bases = {}

    def plan(
        self, change: ChangeRequest, base: Revision, *, trusted: bool, alive: Callable[[], None] = lambda: None
    ) -> Planned:
        """The plan of a change request whose head the mirror holds. Not `trusted`: its documents are compared, nothing of it is
        rendered, and nothing live is read. `alive` is called before each read of a cluster. Raises NidusError."""
        merged = self.mirror.merged(base.commit, change.head)
        if merged.conflicts or not merged.tree:
            return Planned(change, base.commit, conflicts=merged.conflicts or ("?",))
        before = self._snapshot_of(base)
        after = self._snapshot(Revision(f"#{change.number}", change.head), merged.tree)
        planned = self._signed(Planned(change, base.commit, after.oid))
        if not trusted:
            return replace(planned, differences=declared.differences(before.specs, after.specs))
        found = self._reviewed(before, after, alive)
        consent = fleet.consent_of(self._items(found))
        paths = self.mirror.paths(before.oid, after.oid) if before.oid != after.oid else ()
        reviewers = self._tools.registry.rules.reviewers
        return replace(
            planned,
            review=found,
            consent=consent,
            needed=fleet.approvals(reviewers, paths, destroys=bool(consent.items)),
            least=fleet.approvals(reviewers, paths, destroys=True),
            before=self._before(before, after, found),
            settings=declared.settings(before.specs, after.specs),
            root=self.mirror.root,
        )

    def _before(self, base: Snapshot, after: Snapshot, found: Review) -> dict[str, str]:
        """What the clusters that the change speaks of, or names with mistakes, would be made of without it: not where a file that cannot
        be read may hold more of them, which somebody else brought. Of what is held or invalid each commit is noted anyway."""
        broken = fleet.invalid(base)
        names = {*(one.cluster for one in found.clusters), *fleet.invalid(after)}
        seen = {name for name in names if name in broken or not fleet.hides(base, after, name)}
        seen |= {name for name in names if self._compared(base).why(name) is not None}
        return {name: self._asked(base, name, broken) for name in seen}

    def _asked(self, base: Snapshot, name: str, broken: Collection[str]) -> str:
        """What a cluster would be made of by a commit of the branch; those `broken` have mistakes there."""
        known = self._compared(base)
        why = known.why(name)
        return self._tools.registry.asks(name, base, why) if why is not None or name in broken else known.digest(name)

    def rebased(self, known: Planned, base: Revision) -> Planned | None:
        """A plan on a base that moved elsewhere (`moved`): with the tree that a merge gives now, and what its clusters would be made of
        without it; None where it conflicts."""
        tree, snapshot = self.tree(known.change, base), self._snapshot_of(base)
        if not tree:
            return None
        broken = fleet.invalid(snapshot)
        before = {name: self._asked(snapshot, name, broken) for name in {*known.before, *broken}}
        return replace(known, base=base.commit, tree=tree, before=before)

    def _signed(self, planned: Planned) -> Planned:
        """With who signed its head, as the branch is verified (K14). Range asks for a signature of every commit that the merge brings."""
        try:
            return replace(planned, signer=self.mirror.signer(planned.change.head, planned.base))
        except Stalled as error:
            return replace(planned, unsigned=error.message)

    def tree(self, change: ChangeRequest, base: Revision) -> str:
        """The tree of the source's path that a merge would give now, "" where it conflicts."""
        merged = self.mirror.merged(base.commit, change.head)
        return self.mirror.tree(merged.tree).oid if merged.tree else ""

    def moved(self, old: Revision, new: Revision) -> frozenset[str]:
        """The clusters of which two commits of the branch ask something else: all of them, where a file that cannot be read, or with a
        profile that has mistakes, is another one."""
        first, second = self._snapshot_of(old), self._snapshot_of(new)
        if fleet.unclear(first) != fleet.unclear(second):
            return frozenset(
                {*first.specs.clusters, *second.specs.clusters, *fleet.invalid(first), *fleet.invalid(second)}
            )
        return review.moved(self._compared(first), self._compared(second))

    def shown(self, reviews: Iterable[Reviewed]) -> None:
        """All plans that are shown: a commit of the branch with the tree of one is as planned (B5)."""
        self._tools.registry.reviewed(self.source, reviews)

    def explained(self, merge: Merge) -> None:
        """The forge says that a change request was merged as a commit: what was approved of it before may count now."""
        released = self._tools.registry.explained(self.source, merge)
        if released:
            self._tools.released(released)

    def consented(self, commit: str, review: Reviewed, who: str, approvers: tuple[int, ...]) -> bool:
        """A commit merged what was shown and approved by `who`, which are these accounts; whether that commit is known as it was
        shown."""
        now, consent = self._tools.clock(), review.consent
        given = Request("approve", self.source, "", who, now, 0.0, consent.digest, consent.items)
        given = replace(given, change=review.number, approvers=approvers)
        released = self._tools.registry.consented(self.source, commit, review, given)
        if released is not None:
            self._tools.released(released)
        return released is not None

    def held(self, clusters: Collection[str]) -> list[Waiting]:
        """What waits for an approval and concerns clusters of this source alone: of those among `clusters`, and of the source."""
        waits = []
        for name, one in self._tools.held(clusters):
            about = one.about or (name,)
            if one.consent and all(map(self._owns, {*about, name} - {""})):
                waits.append(Waiting(Consent(one.items, one.consent), self.brought(about)))
        return waits

    def brought(self, clusters: Iterable[str]) -> frozenset[int]:
        """The change requests that brought what clusters are to become, since each was Ready last: 0 is what none explains."""
        return self._tools.registry.brought(clusters)

    def _owns(self, cluster: str) -> bool:
        return self._tools.registry.source_of(cluster) == self.source

    def ask(self, request: Request) -> None:
        """Store a request of a person. Raises ApiError, RACED where one of its name is stored."""
        self._tools.ask(request)

    def newest(self) -> str:
        """The commit of the branch that was admitted last, "" where none was yet."""
        return self._tools.registry.newest(self.source)

    def progress(self, commit: str) -> tuple[str, str] | None:
        """How far a commit of the branch is, as a status and its words (B8); None where it is not known (any more)."""
        unready = self._tools.registry.unready(self.source, commit)
        if unready is None:
            return None
        for name in unready:
            word, told = self._tools.word(name)
            if word in FAILING:
                return "failure", f"{name} is {word}: {told}"
        if not unready:
            return "success", "Every cluster that it changed is Ready"
        return "pending", f"Not Ready yet: {few(unready, 3)}"

    def stages(self, commit: str) -> Mapping[str, float]:
        """When a commit was seen and admitted, in seconds since the epoch; nothing where it is not the newest."""
        return self._tools.stages(commit) if commit == self.newest() else {}

    def ruling(self) -> tuple[Rules, tuple[Request, ...]]:
        """What the operator decided and what people asked for: plans depend on both."""
        return self._tools.registry.rules, self._tools.registry.requests()

    def _reviewed(self, before: Snapshot, after: Snapshot, alive: Callable[[], None]) -> Review:
        tools, standing = self._tools, self._standing()
        registry, now = tools.registry, tools.clock()
        given = (standing, registry.rules, registry.facts)
        base = self._compared(before)
        reader = lambda bundle: beating(tools.reader(bundle, self.mirror.read), alive)  # noqa: E731
        found = review.review(after, *given, reader, now, against=base)
        return replace(found, violations=tuple(one for one in found.violations if one not in before.violations))

    def _compared(self, snapshot: Snapshot) -> review.Base:
        """What a commit of the branch means, once a round."""
        commit, registry = snapshot.revision.commit, self._tools.registry
        if commit not in self._bases:
            given = (self._standing(), registry.rules, registry.facts, self._tools.clock())
            self._bases[commit] = review.base(snapshot, *given)
        return self._bases[commit]

    def _standing(self) -> review.Standing:
        registry = self._tools.registry
        accepted, asked = registry.accepted(self.source), registry.requests()
        states = registry.meant(self._tools.clock())
        return review.Standing(states, accepted, asked, self._tools.salt, registry.unreadable())

    def _items(self, found: Review) -> Iterator[str]:
        """All that the plans would destroy or take over, and every removal that begins with them, as people approve it."""
        states = self._tools.registry.meant(self._tools.clock())
        for one in found.clusters:
            record = states[one.cluster].record if one.cluster in states else None
            if one.held is not None:
                yield from one.held.items
            if one.tombstone is not None and record is not None and record.tombstone is None:
                yield fleet.removal_of(record, one.tombstone)
            for change in one.plan.changes if one.plan and not one.tombstone else ():
                would = change.would or change.action
                if would in CONSENTED:
                    yield consents.line(replace(change, action=would))

    def _snapshot_of(self, base: Revision) -> Snapshot:
        if self._base is None or self._base[0] != base.commit:
            self._base = (base.commit, self._snapshot(base, base.commit))
        return self._base[1]

    def _snapshot(self, revision: Revision, tree: str) -> Snapshot:
        """The documents of a tree of the whole repository."""
        registry, files = self._tools.registry, self.mirror.tree(tree)
        accepted, records = registry.accepted(self.source), registry.records().values()
        found, self._known = load.load(
            self.source,
            revision,
            files,
            self.mirror.read(load.wanted(files, self._known)),
            self._known,
            registry.rules,
            registry.facts,
            self._tools.limits,
            accepted=fleet.documents(accepted),
            in_use=fleet.in_use(records, self.source),
            running=registry.running(self.source),
            origins=fleet.profiles(accepted),
        )
        return found
