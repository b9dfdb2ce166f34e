"""What a forge of the tests knows: accounts, change requests, comments, reviews, statuses. Times are seconds since the epoch."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

START = float(int(time.time()))


@dataclass(frozen=True)
class Account:
    id: int
    name: str


@dataclass
class Change:
    number: int
    author: Account
    base: str
    heads: list[tuple[float, str]]
    state: str = "open"
    merged: str = ""
    updated: float = 0.0
    fork_of: Account | None = None
    body: str = ""
    agit: bool = False  # pushed to refs/for/BRANCH, as whoever may read a repository of Gitea or Forgejo can

    @property
    def head(self) -> str:
        return self.heads[-1][1]


@dataclass
class Note:
    id: int
    author: Account
    body: str
    at: float
    system: bool = False
    edited: float = 0.0

    @property
    def updated(self) -> float:
        return max(self.at, self.edited)


@dataclass(frozen=True)
class Review:
    by: Account
    verdict: str  # APPROVED, CHANGES_REQUESTED, COMMENTED
    head: str
    at: float


@dataclass(frozen=True)
class Status:
    commit: str
    state: str
    name: str
    told: str


@dataclass
class State:
    """One repository. `may` says who may do what: admin, write, read or none. Each act is one minute after the one before."""

    repository: str = "acme/platform"
    token: str = "t0ken"
    bot: Account = Account(1, "nidus-bot")
    app: Any = None
    page: str = "https://forge.example.com/acme/platform"  # where people look at the repository
    dates_approvals: bool = False  # whether its answer about approvals says when (a newer GitLab)
    tells_merge: bool = True  # whether a pull request says which commit its merge made (GitHub's API before 2026-03-10)
    most: int = 50  # items of a page, as a Gitea is configured
    filters: bool = True  # whether it knows how to list those into one branch alone (older ones of Gitea do not)
    administers: bool = True  # whether our account is an administrator of the repository
    now: float = START
    people: dict[str, Account] = field(default_factory=dict)
    may: dict[str, str] = field(default_factory=dict)
    changes: dict[int, Change] = field(default_factory=dict)
    notes: dict[int, list[Note]] = field(default_factory=dict)
    reviews: dict[int, list[Review]] = field(default_factory=dict)
    statuses: list[Status] = field(default_factory=list)
    reactions: list[tuple[int, str]] = field(default_factory=list)
    ids: itertools.count[int] = field(default_factory=lambda: itertools.count(100))

    def tick(self) -> float:
        self.now += 60.0
        return self.now

    def person(self, name: str, may: str = "write") -> Account:
        if name not in self.people:
            self.people[name] = Account(next(self.ids), name)
            self.may[name] = may
        return self.people[name]

    def account(self, name: str) -> Account | None:
        return self.bot if name == self.bot.name else self.people.get(name)

    def open(self, head: str, author: str = "ada", base: str = "main", fork_of: str = "") -> int:
        number = len(self.changes) + 1
        self.changes[number] = Change(number, self.person(author), base, [(self.tick(), head)], updated=self.now)
        if fork_of:
            self.changes[number].fork_of = self.person(fork_of, "none")
        self.notes[number], self.reviews[number] = [], []
        return number

    def touch(self, number: int) -> float:
        """Something of a change request happens now."""
        self.changes[number].updated = self.tick()
        return self.now

    def pushed(self, number: int, head: str) -> None:
        self.changes[number].heads.append((self.touch(number), head))

    def say(self, number: int, who: str, body: str) -> int:
        author = self.account(who) or self.person(who)
        note = Note(next(self.ids), author, body, self.touch(number))
        self.notes[number].append(note)
        return note.id

    def review(self, number: int, who: str, verdict: str = "APPROVED", head: str = "") -> None:
        made = Review(self.person(who), verdict, head or self.changes[number].head, self.touch(number))
        self.reviews[number].append(made)
        if verdict == "APPROVED":
            note = Note(next(self.ids), made.by, "approved this merge request", made.at, system=True)
            self.notes[number].append(note)

    def close(self, number: int) -> None:
        self.changes[number].state = "closed"
        self.touch(number)

    def merge(self, number: int, commit: str) -> None:
        """Somebody merged it; `commit` is where the branch stands then."""
        self.changes[number].state, self.changes[number].merged = "merged", commit
        self.touch(number)

    def ours(self, number: int) -> list[str]:
        """The comments of the bot."""
        return [note.body for note in self.notes[number] if note.author == self.bot]

    def shown(self, commit: str) -> list[str]:
        """The states that were set on a commit, oldest first."""
        return [one.state for one in self.statuses if one.commit == commit]


def instant(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
