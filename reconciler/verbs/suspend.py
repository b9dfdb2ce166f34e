"""`nidus suspend NAME`: stop reconciling one nested cluster, visibly, until `nidus resume`."""

import argparse

from reconciler.verbs import connection, known, table

EXAMPLES = (('team-a --reason "database moves" --for 8h', "with a reason and an end"),)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="the nested cluster")
    parser.add_argument("--reason", default="", help="why, for everybody who looks")
    parser.add_argument(
        "--for",
        dest="lasts",
        type=connection.seconds,
        default=0.0,
        metavar="TIME",
        help="end by itself after this time, such as 8h",
    )
    connection.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Exit code 0 once stored."""
    from reconciler.verbs.asking import ask

    client = connection.connect(args)
    known.cluster(client, args.namespace, args.name)
    ask(client, args.namespace, "suspend", cluster=args.name, reason=args.reason, seconds=args.lasts)
    ends = f" for {table.age(args.lasts)}" if args.lasts else ""
    print(f"nested cluster {args.name} is suspended{ends}; nidus resume {args.name} ends it")
    known.warn(client, args.namespace)
    return 0
