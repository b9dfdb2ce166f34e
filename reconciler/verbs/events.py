"""`nidus events [NAME]`: what the controller told of nested clusters, and what the host says in a cluster's namespace, newest last."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from reconciler.errors import NidusError, one_line, printable
from reconciler.patterns import lazy
from reconciler.verbs import connection, known, seen, table

if TYPE_CHECKING:
    from reconciler.kube.client import Client

EXAMPLES = (
    ("", "what happened to all nested clusters"),
    ("team-a", "to one, with what the host says in its namespace"),
    ("-o json", "for programs"),
)
REPORTER = "nidus.dev/nidus"
NEWEST = 100
_COMMIT = lazy(r"(@sha(?:1|256):[0-9a-f]{7})[0-9a-f]{33,57}\b")  # a whole name, of which people need the beginning


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", nargs="?", default="", help="one nested cluster")
    parser.add_argument(
        "--last", type=int, default=NEWEST, metavar="N", help="this many, the newest (default: %(default)s)"
    )
    parser.add_argument(
        "-o", "--output", choices=("table", "json", "yaml"), default="table", help="how to print (default: table)"
    )
    connection.add_arguments(parser)


@dataclass(frozen=True, slots=True)
class Event:
    """One Event: `time` when it was seen last (RFC 3339), `about` what it is about, `count` how often."""

    time: str
    type: str
    reason: str
    about: str
    message: str
    count: int = 1


def run(args: argparse.Namespace) -> int:
    """Exit code 0; 1 where NAME does not exist."""
    client = connection.connect(args)
    if args.name:
        known.cluster(client, args.namespace, args.name)
    found = gathered(client, args.namespace, args.name)[-max(1, args.last) :]
    if not found:
        known.listed(client, "NestedCluster", args.namespace)  # says where Nidus is not installed
    if args.output != "table":
        print(table.document({"events": [asdict(one) for one in found]}, args.output))
        return 0
    print(
        "\n".join(rendered(found, time.time(), table.columns()))
        if found
        else "no events; Kubernetes keeps them for an hour"
    )
    return 0


def gathered(client: Client, namespace: str, name: str) -> list[Event]:
    """The Events of the controller, of one nested cluster where NAME is given, with those of its host namespace; oldest first."""
    items, _ = client.list("events.k8s.io", "Event", namespace=namespace)
    ours = [item for item in items if item.get("reportingController") == REPORTER]
    found = [event(item) for item in ours if name in ("", _regarding(item).get("name"))]
    if name:
        try:
            for home in homes(client, namespace, name):
                found += [event(item) for item in client.list("events.k8s.io", "Event", namespace=home)[0]]
        except NidusError as error:
            print(printable(f"note: without what the host says in its namespace: {error.message}"), file=sys.stderr)
    return sorted(found, key=lambda one: (one.time, one.about, one.reason))


def homes(client: Client, namespace: str, name: str) -> Iterator[str]:
    """The host namespace of a nested cluster, as its record has it. Raises NidusError."""
    from reconciler.inventory.store import Store

    state = Store(client, namespace).load().states.get(name)
    for entry in state.entries if state is not None else ():
        if entry.ref.kind == "Namespace" and not entry.target.nested:
            yield entry.ref.name


def event(item: Mapping[str, Any]) -> Event:
    """An Event of the API; fields that are absent or of a wrong type are empty."""
    series, old = item.get("series"), item.get("deprecatedLastTimestamp")
    last = series.get("lastObservedTime") if isinstance(series, Mapping) else None
    many = series.get("count") if isinstance(series, Mapping) else item.get("deprecatedCount")
    about = _regarding(item)
    kind, name = one_line(about.get("kind"), 100), one_line(about.get("name"), 253)
    place = [] if kind == "NestedCluster" else [kind, one_line(about.get("namespace"), 253)]
    return Event(
        one_line(last or item.get("eventTime") or old or item["metadata"].get("creationTimestamp"), 100),
        one_line(item.get("type"), 100),
        one_line(item.get("reason"), 100),
        "/".join(filter(None, [*place, name])),
        one_line(item.get("note")),
        many if isinstance(many, int) and many > 0 else 1,
    )


def rendered(found: Sequence[Event], now: float, width: int = 0) -> list[str]:
    """A table, newest last; `now` in seconds since the epoch."""
    rows = []
    for one in found:
        often = f" (x{one.count})" if one.count > 1 else ""
        rows.append(
            (seen.ago(one.time, now) or "-", one.type, one.reason + often, one.about, _COMMIT.sub(r"\1", one.message))
        )
    words = ["Held" if one.type == "Warning" else "" for one in found]
    return table.with_message(("AGE", "TYPE", "REASON", "ABOUT", "MESSAGE"), rows, width, words).split("\n")


def _regarding(item: Mapping[str, Any]) -> Mapping[str, Any]:
    about = item.get("regarding")
    return about if isinstance(about, Mapping) else {}
