"""The destructive part of a plan, as a set people approve (P7): free of commit ids and values."""

import hashlib
import json
from collections.abc import Iterable

from reconciler.model import DESTRUCTIVE, TENANTS, Change, Consent


def of(changes: Iterable[Change], actions: frozenset[str] = DESTRUCTIVE) -> Consent:
    """The consent a plan needs: one line "target ref uid action" per change of these actions, sorted, and their SHA-256 in hex;
    an empty set has an empty digest. Pods that go because their cluster sleeps need none: the engine makes them again (O3)."""
    items = tuple(sorted(line(one) for one in changes if one.action in actions and one.reason != TENANTS))
    return Consent(items, digest(items))


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
