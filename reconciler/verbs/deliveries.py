"""The logs of deliveries of all replicas, as one: each replica keeps those that it took, and the leader knows the syncs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from reconciler.errors import Stalled, parted, printable
from reconciler.verbs import inside, table
from webhook.deliveries import Sync, revision_of

if TYPE_CHECKING:
    from reconciler.kube.client import Client

PATH = "/api/v1/webhooks"
HEADER = ("TIME", "SOURCE", "EVENT", "WHAT", "VERDICT", "REVISION")


class Refused(msgspec.Struct, frozen=True):
    count: int
    last: str


class Entry(msgspec.Struct, frozen=True):
    at: str
    kind: str
    verdict: str
    refs: tuple[str, ...]
    more: int
    number: int
    generation: int
    revision: str


class Webhook(msgspec.Struct, frozen=True):
    """The webhook of one source as one replica knows it."""

    source: str
    path: str
    provider: str
    problem: str
    refused: Refused
    deliveries: tuple[Entry, ...]
    syncs: tuple[Sync, ...]


class _Answer(msgspec.Struct, frozen=True):
    webhooks: tuple[Webhook, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """What the replicas said, and why others could not be asked."""

    webhooks: tuple[Webhook, ...]
    unread: tuple[str, ...] = ()


def at(address: str) -> Found:
    """What the internal listener at HOST:PORT says. Raises UsageError or Stalled."""
    return Found(inside.at(address, PATH, _Answer).webhooks)


def of_pods(client: Client, namespace: str, port: int) -> Found:
    """What each pod of the controller says, through the host's API server. Raises ApiError, or Stalled where none could be asked."""
    found, unread = inside.of_pods(client, namespace, port, PATH, _Answer)
    return Found(tuple(webhook for one in found for webhook in one.webhooks), unread)


def shown(found: Found, source: str, last: int, form: str) -> str:
    """The newest `last` deliveries, of one source or of all ("")."""
    names = sorted({one.source for one in found.webhooks})
    if source and source not in names:
        raise Stalled(
            f"no source {printable(source)} with a webhook", hint=f"there is {', '.join(names)}" if names else ""
        )
    chosen = [one for one in found.webhooks if source in ("", one.source)]
    merged = sorted(_merged(chosen), key=lambda pair: pair[1].at)[-last:]
    if form == "json":
        return json.dumps(
            {"deliveries": [_json(name, one) for name, one in merged], "notes": _notes(chosen, found.unread)}, indent=2
        )
    lines = table.render(HEADER, [_row(name, one) for name, one in merged]) if merged else "no deliveries yet"
    return "\n".join([lines, *(printable(f"note: {one}") for one in _notes(chosen, found.unread))])


def _merged(webhooks: Sequence[Webhook]) -> Iterable[tuple[str, Entry]]:
    """Every delivery with its source, and with the revision that the first sync after it has read, whichever replica did it."""
    for webhook in webhooks:
        syncs = [sync for other in webhooks if other.source == webhook.source for sync in other.syncs]
        for one in webhook.deliveries:
            yield webhook.source, msgspec.structs.replace(one, revision=revision_of(one.generation, syncs))


def _notes(webhooks: Sequence[Webhook], unread: Sequence[str]) -> list[str]:
    """What the table does not show."""
    problems = {f"{one.source}: {one.problem}" for one in webhooks if one.problem}
    refused = [
        f"{one.source}: {one.refused.count} deliveries were not signed with its secret and answered 401, the last at {one.refused.last}"
        for one in webhooks
        if one.refused.count
    ]
    return [*sorted(problems), *refused, *unread]


def _row(source: str, one: Entry) -> tuple[str, ...]:
    what = f"#{one.number}" if one.number else ", ".join(one.refs) + (f" and {one.more} more" if one.more else "")
    head, _, commit = parted(one.revision)
    return one.at, source, one.kind or "-", what or "-", one.verdict, f"{head}@{commit[:7]}" if commit else "-"


def _json(source: str, one: Entry) -> Mapping[str, Any]:
    return {"source": source, **msgspec.structs.asdict(one)}
