"""Gitea's and Forgejo's REST API, which is close to GitHub's. Source: their API documentation (/api/swagger)."""

from itertools import pairwise

from reconciler.forges import newest
from reconciler.forges.answers import Unread, readable
from reconciler.forges.github import Dialect, Github, Written, written
from reconciler.forges.newest import Comments
from reconciler.forges.transport import Transport
from reconciler.model import Comment

PAGE = 50  # what a server gives at most, unless it is configured otherwise
GITEA = Dialect("limit", PAGE, "base_branch", (), "src/commit")  # the newest come first where nothing is asked for
BACK = (
    60,
    3600,
    86400,
)  # seconds before the newest that comments are asked for apart, where they are too many for one answer
Span = tuple[float, float]  # both ends are of it


class Gitea(Github, frozen=True):
    """One repository of Gitea or Forgejo. Its list of comments has no pages: where it is too large, it is asked for by times,
    down to those of one second."""

    def comments(self, number: int, since: float, until: float) -> Comments:
        def ask(span: Span) -> list[Comment | Unread]:
            query = {"since": newest.instant(span[0])} if span[0] else {}
            query |= {"before": newest.instant(span[1])} if span[1] < until else {}
            found = self.http.page(self.path(f"issues/{number}/comments"), query)
            return written(readable(found.body, Written))

        def split(span: Span) -> list[Span]:
            low, high = map(int, span)
            ends = [high, *(high - back for back in BACK if span == (since, until) and high - back > low), low]
            if len(ends) > 2:
                return [(after, before) for before, after in pairwise(ends)]
            middle = (low + high + 1) // 2
            return [(middle, high), (low, middle - 1)] if high > low else []

        found, whole = newest.read([(since, until)], ask, split)
        return newest.of(found, whole=whole)


def forge(api: str, repository: str, token_file: str, ca_file: str) -> Gitea:
    """The client of a repository on Gitea or Forgejo."""
    transport = Transport(api, token_file, ca_file, sign=lambda token: {"Authorization": f"token {token}"})
    return Gitea(transport, repository, GITEA)
