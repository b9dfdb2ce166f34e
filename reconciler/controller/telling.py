"""What is written to the forge: the comment of a change request, and statuses of commits (B3)."""

from collections.abc import Mapping, Sequence

from reconciler.controller.opened import Open
from reconciler.errors import NidusError, Stalled
from reconciler.forges import Forge
from reconciler.model import Planned, ReviewConfig
from reconciler.plan import render_change
from reconciler.report import log

STATUS, SYNC = "nidus/plan", "nidus/sync"
STATUSES = 50  # of one head; a forge takes 1,000


class Teller:
    """Writes for one source. `owner` is whose comments they are (NAMESPACE/SOURCE). Every call may raise what the forge raises."""

    def __init__(self, owner: str, config: ReviewConfig, forge: Forge) -> None:
        self._owner, self._config, self._forge = owner, config, forge

    def tell(self, one: Open, planned: Planned) -> None:
        """The comment where it is another, then the status."""
        if self._config.comment and (one.digest != one.shown or planned.approved != one.told):
            before = one.shown if one.shown != one.digest else ""
            one.wrote(self.comment(one, render_change.render(planned, self._owner, before)))
            one.told = planned.approved
        one.show()
        self.status(one, *render_change.verdict(planned))

    def comment(self, one: Open, body: str) -> int:
        """Write our comment; its id, which is a new one where somebody deleted it. Where no answer comes, it may be there: `one` then looks
        for it before it is written again."""
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
        self, one: Open, found: tuple[str, str], stages: Mapping[str, float], who: str, held: Sequence[str]
    ) -> None:
        """Tell how far a merge is (`found`: a state and words): in the status of its commit, and once it is more than pending on top of our
        comment, where that is there and as we wrote it. `stages`, `who` and `held` as `render_change.result` takes them."""
        (state, told), commit = found, one.change.merged
        if self._config.status:
            self._set(SYNC, commit, state, told)
        shown = self._config.comment and one.comment and state != "pending"
        text = render_change.result(commit, told, stages, who, held)
        for each in self._forge.comments(one.change.number) if shown else ():
            body = render_change.with_result(each.body, self._owner, text) if each.id == one.comment else None
            if body is not None and body != each.body:
                self.comment(one, body)

    def failed(self, one: Open, error: NidusError) -> None:
        """What could not be done for a change request, in the log."""
        self._log(f"#{one.change.number}", f"{error.reason}: {error.told}")

    def _log(self, what: str, told: str) -> None:
        log.line("ChangeFailed", source=self._owner, message=f"{what}: {told}")

    def _set(self, name: str, commit: str, state: str, told: str) -> None:
        try:
            self._forge.put_status(commit, state, name, told)
        except Stalled as error:  # GitLab takes no status twice; the comment says all
            self._log(f"{name} of {commit[:12]}", error.told)
