"""`nidus approve DIGEST`: allow exactly the deletions and replacements behind a digest (D3, P7)."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reconciler.errors import Stalled, UsageError
from reconciler.verbs import connection, known, table

if TYPE_CHECKING:
    from reconciler.kube.client import Client

SHORTEST = (
    32  # digits: nobody finds two sets whose digests begin with the same ones, one to show and one to have approved
)


EXAMPLES = (
    ("3f9c2ab1d0e45b7f3f9c2ab1d0e45b7f", "what nidus status shows as held"),
    ("3f9c2ab1d0e45b7f3f9c2ab1d0e45b7f --for 1h", "for an hour only"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "digest", metavar="DIGEST", help=f"the digest `nidus status` shows, or its first {SHORTEST} characters or more"
    )
    parser.add_argument(
        "--for",
        dest="lasts",
        type=connection.seconds,
        default="24h",
        metavar="TIME",
        help="how long it stands (default: %(default)s)",
    )
    connection.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Exit code 0 once stored; 1 where nothing held has that digest; 64 for a digest that is none."""
    from reconciler.verbs.asking import ask

    digest = args.digest.lower()
    if not set(digest) <= set("0123456789abcdef"):
        raise UsageError(f"{args.digest!r} is no digest", hint="nidus status shows what is held, each with its digest")
    if len(digest) < SHORTEST:
        raise UsageError(
            f"{digest} is too short: others may begin so too",
            hint=f"give its first {SHORTEST} digits or all; nidus status shows them",
        )
    client = connection.connect(args)
    everything = held(client, args.namespace)
    matches = [found for found in everything if found.digest.startswith(digest)]
    if len({found.digest for found in matches}) != 1:
        wrong = f"{digest} is short for several digests" if matches else f"nothing held has the digest {digest}"
        there = sorted({found.digest for found in (matches or everything)})
        raise Stalled(wrong, hint=known.instead(digest, there) if there else "nothing is held")
    one, clusters = matches[0], {name for found in matches for name in found.about or (found.cluster,)}
    cluster = clusters.pop() if len(clusters) == 1 else ""  # what spans several is approved for all
    ask(client, args.namespace, "approve", consent=one.digest, items=one.items, cluster=cluster, seconds=args.lasts)
    print(f"approved {one.digest[:12]} for {table.age(args.lasts)}: {one.message}")
    known.warn(client, args.namespace)
    return 0


@dataclass(frozen=True, slots=True)
class Hold:
    """One thing that is held. `cluster` is "" where it concerns those of a source (`about`)."""

    digest: str
    items: tuple[str, ...]
    cluster: str
    message: str
    about: tuple[str, ...]


def held(client: Client, namespace: str) -> list[Hold]:
    """Everything that is held."""
    found = []
    for item in known.listed(client, "NestedCluster", namespace)[0]:
        plan: dict[str, Any] = (item.get("status") or {}).get("plan") or {}
        found.append(_hold(plan, str(item["metadata"]["name"]), "; ".join(plan.get("held", ()))))
    for item in known.listed(client, "Source", namespace)[0]:
        told = (item.get("status") or {}).get("held") or {}
        found.append(_hold(told, "", str(told.get("message", ""))))
    return [one for one in found if one.digest]


def _hold(held: Mapping[str, Any], cluster: str, message: str) -> Hold:
    about = tuple(held.get("clusters", ()))
    return Hold(str(held.get("digest", "")), tuple(held.get("items", ())), cluster, message, about)
