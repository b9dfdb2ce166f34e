"""`nidus sync`: sync now. Wakes the running controller; where none runs, does one sync itself under the Lease (H1)."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from reconciler.errors import UsageError
from reconciler.verbs import connection

if TYPE_CHECKING:
    from reconciler.kube.client import Client


EXAMPLES = (
    ("", "all sources"),
    ("platform", "one source"),
    ("team-a", "the source of one nested cluster"),
    ("--config nidus.yaml", "one sync from here, where no controller runs"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", nargs="?", default="", help="one source (default: all)")
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
    if _runs(client, args.namespace):
        return _tell(client, args)
    if not args.config:
        raise UsageError("no controller runs", hint="--config FILE does one sync from here")
    return _once(args)


def _runs(client: Client, namespace: str) -> bool:
    """Whether a controller holds the Lease and renewed it lately. A wrong answer does no harm, because the Lease itself
    decides."""
    from datetime import UTC, datetime

    from reconciler.controller.leadership import LEASE
    from reconciler.model import ObjectRef

    found = client.get(ObjectRef("coordination.k8s.io", "Lease", namespace, LEASE)) or {}
    spec = found.get("spec") or {}
    if not spec.get("holderIdentity"):
        return False
    age = datetime.now(UTC) - datetime.fromisoformat(spec["renewTime"])
    return age.total_seconds() < 2 * float(spec["leaseDurationSeconds"])


def _tell(client: Client, args: argparse.Namespace) -> int:
    from reconciler.controller import sync_requests

    names = [str(item["metadata"]["name"]) for item in client.list("nidus.dev", "Source", namespace=args.namespace)[0]]
    chosen = [name for name in names if args.source in ("", name)]
    for name in chosen:
        sync_requests.rise(client, args.namespace, name, sync_requests.RESYNC)
        print(f"source {name}: the controller is told to sync")
    if not chosen:
        print(f"no source {args.source}; there are: {', '.join(names) or 'none'}")
    return 0 if chosen else 1


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
