"""The APIs of forges: one module and one row in FORGES each. What they answer is checked, bounded, and never followed elsewhere (B9)."""

from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from reconciler.forges import gitea, github, gitlab
from reconciler.forges.answers import Unread as Unread
from reconciler.forges.newest import Comments
from reconciler.forges.transport import beating as beating
from reconciler.model import Approval, ChangeRequest, Comment, ForgeConfig, Person


class Forge(Protocol):
    """One repository on one forge. Every call may raise Stalled (a human must act) or Unavailable (try later)."""

    def me(self) -> Person:
        """The account of the token."""
        ...

    def ref(self, number: int) -> str:
        """The full name of the ref of a change request's head."""
        ...

    def change(self, number: int) -> ChangeRequest:
        """One change request as it is now."""
        ...

    def open_changes(self, branch: str) -> Iterator[ChangeRequest | Unread]:
        """The open ones into `branch`, newest first; Unread in place of each that cannot be read by itself."""
        ...

    def comments(self, number: int, since: float, until: float) -> Comments:
        """The comments that were written or edited `since`, by the forge's clock, 0 for ever, to `until`, when something of it moved last;
        where they are many, the first and the newest."""
        ...

    def comment(self, number: int, known: int) -> Comment | None:
        """One comment by its id; None where it is gone."""
        ...

    def put_comment(self, number: int, body: str, known: int = 0) -> Comment:
        """Write a comment, over the `known` one where there is one. Stalled("ForgeMissing") where that is gone."""
        ...

    def react(self, number: int, comment: int) -> None:
        """Show that a comment was read."""
        ...

    def put_status(self, commit: str, state: str, name: str, told: str) -> None:
        """Set the status `name` of a commit: pending, success or failure."""
        ...

    def can_write(self, who: Person) -> bool:
        """Whether an account may push to the repository."""
        ...

    def approvals(self, change: ChangeRequest) -> tuple[Approval, ...]:
        """The approvals in force, each with the head it was given for, "" where the forge does not say."""
        ...


FORGES: Mapping[str, Callable[[str, str, str, str], Forge]] = {
    "github": github.forge,
    "gitlab": gitlab.forge,
    "gitea": gitea.forge,
    "forgejo": gitea.forge,
}
"""Provider -> what makes its client from the API's address, the repository (owner/name), the files of a token and of CAs."""


def client(config: ForgeConfig) -> Forge:
    """The client of a source's forge."""
    if config.app is not None:
        return github.of_app(config.api, config.repository, config.app, config.ca_file)
    return FORGES[config.provider](config.api, config.repository, config.token_file, config.ca_file)
