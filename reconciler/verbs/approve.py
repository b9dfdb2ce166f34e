"""`nidus approve DIGEST`: allow exactly the deletions and replacements behind a digest (D3, P7)."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from reconciler.errors import UsageError
from reconciler.verbs import connection, table

if TYPE_CHECKING:
    from reconciler.kube.client import Client

SHORTEST = 8


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("digest", help=f"the digest `nidus status` shows, or its first {SHORTEST} characters or more")
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
    """Exit code 0 once stored; 1 where nothing held has that digest; 2 for a digest that is none."""
    from reconciler.verbs.asking import ask

    digest = args.digest.lower()
    if len(digest) < SHORTEST or not set(digest) <= set("0123456789abcdef"):
        raise UsageError(f"{args.digest!r} is no digest", hint="nidus status shows what is held, each with its digest")
    client = connection.connect(args)
    matches = [found for found in _held(client, args.namespace) if found[0].startswith(digest)]
    if len({found[0] for found in matches}) != 1:
        print(f"nothing held has the digest {digest}" if not matches else f"{digest} is short for several digests")
        return 1
    whole, cluster, message = matches[0]
    ask(client, args.namespace, "approve", consent=whole, cluster=cluster, seconds=args.lasts)
    print(f"approved {whole[:12]} for {table.age(args.lasts)}: {message}")
    return 0


def _held(client: Client, namespace: str) -> list[tuple[str, str, str]]:
    """(digest, cluster, message) of everything held."""
    found = []
    for item in client.list("nidus.dev", "NestedCluster", namespace=namespace)[0]:
        plan: dict[str, Any] = (item.get("status") or {}).get("plan") or {}
        if plan.get("digest"):
            found.append((str(plan["digest"]), str(item["metadata"]["name"]), "; ".join(plan.get("held", ()))))
    for item in client.list("nidus.dev", "Source", namespace=namespace)[0]:
        held = (item.get("status") or {}).get("held") or {}
        if held.get("digest"):
            found.append((str(held["digest"]), "", str(held.get("message", ""))))
    return found
