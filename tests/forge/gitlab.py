"""The API of GitLab, as its documentation has it."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from tests.forge.state import Account, Change, Note, State, Status, instant
from tests.forge.wire import Asked, Refused, routed

LEVELS = {"none": 0, "read": 20, "write": 30, "admin": 50}
LONGEST = 1_000_000


def gitlab(state: State, asked: Asked) -> Any:
    if asked.headers.get("private-token") != state.token:
        raise Refused(401, "401 Unauthorized")
    if asked.path == "/user" and asked.method == "GET":
        return _user(state.bot)
    rest = asked.path.removeprefix(f"/projects/{quote(state.repository, safe='')}/")
    if rest == asked.path:
        raise Refused(404, "404 Project Not Found")
    return routed(ROUTES, asked, rest, state, asked)


def _change(state: State, number: str) -> Change:
    if int(number) not in state.changes:
        raise Refused(404, "404 Not Found")
    return state.changes[int(number)]


def merge_requests(state: State, asked: Asked) -> Any:
    asked.paged("per_page", 20, 100, "state", "target_branch", "order_by", "sort")
    if asked.query.get("state") != "opened" or asked.query.get("order_by", "created_at") not in (
        "created_at",
        "updated_at",
    ):
        raise Refused(400)
    branch = asked.query.get("target_branch")
    found = [one for one in state.changes.values() if one.state == "open" and branch in (None, one.base)]
    return [_merge(one, state.page) for one in reversed(found)]


def merge_request(state: State, asked: Asked, number: str) -> Any:
    return _merge(_change(state, number), state.page)


def versions(state: State, asked: Asked, number: str) -> Any:
    asked.paged("per_page", 20, 100)
    heads = _change(state, number).heads
    return [{"id": 1, "head_commit_sha": sha, "created_at": instant(at)} for at, sha in reversed(heads)]


def approvals(state: State, asked: Asked, number: str) -> Any:
    last = {one.by: one for one in state.reviews[_change(state, number).number] if one.verdict != "COMMENTED"}
    given = [one for one in last.values() if one.verdict == "APPROVED"]
    times = [{"approved_at": instant(one.at)} if state.dates_approvals else {} for one in given]
    return {"approved_by": [{"user": _user(one.by), **at} for one, at in zip(given, times, strict=True)]}


def notes(state: State, asked: Asked, number: str) -> Any:
    asked.paged("per_page", 20, 100, "sort", "order_by")
    found = [_note(note) for note in state.notes[_change(state, number).number]]
    return found if asked.query.get("sort") == "asc" else found[::-1]


def note(state: State, asked: Asked, number: str) -> Any:
    asked.only("body")
    made = Note(next(state.ids), state.bot, asked.text("body", LONGEST), state.touch(int(number)))
    state.notes[_change(state, number).number].append(made)
    return _note(made)


def one_note(state: State, asked: Asked, number: str, comment: str) -> Any:
    return _note(_known(state, number, comment))


def edit(state: State, asked: Asked, number: str, comment: str) -> Any:
    found = _known(state, number, comment)
    asked.only("body")
    if found.author != state.bot:
        raise Refused(403, "403 Forbidden")
    found.body = asked.text("body", LONGEST)
    found.edited = state.tick()
    return _note(found)


def award(state: State, asked: Asked, number: str, comment: str) -> Any:
    found = _known(state, number, comment)
    asked.only("name")
    state.reactions.append((found.id, asked.text("name", 30)))
    return {"id": next(state.ids), "name": asked.body["name"]}


def status(state: State, asked: Asked, commit: str) -> Any:
    """A status that does not change is refused, as its state machine does."""
    asked.only("state", "name", "description", "target_url", "ref", "pipeline_id")
    if asked.text("state", 20) not in ("pending", "running", "success", "failed", "canceled"):
        raise Refused(400)
    made = Status(commit, asked.body["state"], asked.text("name", 255), asked.text("description", 255))
    last = [one.state for one in state.statuses if (one.commit, one.name) == (commit, made.name)]
    if last and last[-1] == made.state == "pending":
        raise Refused(400, "Cannot transition status via :enqueue from :pending")
    state.statuses.append(made)
    return {"id": next(state.ids), "status": made.state}


def member(state: State, asked: Asked, id: str) -> Any:
    for account in state.people.values():
        if account.id == int(id) and LEVELS[state.may[account.name]]:
            return {**_user(account), "access_level": LEVELS[state.may[account.name]]}
    raise Refused(404, "404 Not found")


ROUTES: Any = (
    ("GET", r"merge_requests", merge_requests),
    ("GET", r"merge_requests/([0-9]+)", merge_request),
    ("GET", r"merge_requests/([0-9]+)/versions", versions),
    ("GET", r"merge_requests/([0-9]+)/approvals", approvals),
    ("GET", r"merge_requests/([0-9]+)/notes", notes),
    ("POST", r"merge_requests/([0-9]+)/notes", note),
    ("GET", r"merge_requests/([0-9]+)/notes/([0-9]+)", one_note),
    ("PUT", r"merge_requests/([0-9]+)/notes/([0-9]+)", edit),
    ("POST", r"merge_requests/([0-9]+)/notes/([0-9]+)/award_emoji", award),
    ("POST", r"statuses/([0-9a-f]{40}|[0-9a-f]{64})", status),
    ("GET", r"members/all/([0-9]+)", member),
)


def _known(state: State, number: str, comment: str) -> Note:
    for found in state.notes[_change(state, number).number]:
        if found.id == int(comment) and not found.system:
            return found
    raise Refused(404, "404 Not Found")


def _user(account: Account) -> Any:
    return {"id": account.id, "username": account.name, "state": "active"}


def _merge(one: Change, page: str) -> Any:
    merged = one.state == "merged"
    return {
        "iid": one.number,
        "state": {"open": "opened"}.get(one.state, one.state),
        "author": _user(one.author),
        "target_project_id": 7,
        "source_project_id": 8 if one.fork_of else 7,
        "sha": one.head,
        "target_branch": one.base,
        "updated_at": instant(one.updated),
        "merge_commit_sha": one.merged if merged and one.merged != one.head else None,
        "squash_commit_sha": None,
        "web_url": f"{page}/-/merge_requests/{one.number}",
    }


def _note(note: Note) -> Any:
    return {
        "id": note.id,
        "author": _user(note.author),
        "body": note.body,
        "created_at": instant(note.at),
        "updated_at": instant(note.updated),
        "system": note.system,
    }
