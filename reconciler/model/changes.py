"""Change requests of a forge: pull requests of GitHub, Gitea and Forgejo, merge requests of GitLab."""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct, field

from reconciler.model.flow import Action, Consent, FieldChange
from reconciler.model.reviews import Review

ChangeState = Literal["open", "closed", "merged"]


class Person(Struct, frozen=True):
    """An account of the forge. `id` never changes; `name` is for people, and may."""

    id: int
    name: str


class ChangeRequest(Struct, frozen=True):
    """One change request as the forge says it is. `head` is a commit, `base` the branch it is to be merged into.

    `merged` is the commit on that branch which merged it, "" where it is not merged or the forge does not say; `updated` when
    anything of it changed last, its comments included (seconds since the epoch). `ours`: the head lies in the repository itself or
    in a fork of its author; `inside`: in the repository itself, where only those push who may write. `files` is the address below
    which the forge shows the files of the head, "" where it does not say.
    """

    number: int
    author: Person
    head: str
    base: str
    state: ChangeState
    merged: str = ""
    updated: float = 0.0
    ours: bool = True
    inside: bool = True
    files: str = ""


class Comment(Struct, frozen=True):
    """One comment on a change request; `at` when it was written, `edited` when last, in seconds since the epoch."""

    id: int
    author: Person
    body: str
    at: float
    edited: float


class Approval(Struct, frozen=True):
    """Somebody's approval of a change request, given for commit `head` at `at` seconds since the epoch."""

    by: Person
    head: str
    at: float


class Difference(Struct, frozen=True):
    """What documents say of one cluster or profile, before and after; `action` is create, configure or delete."""

    action: Action
    kind: str
    name: str
    path: str
    line: int
    fields: tuple[FieldChange, ...] = ()


class Planned(Struct, frozen=True):
    """What is known of a change request: merging its head into `base` (a commit) would give `tree` (of the source's path).

    `review` None: it was not planned, because of `conflicts` (files) or a `problem`, or because its author may not write
    (`differences` of its documents then); `consent` is all that the plans of all clusters would destroy or take over; `needed` is
    how many people have to approve it, `approved` who did, by name; `settings` are the versions and
    quotas of clusters that differ, and `root` is the source's path in the repository; `before`: the digest of the bundle that each of its
    clusters has in `base`, "" of a new one, and of what is held or invalid there what `fleet.asks` says; `least` as in Reviewed. Where
    the source verifies commits (K14), `signer` signed the head, or `unsigned` says why a merge of it as it is would not be admitted.
    """

    change: ChangeRequest
    base: str
    tree: str = ""
    review: Review | None = None
    conflicts: tuple[str, ...] = ()
    problem: str = ""
    differences: tuple[Difference, ...] = ()
    consent: Consent = field(default_factory=Consent)
    needed: int = 0
    approved: tuple[str, ...] = ()
    settings: tuple[Difference, ...] = ()
    root: str = ""
    signer: str = ""
    unsigned: str = ""
    before: Mapping[str, str] = field(default_factory=dict)
    least: int = 1


class Reviewed(Struct, frozen=True):
    """The plan of a change request as it was shown: merging it gives `tree` (of the source's path), and would destroy or take over
    what is in `consent`; `before` as in Planned; `least` people have to approve what it brings, were it to destroy something."""

    number: int
    tree: str
    consent: Consent
    before: Mapping[str, str] = field(default_factory=dict)
    least: int = 1


class Merge(Struct, frozen=True):
    """A change request that its forge says was merged as `commit`: `review` is what was shown of it, `author` the account that opened
    it, and `needed` people have to approve what it brought."""

    number: int
    author: int
    needed: int
    commit: str
    review: Reviewed


class Basis(Struct, frozen=True):
    """What was planned and shown of a change request: its `head` merged into `base` (a commit), in a comment that shows the plan
    `digest`; it speaks of `clusters`, and `needed` people have to approve it."""

    head: str
    base: str
    digest: str
    review: Reviewed
    clusters: tuple[str, ...] = ()
    needed: int = 1


class ChangeRecord(Struct, frozen=True):
    """What is durably known of one change request of a source.

    `consent` is what its comment shows `since` that time, by the forge's clock, None where that is not known yet. `trusted` is the
    head that somebody who may write asked a plan for, `heard` the id of the last comment that was followed, `statuses` how many its
    head has and `status` the last one. `closed` is when it was seen closed, 0 while it is open. `who` approved what it showed, "" where
    nobody did, and `by` are the ids of their accounts; that was `handed` to its merge, and is `used` up once the branch has moved on.
    `followed`: nidus/sync is told of its merge. `approved` are the names that the comment shows; `stages` when its merge was seen,
    admitted and Ready. `comment` is the id of ours, written last at `edited`, and up to `read` all comments were read, by the forge's
    clock. Times in seconds since the epoch.
    """

    source: str
    change: ChangeRequest
    basis: Basis | None = None
    consent: str = ""
    since: float | None = None
    trusted: str = ""
    heard: int = 0
    statuses: int = 0
    status: tuple[str, str, str] = ("", "", "")
    closed: float = 0.0
    who: str = ""
    handed: bool = False
    used: bool = False
    followed: bool = False
    approved: tuple[str, ...] = ()
    stages: Mapping[str, float] = field(default_factory=dict)
    comment: int = 0
    edited: float | None = None
    read: float = 0.0
    by: tuple[int, ...] = ()
