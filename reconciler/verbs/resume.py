"""`nidus resume NAME`: end a suspension that `nidus suspend` began. A suspension written in Git ends by a commit."""

import argparse

from reconciler.verbs import connection


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="the nested cluster")
    connection.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Exit code 0 where it was suspended by a request, 1 where it was not."""
    import time

    from reconciler.inventory import requests
    from reconciler.verbs.asking import ask

    client = connection.connect(args)
    if requests.suspended(requests.load(client, args.namespace), args.name, time.time()):
        ask(client, args.namespace, "resume", cluster=args.name)
        print(f"nested cluster {args.name} is reconciled again")
        return 0
    print(f"nested cluster {args.name} is not suspended by a request; a `suspend` in its file ends by a commit")
    return 1
