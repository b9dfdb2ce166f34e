"""What people ask for by comments on a change request (B7). Anything else that is written there is ignored."""

import hashlib
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import islice

from reconciler.controller.opened import Open
from reconciler.errors import ApiError, ErrorClass, Stalled
from reconciler.forges import Forge
from reconciler.inventory import requests
from reconciler.model import Comment, Consent, Person, Request, replace
from reconciler.patterns import lazy

FOLLOWED = 20  # commands of one change request that are followed, the newest of those who may write
LASTS = 86400.0  # seconds an approval stands from when it was written, as that of the verb
WRITTEN = 2.0  # seconds within which a comment is written; one that was changed later may be by somebody else
_PLAN = lazy(r"/nidus plan(?: ([0-9a-f]{40}|[0-9a-f]{64}))?", re.ASCII)
_APPROVE = lazy(r"/nidus approve ([0-9a-f]{64})", re.ASCII)


def is_command(body: str) -> bool:
    """Whether a comment asks for something."""
    return any(form.fullmatch(body.strip()) for form in (_PLAN, _APPROVE))


class Commands:
    """Follows comments for one source. `origin` is its name, that of its forge, and what tells the repository from others. `writes` says
    whether an account may write, `offered` which sets a person may approve on a change request now, and the
    accounts that do so together; `ask` stores a request."""

    def __init__(
        self,
        forge: Forge,
        origin: tuple[str, str, str],
        writes: Callable[[Person], bool],
        offered: Callable[[Open, Person], Iterable[tuple[Consent, tuple[int, ...]]]],
        ask: Callable[[Request], object],
    ) -> None:
        self._forge, (self._source, self._provider, self._place) = forge, origin
        self._writes, self._offered, self._ask = writes, offered, ask

    def follow(self, one: Open, comments: list[Comment], now: float) -> None:
        """Do what those ask for who may write, each once, and show them that it was read: what strangers write counts for nothing.
        Raises what the forge raises, and ApiError."""
        new = (each for each in reversed(comments) if each.id > one.heard and is_command(each.body))
        for each in reversed([*islice((each for each in new if self._writes(each.author)), FOLLOWED)]):
            if self._plan(one, each) or self._approve(one, each, now):
                with suppress(Stalled):  # it may be there already
                    self._forge.react(one.change.number, each.id)
        one.heard = max((each.id for each in comments), default=one.heard)

    def _plan(self, one: Open, each: Comment) -> bool:
        """`/nidus plan` makes the plan again; with a commit it also trusts that head, and no other."""
        asked = _PLAN.fullmatch(each.body.strip())
        if asked is None:
            return False
        if asked[1] == one.change.head:  # the whole of it: a short one can be made for another commit too
            one.trusted = one.change.head
        one.again = True
        one.replan.over()
        return True

    def _approve(self, one: Open, each: Comment, now: float) -> bool:
        """`/nidus approve DIGEST` approves what our comment shows, or what is held after the merge: as the verb does, by another person
        than the author. A comment that was edited says nothing, because others may edit it. The whole digest is asked for: the author
        can make two sets whose digests begin alike, and show the other one before this comment is read."""
        asked = _APPROVE.fullmatch(each.body.strip())
        if asked is None or each.author.id == one.change.author.id or each.edited - each.at > WRITTEN:
            return False
        if now >= each.at + LASTS or (one.change.state == "open" and each.at <= one.showing[1]):
            return False  # too old, or written while somebody else may have made our comment say something else
        found = next((given for given in self._offered(one, each.author) if given[0].digest == asked[1]), None)
        if found is None:
            return False
        self._store(replace(self._request(one, each, found[0], now), change=one.change.number, approvers=found[1]))
        return True

    def _request(self, one: Open, each: Comment, consent: Consent, now: float) -> Request:
        """One comment makes one request, however often it is read: its name is that of the comment."""
        name = hashlib.sha256(f"{self._source} {self._place} {each.id}".encode()).hexdigest()[:24]
        told = f"{requests.COMMENTED}{one.change.number}"
        who, ends = f"{self._provider}:{each.author.name}", min(now, each.at) + LASTS
        return Request(
            "approve", self._source, "", who, now, ends, consent.digest, consent.items, told, f"approve-{name}"
        )

    def _store(self, request: Request) -> None:
        try:
            self._ask(request)
        except ApiError as error:
            if error.kind is not ErrorClass.RACED:  # stored by a process that was killed then
                raise
