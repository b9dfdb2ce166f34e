"""Change requests of a forge: pull requests of GitHub, Gitea and Forgejo, merge requests of GitLab."""

from dataclasses import dataclass
from typing import Literal

ChangeState = Literal["open", "closed", "merged"]


@dataclass(frozen=True, slots=True)
class Person:
    """An account of the forge. `id` never changes; `name` is for people, and may."""

    id: int
    name: str


@dataclass(frozen=True, slots=True)
class ChangeRequest:
    """One change request as the forge says it is. `head` is a commit, `base` the branch it is to be merged into.

    `merged` is the commit on that branch which merged it, "" where it is not merged or the forge does not say; `updated` when
    anything of it changed last, its comments included (seconds since the epoch).
    """

    number: int
    author: Person
    head: str
    base: str
    state: ChangeState
    merged: str = ""
    updated: float = 0.0


@dataclass(frozen=True, slots=True)
class Comment:
    """One comment on a change request; `at` when it was written, in seconds since the epoch."""

    id: int
    author: Person
    body: str
    at: float


@dataclass(frozen=True, slots=True)
class Approval:
    """Somebody's approval of a change request, given for commit `head` at `at` seconds since the epoch."""

    by: Person
    head: str
    at: float
