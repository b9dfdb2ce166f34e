"""Gitea's and Forgejo's REST API, which is close to GitHub's. Source: their API documentation (/api/swagger)."""

from collections.abc import Iterator
from itertools import pairwise

from reconciler.forges import newest
from reconciler.forges.github import Dialect, Github, Written
from reconciler.forges.newest import Comments
from reconciler.forges.transport import Transport
from reconciler.model import Comment

PAGE = 50  # what a server gives at most, unless it is configured otherwise
GITEA = Dialect("limit", PAGE, "base_branch", (), "src/commit")  # the newest come first where nothing is asked for
BACK = (
    60.0,
    3600.0,
    86400.0,
)  # seconds before the newest that comments are asked for apart, where they are too many for one answer
Span = tuple[float, float]


class Gitea(Github, frozen=True):
    """One repository of Gitea or Forgejo. Its list of comments has no pages: where it is too large, it is asked for by times."""

    def comments(self, number: int, since: float, until: float) -> Comments:
        def ask(span: Span) -> Iterator[Comment]:
            query = {"since": newest.instant(span[0])} if span[0] else {}
            query |= {"before": newest.instant(span[1])} if span[1] < until else {}
            found = self.http.get(list[Written], self.path(f"issues/{number}/comments"), **query)
            return (one.comment for one in found)

        def split(span: Span) -> list[Span]:
            low, high = span
            if span == (since, until):
                ends = [high, *(high - back for back in BACK if high - back > low), low]
                return [(after, before) for before, after in pairwise(ends)] if len(ends) > 2 else []
            middle = (low + high) // 2
            return [(middle, high), (low, middle)] if high - low > 2 else []

        found, whole = newest.read([(since, until)], ask, split)
        return newest.of(found, whole=whole)


def forge(api: str, repository: str, token_file: str, ca_file: str) -> Gitea:
    """The client of a repository on Gitea or Forgejo."""
    transport = Transport(api, token_file, ca_file, sign=lambda token: {"Authorization": f"token {token}"})
    return Gitea(transport, repository, GITEA)
