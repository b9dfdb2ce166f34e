"""`nidus backups NAME`: the snapshots of one nested cluster, newest first (O7)."""

import argparse
from typing import Any

from reconciler.errors import printable
from reconciler.verbs import connection, known, table

EXAMPLES = (("team-a", "what there is, and what is under way"),)
SHOWN = ("id", "state", "size", "keys", "why")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="the nested cluster")
    parser.add_argument("-o", dest="output", choices=("text", "json"), default="text", help="json for programs")
    connection.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Exit code 0, also where there is none."""
    import json

    client = connection.connect(args)
    status = known.cluster(client, args.namespace, args.name).get("status") or {}
    told: Any = status.get("backups") or {}
    listed = told.get("list") or []
    if args.output == "json":
        print(json.dumps(told, indent=2))
        return 0
    rows = [[printable(str(one.get(key, ""))) for key in SHOWN] for one in listed]
    if rows:
        print(table.render(("ID", "STATE", "BYTES", "KEYS", "WHY"), rows))
    for name in ("running", "problem"):
        if told.get(name):
            print(printable(f"{name}: {told[name]}"))
    if not rows and not told.get("running"):
        print(f"nested cluster {args.name} has no snapshot")
    return 0
