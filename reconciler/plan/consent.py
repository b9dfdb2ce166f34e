"""The destructive part of a plan, as a set people approve (P7): free of commit ids and values."""

import hashlib
import json
from collections.abc import Iterable

from reconciler.model import DESTRUCTIVE, TENANTS, Change, Consent, ObjectRef

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
    """What counts for a cluster's budget: the objects that changes with a need of consent delete or replace."""
    return tuple(one.ref for one in changes if one.action in DESTRUCTIVE and needed(one))


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
