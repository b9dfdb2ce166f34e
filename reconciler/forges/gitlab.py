"""GitLab's REST API. Source: its documentation, "Merge requests API", "Notes API", "Commits API", "Merge request approvals API"."""

from collections.abc import Iterator
from urllib.parse import quote

import msgspec
from msgspec import Struct

from reconciler.errors import Stalled
from reconciler.forges import newest
from reconciler.forges.answers import Commit, Moment, Name, Page, Unread, page, readable
from reconciler.forges.newest import Comments
from reconciler.forges.transport import Transport
from reconciler.model import Approval, ChangeRequest, ChangeState, Comment, Person

PER_PAGE = ("per_page", 100)
TOLD = 250  # characters of a status
DEVELOPER = 30  # the lowest level that may push
APPROVED = "approved this merge request"
STATES: dict[str, ChangeState] = {"opened": "open", "locked": "open", "merged": "merged"}
STATUS = {"failure": "failed"}


class User(msgspec.Struct):
    id: int
    username: Name

    @property
    def person(self) -> Person:
        return Person(self.id, self.username)


class Merge(msgspec.Struct):
    iid: int
    state: str
    author: User
    sha: Commit | None
    target_branch: Name
    updated_at: Moment
    target_project_id: int
    source_project_id: int | None = None
    merge_commit_sha: Commit | None = None
    squash_commit_sha: Commit | None = None
    web_url: Page = ""

    @property
    def change(self) -> ChangeRequest:
        """A fast-forward merge has no commit of its own: the branch then stands at the squashed commit, or at the head."""
        state, head = STATES.get(self.state, "closed"), self.sha or ""
        merged = self.merge_commit_sha or self.squash_commit_sha or head if state == "merged" else ""
        updated = self.updated_at.timestamp()
        ours = self.source_project_id == self.target_project_id
        return ChangeRequest(
            self.iid,
            self.author.person,
            head,
            self.target_branch,
            state,
            merged,
            updated,
            ours,
            ours,
            self._files(head),
        )

    def _files(self, head: str) -> str:
        shown = page(self.web_url.removesuffix(f"/-/merge_requests/{self.iid}"))
        return f"{shown}/-/blob/{head}/" if shown and head else ""


class Note(msgspec.Struct):
    id: int
    author: User
    created_at: Moment
    updated_at: Moment
    body: str = ""
    system: bool = False

    @property
    def comment(self) -> Comment:
        return Comment(self.id, self.author.person, self.body, self.created_at.timestamp(), self.updated_at.timestamp())


class Member(msgspec.Struct):
    access_level: int
    state: str = "active"


class ApprovedBy(msgspec.Struct):
    """`approved_at`: when it was given (lib/api/entities/approvals.rb of GitLab); older ones do not say."""

    user: User
    approved_at: Moment | None = None


class Approvals(msgspec.Struct):
    approved_by: list[ApprovedBy]


class Version(msgspec.Struct):
    head_commit_sha: Commit
    created_at: Moment


class Gitlab(Struct, frozen=True):
    """One project of GitLab."""

    http: Transport
    repository: str

    def me(self) -> Person:
        return self.http.get(User, "/user").person

    def ref(self, number: int) -> str:
        return f"refs/merge-requests/{number}/head"

    def change(self, number: int) -> ChangeRequest:
        return self.http.get(Merge, self._path(f"merge_requests/{number}")).change

    def open_changes(self, branch: str) -> Iterator[ChangeRequest | Unread]:
        query = {"state": "opened", "target_branch": branch, "order_by": "created_at", "sort": "desc"}
        for one in self.http.pages(Merge, self._path("merge_requests"), PER_PAGE, self.me, **query):
            if isinstance(one, Unread):
                yield one
            elif one.target_branch == branch:
                yield one.change

    def comments(self, number: int, since: float, until: float) -> Comments:
        """The newest first, down to those of before `since`; where that is not reached, also the first of all."""
        path, ended = self._path(f"merge_requests/{number}/notes"), list[bool]()

        def ask(part: tuple[int, int], sort: str = "desc") -> list[Comment | Unread]:
            if any(ended) and sort == "desc":
                return []
            query: dict[str, str | int] = {
                PER_PAGE[0]: part[0],
                "page": part[1],
                "sort": sort,
                "order_by": "created_at",
            }
            notes = readable(self.http.page(path, query).body, Note)
            last = notes[-1] if notes else None
            ended.append(len(notes) < part[0] or (isinstance(last, Note) and last.comment.at < since))
            return [one if isinstance(one, Unread) else one.comment for one in notes if not _is_system(one)]

        size = PER_PAGE[1]
        parts = [(size, page) for page in range(1, newest.PAGES + 1)]
        found, whole = newest.read(parts, ask, lambda part: newest.smaller(part)[::-1])
        if whole and any(ended):
            return newest.of(found, whole=True)
        first, _ = newest.read([(size, 1)], lambda part: ask(part, "asc"), lambda part: newest.smaller(part)[-1:])
        return newest.of([*found, *first], whole=False)

    def comment(self, number: int, known: int) -> Comment | None:
        found = self.http.find(Note, self._path(f"merge_requests/{number}/notes/{known}"))
        return found.comment if found else None

    def put_comment(self, number: int, body: str, known: int = 0) -> Comment:
        path = self._path(f"merge_requests/{number}/notes{f'/{known}' if known else ''}")
        return self.http.made(Note, path, {"body": body}, "PUT" if known else "POST").comment

    def react(self, number: int, comment: int) -> None:
        path = self._path(f"merge_requests/{number}/notes/{comment}/award_emoji")
        self.http.send("POST", path, {"name": "thumbsup"})

    def put_status(self, commit: str, state: str, name: str, told: str) -> None:
        body = {"state": STATUS.get(state, state), "name": name, "description": told[:TOLD]}
        self.http.send("POST", self._path(f"statuses/{commit}"), body)

    def can_write(self, who: Person) -> bool:
        found = self.http.find(Member, self._path(f"members/all/{who.id}"))
        return found is not None and found.state == "active" and found.access_level >= DEVELOPER

    def approvals(self, change: ChangeRequest) -> tuple[Approval, ...]:
        """GitLab does not say for which head somebody approved: it is the newest one that was there before."""
        found = self.http.get(Approvals, self._path(f"merge_requests/{change.number}/approvals")).approved_by
        last = {one.user.id: one.approved_at.timestamp() for one in found if one.approved_at is not None}
        if len(last) < len(found):  # an older GitLab tells when somebody approved in its notes alone
            last = self._approved(change.number, {one.user.id for one in found} - set(last)) | last
        if not last:
            return ()
        heads = sorted((one.created_at.timestamp(), one.head_commit_sha) for one in self._versions(change.number))
        return tuple(
            Approval(one.user.person, _head(heads, last[one.user.id]), last[one.user.id])
            for one in found
            if one.user.id in last
        )

    def _approved(self, number: int, who: set[int]) -> dict[int, float]:
        """When these accounts approved last, by the notes, the newest first: no more are read than it takes."""
        path, found = self._path(f"merge_requests/{number}/notes"), dict[int, float]()
        pages = self.http.pages(Note, path, PER_PAGE, self.me, sort="desc", order_by="created_at") if who else ()
        for one in pages:  # one that cannot be read leaves an approval an earlier time, by which it counts for less
            if isinstance(one, Note) and one.system and one.body == APPROVED and one.author.id in who:
                found.setdefault(one.author.id, one.created_at.timestamp())
                if len(found) == len(who):
                    break
        return found

    def _versions(self, number: int) -> Iterator[Version]:
        """Raises Stalled where one cannot be read: another head would be taken for the one that was approved."""
        for one in self.http.pages(Version, self._path(f"merge_requests/{number}/versions"), PER_PAGE, self.me):
            if isinstance(one, Unread):
                raise Stalled(one.told, reason="ForgeAnswer")
            yield one

    def _path(self, rest: str) -> str:
        return f"/projects/{quote(self.repository, safe='')}/{rest}"


def _is_system(one: Note | Unread) -> bool:
    return isinstance(one, Note) and one.system


def _head(heads: list[tuple[float, str]], at: float) -> str:
    """The head that stood at a time; "" where a head came within the same second: then it is not known which was meant."""
    before = [head for began, head in heads if began < at - 1]
    unclear = any(abs(began - at) <= 1 for began, _ in heads)
    return "" if unclear or not before else before[-1]


def forge(api: str, repository: str, token_file: str, ca_file: str) -> Gitlab:
    """The client of a project on GitLab."""
    return Gitlab(Transport(api, token_file, ca_file, sign=lambda token: {"PRIVATE-TOKEN": token}), repository)
