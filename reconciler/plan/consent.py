"""The destructive part of a plan, as a set people approve (P7): free of commit ids and values."""

import hashlib
import json
from collections.abc import Collection, Iterable, Sequence

from reconciler.model import DESTRUCTIVE, TENANTS, Change, Consent, Held, Merge, ObjectRef, Request, replace
from reconciler.plan import leaving

PRECIOUS = frozenset({"CustomResourceDefinition", "Namespace", "PersistentVolume", "PersistentVolumeClaim"})


def of(changes: Iterable[Change], actions: frozenset[str] = DESTRUCTIVE) -> Consent:
    """The consent a plan needs: one line "target ref uid action" per change of these actions, sorted, and their SHA-256 in hex;
    an empty set has an empty digest."""
    items = tuple(sorted(line(one) for one in changes if one.action in actions and needed(one)))
    return Consent(items, digest(items))


def needed(change: Change) -> bool:
    """Whether a change that destroys needs a consent. Pods that go because their cluster sleeps need none: the engine makes them
    again (O3). What a run of a chart's hook made goes by the chart's own word (K7), unless it may hold data or other objects; what
    was no hook before goes like any other."""
    return change.reason != TENANTS and (not change.ran or change.ref.kind in PRECIOUS)


def destroyed(changes: Iterable[Change]) -> tuple[ObjectRef, ...]:
    """What counts for a cluster's budget: the objects that changes with a need of consent delete or replace, but for what we keep of
    hooks ourselves."""
    return tuple(
        one.ref for one in changes if one.action in DESTRUCTIVE and needed(one) and not leaving.is_kept(one.ref)
    )


def line(change: Change) -> str:
    """One change as approved. Names of roles may hold line breaks: written out they would read like another set."""
    text = f"{change.target} {change.ref} {change.uid} {change.action}"
    return text if text.isprintable() else json.dumps(text)


def digest(items: Iterable[str]) -> str:
    """The digest of sorted lines, "" of none."""
    body = "\n".join(sorted(items))
    return hashlib.sha256(body.encode()).hexdigest() if body else ""


def within(consent: Consent, approved_items: Iterable[str]) -> bool:
    """Whether everything to be destroyed was approved."""
    return frozenset(consent.items) <= frozenset(approved_items)


def approved(consent: Consent, requests: Sequence[Request], now: float, clusters: Collection[str], source: str) -> bool:
    """Whether a set is within what a request approved that stands at `now`, in seconds.

    `clusters` are those that the set concerns, and `source` is the one they are of, "" where the set concerns another source too. A
    request that names a cluster approves nothing of another: whoever may approve for one cluster has no say in a set that spans
    several. One that names a source, as each does that comes from its forge, approves nothing of another source. One of a forge counts
    where `counted` made an operator's of it, and nowhere else.
    """
    return any(
        stands(one, now)
        and not one.change
        and (not one.source or one.source == source)
        and (not one.cluster or set(clusters) == {one.cluster})
        and (one.consent == consent.digest or within(consent, one.items))
        for one in requests
    )


def counts(request: Request, brought: Collection[Merge | None]) -> bool:
    """Whether an approval counts for clusters, by what `brought` what they would be made of now (B5, B7): None is what no change request
    explains, and then none of a forge counts. It counts where it was given on one of these change requests, by as many people as any
    of them asks for, who opened none of them. One of an operator counts whatever brought it."""
    if not request.change:
        return True
    known = [one for one in brought if one is not None]
    if len(known) < len(brought) or request.change not in {one.number for one in known}:
        return False
    others = {*request.approvers} - {one.author for one in known}
    return len(others) >= max(1, *(one.needed for one in known))


def counted(requests: Iterable[Request], brought: Collection[Merge | None]) -> tuple[Request, ...]:
    """The requests as they count for clusters that these brought: a forge's approval is like an operator's, or left out."""
    return tuple(
        replace(one, change=0, approvers=()) if one.change else one for one in requests if counts(one, brought)
    )


def stands(request: Request, now: float) -> bool:
    """Whether a request is an approval that has not expired."""
    return request.kind == "approve" and (not request.expires or now < request.expires)


def whom(held: Held, cluster: str) -> str:
    """What an approval of a hold that stands on a cluster has to name: that cluster, or "" for a set that concerns others too."""
    return cluster if set(held.about) <= {cluster} else ""
