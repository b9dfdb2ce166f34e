"""`nidus why NAME`: what keeps a nested cluster from being Ready, down to the pod, with the commit, its author and what to do.

Read from the status objects: neither the nested API server nor the host's workloads are asked, so it answers when they do not.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from reconciler.errors import short
from reconciler.verbs import connection, known, seen, table

if TYPE_CHECKING:
    from reconciler.kube.client import Client
    from reconciler.model import LayerStatus, Link
    from reconciler.report.why import Why

EXAMPLES = (("team-a", "what blocks team-a, and what to do"), ("team-a -o json", "for programs"))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="the nested cluster")
    parser.add_argument(
        "-o", "--output", choices=("tree", "json", "yaml"), default="tree", help="how to print (default: tree)"
    )
    connection.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Exit code 0, whatever the state of the cluster; 1 where NAME does not exist."""
    client = connection.connect(args)
    known.cluster(client, args.namespace, args.name)
    print(text(client, args.namespace, args.name, args.output, table.columns()))
    return 0


def text(client: Client, namespace: str, name: str, form: str, width: int = 0) -> str:
    """What to print of the nested cluster NAME, which exists."""
    from reconciler.report import why

    found = seen.read(client, namespace)
    one = found.clusters[name]
    told, controller = why.of(one, found.sources.get(one.source)), known.leads(client, namespace)
    if form != "tree":
        return table.document({**why.body(told), "controller": controller}, form)
    lines = tree(told, time.time())
    lines[1:1] = [(1, "controller", controller)] if controller else []
    return "\n".join(table.wrapped(_line(*line), width, indent=2 * line[0]) for line in lines)


Line = tuple[int, str, str]  # depth, what, text


def tree(told: Why, now: float) -> list[Line]:
    """The lines of the tree; `now` in seconds since the epoch."""
    since = seen.ago(told.since, now)
    head = f"{told.cluster}  {told.word}" + (f" for {since}" if since else "")
    lines = [(0, "", head + (f": {told.message}" if told.message and not told.blocked and not told.held else ""))]
    lines += [(1, "commit", line) for line in _commit(told, now)]
    lines += [(1, "mistake", line) for line in told.mistakes]
    for layer in told.blocked:
        lines += _layer(layer, now)
    lines += [(1, "waits", f"layer {layer.name}: {layer.message}") for layer in told.waiting]
    lines += [(1, "held", line) for line in told.held]
    aged = seen.ago(told.seen, now)
    lines += [(1, "layers", f"as they were {aged} ago")] if aged and (told.blocked or told.waiting) else []
    lines += [(1, "unknown", line) for line in told.unknown]
    return lines + [(1, "next", line) for line in told.advice]


def _commit(told: Why, now: float) -> Iterator[str]:
    """The commit that is attempted, who wrote it, and the one applied where that is another."""
    if told.attempted:
        by = told.authored
        signed = f", signed by {by.signer}" if by and by.signer else ""
        written = f" by {by.author}{signed}, {table.age(now - by.at)} ago: {by.subject}" if by else ""
        yield short(told.attempted) + written
    if told.applied != told.attempted:
        yield f"{short(told.applied)} is applied" if told.applied else "none is wholly applied yet"


def _layer(layer: LayerStatus, now: float) -> Iterator[Line]:
    since = seen.ago(layer.since, now)
    aged = f" for {since}" if since else ""
    said = "" if len(layer.causes) > 1 else f": {layer.message}"
    yield 1, "blocked", f"layer {layer.name} on {layer.target} {layer.state}{aged}{said}"
    if len(layer.causes) > 1:
        for depth, link in enumerate(layer.causes):
            yield 2 + depth, "", _link(link, now)


def _link(link: Link, now: float) -> str:
    """Pod web/shop-6f9-x CrashLoopBackOff for 12m (5 restarts), image ghcr.io/x/y:1: ended with exit code 1"""
    aged = seen.ago(link.since, now)
    if link.kind == "Event":
        return f"Event {link.state}" + (f" {aged} ago" if aged else "") + f": {link.message}"
    parts = [link.kind, link.place, link.state, f"for {aged}" if aged else ""]
    counted = f" ({link.restarts} restart{'' if link.restarts == 1 else 's'})" if link.restarts else ""
    image = f", image {link.image}" if link.image else ""
    return " ".join(filter(None, parts)) + counted + image + (f": {link.message}" if link.message else "")


def _line(depth: int, what: str, text: str) -> str:
    return f"{what:<11} {text}" if what else text
