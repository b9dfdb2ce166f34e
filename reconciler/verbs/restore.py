"""`nidus restore NAME ID`: put a snapshot in the place of what a nested cluster holds (O9)."""

import argparse
from typing import Any

from reconciler.verbs import connection, known, usage

EXAMPLES = (("team-a 20261126T020000-1a2b3c4", "of those that nidus backups lists"),)
STANDS = 86400.0  # seconds within which somebody has to approve it


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="the nested cluster")
    parser.add_argument("id", metavar="ID", help="the snapshot, as nidus backups lists it")
    parser.add_argument("--reason", default="", help="why, for everybody who looks")
    connection.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Exit code 0 once stored. Raises Stalled where the cluster has no such whole snapshot."""
    from reconciler.verbs.asking import ask

    client = connection.connect(args)
    status = known.cluster(client, args.namespace, args.name).get("status") or {}
    told: Any = status.get("backups") or {}
    whole = [str(one.get("id")) for one in told.get("list") or [] if one.get("state") == "Completed"]
    if args.id not in whole:
        message, otherwise = f"{args.name} has no whole snapshot {args.id[:100]}", f"nidus backup {args.name} makes one"
        raise usage.absent(message, "", whole, "whole ones", otherwise)
    ask(client, args.namespace, "restore", cluster=args.name, items=(args.id,), reason=args.reason, seconds=STANDS)
    print(
        f"snapshot {args.id} is read back; then nidus status {args.name} shows the digest to approve within a day, and only"
        f" once it is approved everything inside {args.name} is replaced"
    )
    known.warn(client, args.namespace)
    return 0
