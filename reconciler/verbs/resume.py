"""`nidus resume NAME`: end a suspension that `nidus suspend` began. A suspension written in Git ends by a commit."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from reconciler.verbs import connection, known

if TYPE_CHECKING:
    from reconciler.kube.client import Client


EXAMPLES = (("team-a", "reconcile it again"),)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="the nested cluster")
    connection.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Exit code 0 where it was suspended by a request, 1 where it was not."""
    from reconciler.verbs.asking import ask

    client = connection.connect(args)
    known.cluster(client, args.namespace, args.name)
    if not suspended(client, args.namespace, args.name):
        print(f"nested cluster {args.name} is not suspended by a request; a `suspend` in its file ends by a commit")
        return 1
    ask(client, args.namespace, "resume", cluster=args.name)
    print(f"nested cluster {args.name} is reconciled again")
    known.warn(client, args.namespace)
    return 0


def suspended(client: Client, namespace: str, cluster: str) -> bool:
    """Whether a request suspends it. Operators cannot read those of an earlier release, ConfigMaps: then the status object tells."""
    import time

    from reconciler.errors import ApiError, ErrorClass
    from reconciler.inventory import requests
    from reconciler.model import ObjectRef

    def asked(*, old: bool) -> bool:
        found = requests.load(client, namespace, {cluster: 0.0}, time.time(), old=old).standing
        return requests.suspended(found, cluster, time.time()) is not None

    try:
        return asked(old=True)
    except ApiError as error:
        if error.kind is not ErrorClass.DENIED:
            raise
    if asked(old=False):
        return True
    told = client.get(ObjectRef("nidus.dev", "NestedCluster", namespace, cluster)) or {}
    return bool((told.get("status") or {}).get("status") == "Suspended")
