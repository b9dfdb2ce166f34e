"""The API of GitHub, and where it differs that of Gitea and Forgejo, as their documentation has it."""

from __future__ import annotations

import base64
import json
import time
from dataclasses import dataclass, field
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

from tests.forge.state import Account, Change, Note, Review, State, Status, instant
from tests.forge.wire import Asked, Refused, routed

STATES = {
    "github": ("error", "failure", "pending", "success"),
    "gitea": ("error", "failure", "pending", "success", "warning"),
}
LONGEST = {"github": 65_536, "gitea": 1 << 30}
SAME = 1000  # statuses of one commit and context


@dataclass
class App:
    """A GitHub App that is installed: `key` is its public one, `now` the forge's own time, `tokens` those that count."""

    id: str
    installation: int
    key: rsa.RSAPublicKey
    now: float = field(default_factory=time.time)
    tokens: dict[str, float] = field(default_factory=dict)

    def signed(self, header: str) -> None:
        """Checks a JWT as GitHub does."""
        try:
            signed, _, signature = header.removeprefix("Bearer ").rpartition(".")
            self.key.verify(_bytes(signature), signed.encode(), PKCS1v15(), SHA256())
            claims = json.loads(_bytes(signed.partition(".")[2]))
        except (InvalidSignature, ValueError) as error:
            raise Refused(401, "A JSON web token could not be decoded") from error
        if claims["iss"] != self.id or not claims["iat"] <= self.now < claims["exp"] <= self.now + 600:
            raise Refused(401, "'Expiration time' claim ('exp') is too far in the future")

    def issue(self) -> dict[str, str]:
        token = f"ghs_{len(self.tokens)}{'x' * 36}"
        self.tokens[token] = self.now + 3600.0
        return {"token": token, "expires_at": instant(self.tokens[token])}


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _of_app(state: State, app: App, asked: Asked) -> Any:
    """What an App is answered: some addresses take its JWT alone, all others a token of its installation."""
    header = asked.headers.get("authorization", "")
    if asked.path == "/app" or asked.path.startswith("/app/"):
        app.signed(header)
        if asked.path == "/app" and asked.method == "GET":
            return {"id": 5, "slug": state.bot.name}
        if asked.path == f"/app/installations/{app.installation}/access_tokens" and asked.method == "POST":
            return app.issue()
        raise Refused(404, "Not Found")
    if app.tokens.get(header.removeprefix("Bearer "), 0.0) <= app.now:
        raise Refused(401, "Bad credentials")
    if asked.path == "/user":
        raise Refused(403, "Resource not accessible by integration")
    if asked.path == f"/users/{state.bot.name}%5Bbot%5D":
        return _user(state.bot) | {"login": f"{state.bot.name}[bot]"}
    return _answer(state, asked, "github")


def github(state: State, asked: Asked) -> Any:
    if state.app is not None:
        return _of_app(state, state.app, asked)
    if asked.headers.get("authorization") != f"Bearer {state.token}":
        raise Refused(401, "Bad credentials")
    if not asked.headers.get("user-agent"):
        raise Refused(403, "Request forbidden by administrative rules")
    if asked.headers.get("x-github-api-version") != "2022-11-28":
        raise Refused(400, "a client that says no version gets whatever is the default some day")
    return _answer(state, asked, "github")


def gitea(state: State, asked: Asked) -> Any:
    if asked.headers.get("authorization") != f"token {state.token}":
        raise Refused(401, "token is required")
    return _answer(state, asked, "gitea")


def _answer(state: State, asked: Asked, kind: str) -> Any:
    if asked.path == "/user" and asked.method == "GET":
        return _user(state.bot)
    rest = asked.path.removeprefix(f"/repos/{state.repository}/")
    if rest == asked.path:
        raise Refused(404, "Not Found")
    return routed(ROUTES, asked, rest, state, asked, kind)


def _paged(state: State, asked: Asked, kind: str, *allowed: str) -> None:
    if kind == "github":
        asked.paged("per_page", 30, 100, *allowed)
    else:
        asked.paged("limit", min(30, state.most), state.most, *allowed)
        asked.counted = True


def _change(state: State, number: str) -> Change:
    if int(number) not in state.changes:
        raise Refused(404, "Not Found")
    return state.changes[int(number)]


def _note(state: State, comment: str) -> Note:
    for notes in state.notes.values():
        for note in notes:
            if note.id == int(comment) and not note.system:
                return note
    raise Refused(404, "Not Found")


def pulls(state: State, asked: Asked, kind: str) -> Any:
    base, *more = {"github": ("base", "sort", "direction"), "gitea": ("base_branch",)}[kind]
    _paged(state, asked, kind, "state", base, *more)
    if asked.query.get("state", "open") != "open":
        raise Refused(422)
    found = [one for one in state.changes.values() if one.state == "open"]
    if base in asked.query and state.filters:
        found = [one for one in found if one.base == asked.query[base]]
    return [_pull(one, state.page) for one in reversed(found)]


def pull(state: State, asked: Asked, kind: str, number: str) -> Any:
    found = _pull(_change(state, number), state.page)
    return found if state.tells_merge else {key: one for key, one in found.items() if key != "merge_commit_sha"}


def events(state: State, asked: Asked, kind: str, number: str) -> Any:
    """What happened to a change request: a merge with the commit that it made."""
    change = _change(state, number)
    if kind == "gitea":
        raise Refused(404, "Not Found")
    _paged(state, asked, kind)
    made = [{"event": "labeled", "commit_id": None}, {"event": "referenced", "commit_id": "f" * 40}]
    return made + ([{"event": "merged", "commit_id": change.merged}] if change.merged else [])


def comments(state: State, asked: Asked, kind: str, number: str) -> Any:
    _change(state, number)
    if kind == "github":
        _paged(state, asked, kind, "since")
    asked.counted = kind == "gitea"  # which gives all of them, whatever page is asked for
    since, before = asked.query.get("since", ""), asked.query.get("before", "Z")
    notes = [note for note in state.notes[int(number)] if since <= instant(note.updated) <= before]
    return [_comment(note) for note in notes if not note.system]


def comment(state: State, asked: Asked, kind: str, number: str) -> Any:
    _change(state, number)
    asked.only("body")
    note = Note(next(state.ids), state.bot, asked.text("body", LONGEST[kind]), state.touch(int(number)))
    state.notes[int(number)].append(note)
    return _comment(note)


def one_comment(state: State, asked: Asked, kind: str, comment: str) -> Any:
    return _comment(_note(state, comment))


def edit(state: State, asked: Asked, kind: str, comment: str) -> Any:
    note = _note(state, comment)
    asked.only("body")
    if note.author != state.bot:
        raise Refused(403, "Resource not accessible")
    note.body = asked.text("body", LONGEST[kind])
    note.edited = state.tick()
    return _comment(note)


def react(state: State, asked: Asked, kind: str, comment: str) -> Any:
    note = _note(state, comment)
    asked.only("content")
    if asked.text("content", 20) not in ("+1", "-1", "laugh", "confused", "heart", "hooray", "rocket", "eyes"):
        raise Refused(422)
    state.reactions.append((note.id, asked.body["content"]))
    return {"id": next(state.ids), "content": asked.body["content"]}


def reviews(state: State, asked: Asked, kind: str, number: str) -> Any:
    _change(state, number)
    _paged(state, asked, kind)
    asked.linked = kind == "github"  # Gitea only counts them
    return [_review(one, kind) for one in state.reviews[int(number)]]


def status(state: State, asked: Asked, kind: str, commit: str) -> Any:
    asked.only("state", "context", "description", "target_url")
    if asked.text("state", 20) not in STATES[kind]:
        raise Refused(422, "state")
    told = asked.text("description", 140 if kind == "github" else 1 << 16)
    made = Status(commit, asked.body["state"], asked.text("context", 255), told)
    if sum(one.commit == commit and one.name.lower() == made.name.lower() for one in state.statuses) >= SAME:
        raise Refused(422, "This SHA and context has reached the maximum number of statuses.")
    state.statuses.append(made)
    return {"id": next(state.ids), "state": made.state}


def permission(state: State, asked: Asked, kind: str, name: str) -> Any:
    if kind == "gitea" and not state.administers and name.lower() != state.bot.name.lower():
        raise Refused(403, "repo admins can query all repo permissions, collaborators can query only their own")
    account = state.account(name)
    if account is None:
        raise Refused(404, "Not Found")
    return {"permission": state.may.get(name, "none"), "user": _user(account)}


ROUTES: Any = (
    ("GET", r"pulls", pulls),
    ("GET", r"pulls/([0-9]+)", pull),
    ("GET", r"pulls/([0-9]+)/reviews", reviews),
    ("GET", r"issues/([0-9]+)/events", events),
    ("GET", r"issues/([0-9]+)/comments", comments),
    ("POST", r"issues/([0-9]+)/comments", comment),
    ("GET", r"issues/comments/([0-9]+)", one_comment),
    ("PATCH", r"issues/comments/([0-9]+)", edit),
    ("POST", r"issues/comments/([0-9]+)/reactions", react),
    ("POST", r"statuses/([0-9a-f]{40}|[0-9a-f]{64})", status),
    ("GET", r"collaborators/([^/]+)/permission", permission),
)


def _user(account: Account) -> Any:
    return {"id": account.id, "login": account.name, "type": "User"}


def _pull(one: Change, page: str) -> Any:
    return {
        "number": one.number,
        "state": "open" if one.state == "open" else "closed",
        "user": _user(one.author),
        "title": f"Change {one.number}",
        "body": one.body,
        "head": {
            "sha": one.head,
            "ref": f"refs/pull/{one.number}/head" if one.agit else "feature",
            "repo": _repo(one.fork_of),
        },
        "base": {"sha": "0" * 40, "ref": one.base, "repo": _repo(None, page)},
        "updated_at": instant(one.updated),
        "merged_at": instant(one.heads[-1][0]) if one.state == "merged" else None,
        "merge_commit_sha": one.merged or None,
    }


def _repo(owner: Account | None, page: str = "") -> Any:
    owner = owner or Account(2, "acme")
    return {"id": owner.id * 1000, "owner": _user(owner), "html_url": page}


def _comment(note: Note) -> Any:
    return {
        "id": note.id,
        "user": _user(note.author),
        "body": note.body,
        "created_at": instant(note.at),
        "updated_at": instant(note.updated),
    }


def _review(one: Review, kind: str) -> Any:
    words = {"github": {}, "gitea": {"CHANGES_REQUESTED": "REQUEST_CHANGES", "COMMENTED": "COMMENT"}}
    return {
        "id": 1,
        "user": _user(one.by),
        "state": words[kind].get(one.verdict, one.verdict),
        "commit_id": one.head,
        "submitted_at": instant(one.at),
    }
