"""`nidus sync`: sync now. Wakes the running controller; where none runs, does one sync itself under the Lease (H1)."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from reconciler.errors import Stalled, UsageError
from reconciler.verbs import connection, known

if TYPE_CHECKING:
    from reconciler.kube.client import Client


EXAMPLES = (
    ("", "all sources"),
    ("platform", "one source"),
    ("team-a", "the source of one nested cluster"),
    ("--config nidus.yaml", "one sync from here, where no controller runs"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "name", nargs="?", default="", help="one source, or the source of one nested cluster (default: all)"
    )
    parser.add_argument(
        "--config", default="", metavar="FILE", help="needed where no controller runs: its configuration"
    )
    parser.add_argument(
        "--timeout",
        type=connection.seconds,
        default="5m",
        metavar="TIME",
        help="how long one sync of its own may take (default: %(default)s)",
    )
    connection.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Exit code 0 when the request is stored, or when its own sync left everything Ready; 1 otherwise."""
    client = connection.connect(args)
    if known.controller(client, args.namespace)[0]:
        return _tell(client, args)
    if not args.config:
        raise UsageError("no controller runs", hint="--config FILE does one sync from here")
    return _once(args)


def _tell(client: Client, args: argparse.Namespace) -> int:
    from reconciler.controller import sync_requests

    for name, why in _chosen(client, args.namespace, args.name):
        sync_requests.rise(client, args.namespace, name, sync_requests.RESYNC)
        print(f"source {name}{why}: the controller is told to sync")
    return 0


def _chosen(client: Client, namespace: str, name: str) -> list[tuple[str, str]]:
    """The sources to sync, and why one was chosen: all of them, one by its name, or that of a nested cluster. Raises Stalled."""
    sources = known.names(known.listed(client, "Source", namespace)[0])
    if name in sources or not name:
        if not sources:
            raise Stalled(f"no source in namespace {namespace}", hint="nidus status tells more")
        return [(source, "") for source in sources if name in ("", source)]
    clusters = {str(item["metadata"]["name"]): item for item in known.listed(client, "NestedCluster", namespace)[0]}
    source = str((clusters[name].get("spec") or {}).get("source", "")) if name in clusters else ""
    if source not in sources:
        hint = known.instead(name, [*sources, *sorted(clusters)])
        raise Stalled(f"no source and no nested cluster {name}", hint=hint)
    return [(source, f" of nested cluster {name}")]


def _once(args: argparse.Namespace) -> int:
    from reconciler.controller.service import Service

    told = connection.configured(args)
    service = Service(told, listens=False)
    try:
        service.start()
        settled = service.settle(args.timeout)
    finally:
        service.stop()
    for name, report in sorted(service.reporter.clusters.items()):
        print(f"{name}: {report.word}")
    return 0 if settled else 1
