"""What is written to the forge: the comment of a change request, and statuses of commits (B3)."""

from collections.abc import Callable, Mapping, Sequence

from reconciler.controller.opened import Open
from reconciler.errors import NidusError, Stalled, few
from reconciler.forges import Forge
from reconciler.model import Comment, Person, Planned, ReviewConfig
from reconciler.plan import render_change
from reconciler.report import log

STATUS, SYNC = "nidus/plan", "nidus/sync"
STATUSES = 50  # of one head; a forge takes 1,000


class Teller:
    """Writes for one source. `owner` is whose comments they are (NAMESPACE/SOURCE), `salt` seals them, `me` gives the account that writes
    them. Every call may raise what the forge raises."""

    def __init__(self, owner: str, salt: bytes, config: ReviewConfig, forge: Forge, me: Callable[[], Person]) -> None:
        self._owner, self._salt, self._config, self._forge, self._me = owner, salt, config, forge, me

    def tell(self, one: Open, planned: Planned) -> None:
        """The comment where it is another, then the status."""
        if self._config.comment and (one.digest != one.shown or planned.approved != one.told):
            if one.comment:  # somebody may have edited it since the last look: what counts as shown then begins anew
                self.find(one)
            before = one.shown if one.shown != one.digest else ""
            one.wrote(self.comment(one, render_change.render(planned, self._owner, self._key(one), before)))
            one.told = planned.approved
        one.show()
        self.status(one, *render_change.verdict(planned))

    def find(self, one: Open) -> None:
        """Read our comment: by its id, where that is known."""
        number, me = one.change.number, self._me()
        if one.comment:
            known = self._forge.comment(number, one.comment)
            one.recognise([known] if known else [], me, self._owner, self._key(one))
        elif self._config.comment:
            found = self._forge.comments(number, 0.0, one.change.updated).found
            one.recognise(found, me, self._owner, self._key(one))

    def comment(self, one: Open, body: str) -> Comment:
        """Write our comment, a new one where somebody deleted it. Where no answer comes, it may be there: `one` then looks for it before
        it is written again."""
        known, one.updated = one.updated, -1.0
        try:
            found = self._forge.put_comment(one.change.number, body, one.comment)
        except Stalled as error:
            if error.reason != "ForgeMissing" or not one.comment:
                raise
            found = self._forge.put_comment(one.change.number, body)
        one.updated = known
        return found

    def status(self, one: Open, state: str, told: str) -> None:
        """Set the status of the head where it is another: the last of STATUSES is a final one. It counts once the forge has taken it."""
        status, most = (one.change.head, state, told), STATUSES - (state == "pending")
        if not self._config.status or status == one.status or one.statuses >= most:
            return
        self._set(STATUS, one.change.head, state, told)
        one.status, one.statuses = status, one.statuses + 1

    @property
    def follows(self) -> bool:
        """Whether anything is told after a merge."""
        return self._config.status or self._config.comment

    def merged(
        self,
        one: Open,
        found: tuple[str, str],
        stages: Mapping[str, float],
        who: str,
        held: tuple[Sequence[str], Sequence[str]],
    ) -> None:
        """Tell how far a merge is (`found`: a state and words): in the status of its commit, and once it is more than pending on top of our
        comment, where that is there and as we wrote it.
        `stages`, `who`, and `held` by comment or by an operator alone, as `render_change.result` takes them."""
        (state, told), commit = found, one.change.merged
        if self._config.status:
            self._set(SYNC, commit, state, told)
        shown = self._config.comment and one.comment and state != "pending"
        text = render_change.result(commit, told, stages, who, *held)
        ours = self._forge.comment(one.change.number, one.comment) if shown else None
        body = render_change.with_result(ours.body, self._owner, self._key(one), text) if ours else None
        if ours and body is not None and body != ours.body:
            one.edited = self.comment(one, body).edited

    def failed(self, one: Open, error: NidusError) -> None:
        """What could not be done for a change request, in the log."""
        self._log(f"#{one.change.number}", f"{error.reason}: {error.told}")

    def unread(self, told: Sequence[str]) -> None:
        """Why something of the list of open change requests could not be read, in the log."""
        self._log("open change requests", f"{len(told)} not read: {few(sorted(set(told)), 3)}")

    def _key(self, one: Open) -> bytes:
        return render_change.seal(self._salt, self._owner, one.change.number)

    def _log(self, what: str, told: str) -> None:
        log.line("ChangeFailed", source=self._owner, message=f"{what}: {told}")

    def _set(self, name: str, commit: str, state: str, told: str) -> None:
        try:
            self._forge.put_status(commit, state, name, told)
        except Stalled as error:  # GitLab takes no status twice; the comment says all
            self._log(f"{name} of {commit[:12]}", error.told)
