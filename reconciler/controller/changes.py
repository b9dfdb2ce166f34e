"""The open change requests of one source: what merging each would do is kept up to date in one comment and one status of its head
(B3, B4, B9). A thread of its own; no sync waits for it."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial

from reconciler.controller import border
from reconciler.controller.commands import Commands, is_command
from reconciler.controller.failing import Failing
from reconciler.controller.merges import Closed, Merges
from reconciler.controller.opened import Open, current, listed, recalled, renewed
from reconciler.controller.people import Asked, People
from reconciler.controller.planning import ANEW, Planning
from reconciler.controller.reviewing import Reviewer
from reconciler.controller.telling import Teller
from reconciler.errors import LeaseLost, NidusError, Retry, Stalled
from reconciler.forges import Forge, beating
from reconciler.model import ChangeRecord, Consent, Person, Planned, ReviewConfig, Reviewed, Revision
from reconciler.spec import units

COMMENTS = ("comments",)
LISTED = 2000  # change requests of a list that are looked at
AFTER = 20  # merged change requests, the newest, whose comments are read until their clusters are Ready


class Changes:
    """The change requests into `branch`. `owner` is whose comments they are (NAMESPACE/SOURCE), `place` the name of the forge and
    what tells the repository from others; `alive` is called between steps."""

    def __init__(
        self,
        owner: str,
        branch: str,
        config: ReviewConfig,
        forge: Forge,
        place: tuple[str, str],
        reviewer: Reviewer,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._branch, self._config, self._forge, self._reviewer = branch, config, forge, reviewer
        self._clock = clock
        self._lock = threading.Lock()
        self._moved: set[str] = set()
        self._asked = True
        self._listed = self._until = 0.0
        self._open: dict[int, Open] = {}
        self._rest: dict[int, Open] = {}
        self._closing: dict[int, Open] = {}
        self._people = People(forge)
        self._teller = Teller(owner, reviewer.salt, config, forge, self._people.me)
        self._planning = Planning(forge, reviewer, self._people, self._teller, clock)
        self._failing = Failing(forge, self._teller, clock)
        self._merges = Merges(
            reviewer, lambda closed, *found: self._each(closed.one, partial(self._told, closed, *found))
        )
        origin = reviewer.source, *place
        self._commands = Commands(forge, origin, self._people.writes, self._offered, reviewer.ask)
        self._base: Revision | None = None
        self._ruling = reviewer.ruling()
        self._unread: list[str] = []

    @property
    def alive(self) -> Callable[[], None]:
        """Called between steps."""
        return self._planning.alive

    @alive.setter
    def alive(self, beat: Callable[[], None]) -> None:
        self._planning.alive = self._failing.alive = beat

    def moved(self, cluster: str) -> None:
        """An object of a cluster changed. Thread-safe."""
        with self._lock:
            self._moved.add(cluster)

    def asked(self) -> None:
        """The forge says that a change request moved. Thread-safe."""
        with self._lock:
            self._asked = True

    def open(self) -> tuple[Open, ...]:
        """The open change requests that are planned, newest first."""
        return tuple(self._open.values())

    def recall(self, records: Iterable[ChangeRecord]) -> None:
        """Take up what an earlier process knew, before the branch is read: what was shown binds a merge that came meanwhile."""
        for record in records:
            if record.closed:
                self._merges.recall(record)
            else:
                self._open[record.change.number] = recalled(record)
        self._reviewer.shown(self._reviewed())

    def look(self) -> None:
        """One round. Raises Unavailable and Stalled of the forge or of Git: what is left is done by the next round."""
        now = self._clock()
        if now < self._until:
            self._settle()
            return
        with self._lock:
            moved, self._moved = frozenset(self._moved), set()
            asked, self._asked = self._asked, False
        try:
            with beating(self.alive), border.contained("change"):
                self._round(moved, now, asked=asked)
        except LeaseLost:
            raise
        except NidusError as error:
            with self._lock:
                self._moved |= moved
                self._asked = self._asked or asked
            self._until = now + (error.after or 0.0) if isinstance(error, Retry) else now
            self._settle()
            raise

    def _round(self, moved: frozenset[str], now: float, *, asked: bool) -> None:
        self._failing.begin()
        self._planning.begin()
        if asked or now - self._listed >= units.duration(self._config.interval):
            self._list()
            self._listed = now
        self._reviewer.begin()
        self._judge()
        if self._base is not None:
            self._all(self._base, moved)
        if self._listed == now:
            self._after()
        self._settle()  # before the forge is asked again, which may fail
        self._merges.progress(self._clock())
        self._remember()

    def _judge(self) -> None:
        """Other rules, or other requests of people, may make every plan another."""
        before, self._ruling = self._ruling, self._reviewer.ruling()
        if before != self._ruling:
            for one in self._open.values():
                one.again = True

    # What is open

    def _list(self) -> None:
        """Take what the forge lists. What is over `limit` is not planned, and says so: those whose head lies in the repository itself,
        where strangers push nothing, go before all others. The branch is fetched before: it has nothing of what is listed as open."""
        base = self._reviewer.mirror.fetch()
        self._people.anew()
        known, limit = {**self._rest, **self._open}, self._config.limit
        changes, unread = listed(self._forge, self._branch, LISTED)
        if unread and unread != self._unread:
            self._teller.unread(unread)
        self._unread = unread
        found = [renewed(known.get(one.number), one) for one in changes]
        found.sort(key=lambda one: not one.change.inside)
        before, self._open = self._open, {one.change.number: one for one in found[:limit]}
        numbers = {one.change.number for one in found}
        self._closing |= {number: one for number, one in before.items() if number not in numbers}
        self._rest = {one.change.number: one for one in found[limit:]}
        self._reviewer.mirror.keep(self._open.keys())
        self._base = base
        self._planning.anew()
        for one in self._rest.values():
            told = "pending", f"Not planned: more than {limit} change requests are open"
            self._each(one, partial(self._teller.status, one, *told))

    def _all(self, base: Revision, moved: frozenset[str]) -> None:
        for one in self._failing.ordered(self._closing.values()):
            self._each(one, partial(self._close, one))
        for one in self._open.values():
            one.again = one.again or bool(one.touches & moved)
        for one in self._failing.ordered(self._open.values()):
            self._each(one, partial(self._one, one, base))

    def _each(self, one: Open, work: Callable[[], None]) -> bool:
        """Do it unless that is to be let be; whether it was done. Raises what ends a round."""
        return not self._failing.rests(one) and self._failing.contained(one, work)

    def _close(self, one: Open) -> None:
        """It is not listed any more: if it was merged, bind the merge to what was shown and approved."""
        now = current(one, self._forge)
        if now.state == "open" and now.base == self._branch:  # the forge lists more than we look at
            self._open[now.number] = renewed(one, now)
            del self._closing[now.number]
            return
        self._merges.closed(one, self._clock())
        if now.state == "merged" and now.base == self._branch:
            self._teller.find(one)
            who = self._people.approvers(one, now)
            one.change, one.planned = now, None
            self._merges.merged(now.number, who, follow=self._teller.follows and bool(one.touches))
        del self._closing[now.number]

    def _told(self, closed: Closed, state: str, told: str) -> None:
        held = [each.digest for each, _ in self._waits(closed.one)] if state == "failure" else []
        waits = self._reviewer.held(closed.one.touches) if state == "failure" else []
        alone = [each.consent.digest for each in waits if each.consent.digest not in held]
        who = closed.who.partition(", by change request")[0]
        self._teller.merged(closed.one, (state, told), closed.stages, who, (held, alone))

    def _settle(self) -> None:
        """Let the registry know what is shown of every change request, and which merges were approved: whatever ends a round. No forge is
        asked."""
        self._reviewer.shown(self._reviewed())
        self._merges.settle(self._clock())
        self._remember()

    def _reviewed(self) -> list[Reviewed]:
        shown = [one.reviewed for one in (*self._open.values(), *self._closing.values())]
        return [*self._merges.reviews, *(one for one in shown if one is not None)]

    def _remember(self) -> None:
        """Store what another process has to know. Raises ApiError: the next round stores what is left."""
        source = self._reviewer.source
        opened = [one.record(source) for one in (*self._open.values(), *self._closing.values())]
        records = {one.change.number: one for one in (*self._merges.records(source), *opened)}
        for record in records.values():
            self._reviewer.records.save(record)
        self._reviewer.records.keep(source, records.keys())

    def _one(self, one: Open, base: Revision) -> None:
        self._hear(one)
        if self._planning.plan(one, base):
            self._approved(one)
            if one.planned is not None:
                self._tell(one, one.planned)
        self._reviewer.records.save(one.record(self._reviewer.source))

    def _tell(self, one: Open, planned: Planned) -> None:
        """What our comment shows counts from that moment: it may be merged before anything else is done."""
        before = one.reviewed
        try:
            self._teller.tell(one, planned)
        finally:
            if one.reviewed != before:
                self._reviewer.shown(self._reviewed())

    def _approved(self, one: Open) -> None:
        """Who approved it; its plan is told also where that cannot be read, which is tried again when something of it moves."""
        try:
            self._people.look(one, self._clock(), ANEW)
        except NidusError as error:
            if not self._failing.is_unread(error):
                raise
            one.asked, one.asked_at = (one.change.updated, one.digest), self._clock()
            self._teller.failed(one, error)

    # Comments

    def _hear(self, one: Open) -> None:
        """Find our comment, and follow what others ask for, where something of the change request moved. No plan waits for comments that
        cannot be read, or are too many: those are asked for after pauses that grow."""
        now, known = self._clock(), one.change.updated
        old = now - one.heard_at >= ANEW
        if one.updated != known or old:
            self._teller.find(one)
            one.updated = known
        if (one.read < known or old) and not one.deaf.waits(COMMENTS, now):
            try:
                self._follow(one, now)
                one.deaf.over()
            except NidusError as error:
                if not self._failing.is_unread(error):
                    raise
                if not one.deaf.failed:
                    self._teller.failed(one, error)
                one.deaf.fail(COMMENTS, now)
        if old:
            one.heard_at = now

    def _follow(self, one: Open, now: float) -> None:
        me, until = self._people.me(), one.change.updated
        found = self._forge.comments(one.change.number, one.read, until)
        commands = [each for each in found.found if each.author.id != me.id and is_command(each.body)]
        self._commands.follow(one, commands, now)
        one.read = max(one.read, until if found.whole else until + 1.0)  # what was too large is not asked for again
        if not found.whole:
            raise Stalled("it has too many comments, or too long ones: not all were read", reason="ForgeAnswer")

    def _offered(self, one: Open, by: Person) -> Iterable[tuple[Consent, tuple[int, ...]]]:
        """What a comment may approve, and the accounts that approve it so: what ours shows, and after the merge also what is held because
        of it. Where several have to approve, the others have done so on the forge before. This is the answer to who asks: whether it
        counts is asked again where it is used (`consent.counts`)."""
        found = [*self._waits(one)] if one.change.state == "merged" else []
        if one.basis is not None and (one.reviewed is not None or one.change.state == "merged"):
            asked = self._asked_of(one, self._reviewer.brought(one.touches) | {one.change.number})
            found += [(one.basis.review.consent, asked)] if asked is not None else []
        for consent, asked in found:
            people = self._people.together(one, by, asked)
            if people:
                yield consent, people

    def _waits(self, one: Open) -> Iterator[tuple[Consent, Asked]]:
        """What is held because a change request was merged, as it was planned."""
        for each in self._reviewer.held(one.touches):
            asked = self._asked_of(one, each.brought) if one.change.number in each.brought else None
            if asked is not None:
                yield each.consent, asked

    def _asked_of(self, one: Open, numbers: Iterable[int]) -> Asked | None:
        """Who may not approve what these change requests bring together, and how many others have to. None where that is not known:
        something came by no change request, or by one that is forgotten."""
        known = [one if number == one.change.number else self._merges.known(number) for number in numbers]
        asked = [
            (each.change.author.id, each.basis.needed) for each in known if each is not None and each.basis is not None
        ]
        if len(asked) < len(known):
            return None
        return Asked(frozenset(author for author, _ in asked), max(needed for _, needed in asked))

    def _after(self) -> None:
        """Follow what people ask for where a merge is not Ready yet."""
        for one in self._merges.followed()[:AFTER]:
            self._each(one, partial(self._again, one))

    def _again(self, one: Open) -> None:
        one.change = self._forge.change(one.change.number)
        self._hear(one)
