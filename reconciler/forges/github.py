"""GitHub's REST API. Source: its documentation, "REST API endpoints for pull requests", "issue comments", "commit statuses",
"collaborators"."""

from collections.abc import Iterator
from urllib.parse import quote

import msgspec
from msgspec import Struct

from reconciler.forges import newest
from reconciler.forges.answers import Answer, Commit, Moment, Name, Page, Unread, page, readable
from reconciler.forges.app import AppTokens
from reconciler.forges.newest import Comments
from reconciler.forges.transport import Transport
from reconciler.model import AppConfig, Approval, ChangeRequest, ChangeState, Comment, Person

TOLD = 140  # characters of a status
DECIDES = frozenset({"APPROVED", "CHANGES_REQUESTED", "REQUEST_CHANGES", "DISMISSED"})
MAY_WRITE = frozenset({"admin", "maintain", "write", "owner"})
VERSION = {"X-GitHub-Api-Version": "2022-11-28"}
"""Of the API, whatever becomes GitHub's default: the next one, 2026-03-10, no longer says in a pull request which commit its merge made."""


class User(msgspec.Struct):
    id: int
    login: Name

    @property
    def person(self) -> Person:
        return Person(self.id, self.login)


class Repository(msgspec.Struct):
    id: int
    owner: User
    html_url: Page = ""


class End(msgspec.Struct):
    sha: Commit = ""
    ref: Name = ""
    repo: Repository | None = None


class Pull(msgspec.Struct):
    number: int
    state: str
    user: User | None
    head: End
    base: End
    updated_at: Moment
    merged_at: str | None = None
    merge_commit_sha: Commit | None = None

    def change(self, files: str) -> ChangeRequest:
        state: ChangeState = "merged" if self.merged_at else "open" if self.state == "open" else "closed"
        merged = (self.merge_commit_sha or "") if state == "merged" else ""
        ends, updated = (self.head.sha, self.base.ref), self.updated_at.timestamp()
        return ChangeRequest(
            self.number,
            _person(self.user),
            *ends,
            state,
            merged,
            updated,
            self._ours(),
            self._inside(),
            self._files(files),
        )

    def _inside(self) -> bool:
        """Gitea and Forgejo name the repository itself also where somebody who may only read it has pushed to refs/for/BRANCH (AGit). Such
        a head is no branch: its ref is that of the pull request."""
        head, base = self.head.repo, self.base.repo
        return head is not None and base is not None and head.id == base.id and not self.head.ref.startswith("refs/")

    def _files(self, files: str) -> str:
        """Below the repository it goes into: that shows the heads of forks too."""
        shown = page(self.base.repo.html_url) if self.base.repo else ""
        return f"{shown}/{files}/{self.head.sha}/" if shown and self.head.sha else ""

    def _ours(self) -> bool:
        head, base, user = self.head.repo, self.base.repo, self.user
        if head is None or base is None:
            return False
        return head.id == base.id or (user is not None and head.owner.id == user.id)


class Written(msgspec.Struct):
    id: int
    user: User | None
    created_at: Moment
    updated_at: Moment
    body: str | None = ""

    @property
    def comment(self) -> Comment:
        return Comment(
            self.id, _person(self.user), self.body or "", self.created_at.timestamp(), self.updated_at.timestamp()
        )


class Review(msgspec.Struct):
    user: User | None
    state: str
    commit_id: Commit | None = ""
    submitted_at: Moment | None = None
    dismissed: bool = False


class Event(msgspec.Struct):
    event: str
    commit_id: Commit | None = None


class Permission(msgspec.Struct):
    permission: str


class Dialect(Struct, frozen=True):
    """What forges with nearly the same API call otherwise: `page` the number of items of a page, at most `size`; `base` the branch that
    change requests go into; `newest` what asks for the newest first; `files` what stands before the commit in the address of a file."""

    page: str
    size: int
    base: str
    newest: tuple[tuple[str, str], ...]
    files: str


GITHUB = Dialect("per_page", 100, "base", (("sort", "created"), ("direction", "desc")), "blob")


class Github(Struct, frozen=True):
    """One repository of GitHub, of a GitHub Enterprise server, or of a forge with another `dialect`."""

    http: Transport
    repository: str
    dialect: Dialect = GITHUB
    app: AppTokens | None = None

    def me(self) -> Person:
        if self.app is not None:
            return self.http.get(User, f"/users/{quote(self.app.account(), safe='')}").person
        return self.http.get(User, "/user").person

    def ref(self, number: int) -> str:
        return f"refs/pull/{number}/head"

    def change(self, number: int) -> ChangeRequest:
        pull = self.http.get(Pull, self.path(f"pulls/{number}"))
        if pull.merged_at and not pull.merge_commit_sha:
            pull.merge_commit_sha = self._merged(number)
        return pull.change(self.dialect.files)

    def open_changes(self, branch: str) -> Iterator[ChangeRequest | Unread]:
        query = {"state": "open", self.dialect.base: branch, **dict(self.dialect.newest)}
        for one in self.http.pages(Pull, self.path("pulls"), self._paged, self.me, **query):
            if isinstance(one, Unread):
                yield one
            elif one.base.ref == branch:
                yield one.change(self.dialect.files)

    def comments(self, number: int, since: float, until: float) -> Comments:
        """The list begins with the oldest: its first page says which the last one is."""
        query = {"since": newest.instant(since)} if since else {}
        path, most = self.path(f"issues/{number}/comments"), self.dialect.size

        def ask(part: tuple[int, int]) -> list[Comment | Unread]:
            answer = self.http.page(path, {**query, self.dialect.page: part[0], "page": part[1]})
            found = written(readable(answer.body, Written))
            last.append(answer)
            return found

        last: list[Answer] = []
        sizes = [(size, 1) for size in (most // newest.PARTS, 1)]
        first, whole = newest.read([(most, 1)], ask, lambda part: [sizes.pop(0)] if sizes else [])
        if not last:
            return newest.of((), whole=False)
        size = most if len(sizes) == 2 else most // newest.PARTS if sizes else 1
        pages = -(-last[0].last * size // most)
        begin = max(pages - newest.PAGES, int(size == most))

        def smaller(part: tuple[int, int]) -> list[tuple[int, int]]:
            if not count:
                count.append(self.http.page(path, {**query, self.dialect.page: 1, "page": 1}).last)
            return [(size, page) for size, page in newest.smaller(part) if (page - 1) * size < count[0]]

        count = [last[0].last] if size == 1 else []
        more, rest = newest.read(((most, page) for page in range(pages, begin, -1)), ask, smaller)
        return newest.of([*first, *more], whole=whole and rest and pages - newest.PAGES <= int(size == most))

    def comment(self, number: int, known: int) -> Comment | None:
        found = self.http.find(Written, self.path(f"issues/comments/{known}"))
        return found.comment if found else None

    def put_comment(self, number: int, body: str, known: int = 0) -> Comment:
        path = self.path(f"issues/comments/{known}" if known else f"issues/{number}/comments")
        return self.http.made(Written, path, {"body": body}, "PATCH" if known else "POST").comment

    def react(self, number: int, comment: int) -> None:
        self.http.send("POST", self.path(f"issues/comments/{comment}/reactions"), {"content": "+1"})

    def put_status(self, commit: str, state: str, name: str, told: str) -> None:
        body = {"state": state, "context": name, "description": told[:TOLD]}
        self.http.send("POST", self.path(f"statuses/{commit}"), body)

    def can_write(self, who: Person) -> bool:
        path = self.path(f"collaborators/{quote(who.name, safe='')}/permission")
        found = self.http.find(Permission, path)
        return found is not None and found.permission in MAY_WRITE

    def approvals(self, change: ChangeRequest) -> tuple[Approval, ...]:
        """Of each person the last review that decides something; who only comments afterwards has not changed it. One that cannot be read
        may be anybody's, and take back any approval of before: those count no more."""
        last: dict[int, Review] = {}
        for one in self.http.pages(Review, self.path(f"pulls/{change.number}/reviews"), self._paged, self.me):
            if isinstance(one, Unread):
                last.clear()
            elif one.user is not None and one.state in DECIDES:
                last[one.user.id] = one
        return tuple(
            Approval(one.user.person, one.commit_id or "", one.submitted_at.timestamp())
            for one in last.values()
            if one.user and one.state == "APPROVED" and one.submitted_at and not one.dismissed
        )

    def _merged(self, number: int) -> str:
        """The commit that the merge made, by what happened to the pull request; "" where that is not told."""
        found = self.http.pages(Event, self.path(f"issues/{number}/events"), self._paged, self.me)
        merged = (one for one in found if not isinstance(one, Unread) and one.event == "merged")
        return next((one.commit_id for one in merged if one.commit_id), "")

    @property
    def _paged(self) -> tuple[str, int]:
        return self.dialect.page, self.dialect.size

    def path(self, rest: str) -> str:
        return f"/repos/{quote(self.repository)}/{rest}"


def written(found: list[Written | Unread]) -> list[Comment | Unread]:
    """Comments, as they are read."""
    return [one if isinstance(one, Unread) else one.comment for one in found]


def _person(user: User | None) -> Person:
    """An account that was deleted may have no name any more."""
    return user.person if user else Person(0, "ghost")


def signed(token: str) -> dict[str, str]:
    """The headers of a request to GitHub."""
    return {"Authorization": f"Bearer {token}", **VERSION}


def of_app(api: str, repository: str, app: AppConfig, ca_file: str) -> Github:
    """The client of a repository on GitHub, as an App that is installed there."""
    tokens = AppTokens(api, app, ca_file)
    return Github(Transport(api, "", ca_file, sign=signed, issued=tokens), repository, app=tokens)


def forge(api: str, repository: str, token_file: str, ca_file: str) -> Github:
    """The client of a repository on GitHub."""
    return Github(Transport(api, token_file, ca_file, sign=signed), repository)
