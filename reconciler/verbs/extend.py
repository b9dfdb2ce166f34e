"""`nidus extend NAME --for TIME`: move the end of a nested cluster with a ttl further away (O6)."""

import argparse

from reconciler.errors import Stalled
from reconciler.verbs import connection, known, table

EXAMPLES = (("team-a --for 24h", "a day longer than it would live"),)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="the nested cluster")
    parser.add_argument(
        "--for",
        dest="lasts",
        type=connection.seconds,
        required=True,
        metavar="TIME",
        help="how much longer, such as 24h",
    )
    parser.add_argument("--reason", default="", help="why, for everybody who looks")
    connection.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Exit code 0 once stored. Raises Stalled where the cluster has no end."""
    import time

    from reconciler.verbs.asking import ask

    client = connection.connect(args)
    found = known.cluster(client, args.namespace, args.name)
    ends = known.seconds((found.get("status") or {}).get("expiresAt"))
    if not ends:
        hint = "only one with deletion.ttl in its file does"
        raise Stalled(f"nested cluster {args.name} does not expire", hint=hint)
    now = time.time()
    longer = max(ends, now) + args.lasts - now
    ask(client, args.namespace, "extend", cluster=args.name, reason=args.reason, seconds=longer)
    print(f"nested cluster {args.name} expires in {table.age(longer)}, or earlier where policy.maxTTL says so")
    known.warn(client, args.namespace)
    return 0
