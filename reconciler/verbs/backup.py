"""`nidus backup NAME`: make a snapshot of one nested cluster now (O7)."""

import argparse

from reconciler.errors import Stalled
from reconciler.verbs import connection, known

EXAMPLES = (("team-a", "one more, beside those of its schedule"),)
STANDS = 86400.0  # seconds: asked for a cluster that sleeps, it is made when it wakes within that time


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="the nested cluster")
    parser.add_argument("--reason", default="", help="why, for everybody who looks")
    connection.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Exit code 0 once stored. Raises Stalled where its file asks for no snapshots."""
    from reconciler.verbs.asking import ask

    client = connection.connect(args)
    status = known.cluster(client, args.namespace, args.name).get("status") or {}
    if "backups" not in status:
        hint = "spec.backup in its file says where they go"
        raise Stalled(f"nested cluster {args.name} has no place for snapshots", hint=hint)
    ask(client, args.namespace, "backup", cluster=args.name, reason=args.reason, seconds=STANDS)
    later = ", once it wakes" if status.get("status") == "Asleep" else ""
    print(f"a snapshot of nested cluster {args.name} is made{later}; nidus backups {args.name} lists it")
    known.warn(client, args.namespace)
    return 0
