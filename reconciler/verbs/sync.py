"""`nidus sync`: sync now. Wakes the running controller; where none runs, does one sync itself under the Lease (H1)."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from reconciler.errors import Stalled, printable
from reconciler.verbs import connection, known, seen, table, usage, wait
from reconciler.verbs.looks import looks

if TYPE_CHECKING:
    from reconciler.kube.client import Client

PAUSE = 0.5  # seconds between two looks at a source


EXAMPLES = (
    ("", "all sources"),
    ("platform", "one source"),
    ("team-a", "the source of one nested cluster"),
    ("--wait", "and wait until what it changed is Ready, or cannot become so"),
    ("--config nidus.yaml", "one sync from here, where no controller runs"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "name",
        metavar="NAME",
        nargs="?",
        default="",
        help="one source, or the source of one nested cluster (default: all)",
    )
    parser.add_argument(
        "--config", default="", metavar="FILE", help="needed where no controller runs: its configuration"
    )
    parser.add_argument(
        "--wait",
        action="store_true",
        help="wait for the nested clusters too, as `nidus wait`; a sync of its own always does",
    )
    parser.add_argument(
        "--timeout",
        type=connection.seconds,
        default="5m",
        metavar="TIME",
        help="how long it may take, where it waits (default: %(default)s)",
    )
    connection.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Exit code 0 when the request is stored, or, where it waits or syncs itself, when everything is Ready; 1 otherwise."""
    client = connection.connect(args)
    if known.controller(client, args.namespace)[0]:
        return _tell(client, args)
    if not args.config:
        raise Stalled("no controller runs", hint="--config FILE does one sync from here")
    return _once(args)


def _tell(client: Client, args: argparse.Namespace) -> int:
    from reconciler.controller import sync_requests

    asked = {}
    for name, why in _chosen(client, args.namespace, args.name):
        asked[name] = sync_requests.rise(client, args.namespace, name, sync_requests.RESYNC)
        print(f"source {name}{why}: the controller is told to sync", flush=True)
    return _followed(client, args, asked) if args.wait else 0


def _followed(client: Client, args: argparse.Namespace, asked: Mapping[str, int]) -> int:
    """Wait until the sources have done what was `asked` (source -> generation), then for their nested clusters, or for the one that
    was named."""

    began = time.monotonic()
    found = _served(client, args, asked)
    if found is None:
        print(f"not synced within {table.age(args.timeout)}; nidus status tells more")
        return usage.FAILED
    failed = [f"source {name}: {found.sources[name].error}" for name in sorted(asked) if found.sources[name].error]
    print("".join(printable(line) + "\n" for line in failed), end="", flush=True)
    names = [
        name for name, one in found.clusters.items() if one.source in asked and args.name in ("", name, one.source)
    ]
    left = max(0.0, args.timeout - (time.monotonic() - began))
    code = wait.follow(client, args.namespace, names, left, "Ready" if args.name in names else wait.STANDS, wait.tried)
    return usage.FAILED if failed else code


def _served(client: Client, args: argparse.Namespace, asked: Mapping[str, int]) -> seen.Seen | None:
    """What is seen once all sources have done what was `asked`; None where that is not so in time."""
    for _ in looks(args.timeout, PAUSE):
        with seen.patiently():
            found = seen.read(client, args.namespace)
            if all(name in found.sources and found.sources[name].generation >= at for name, at in asked.items()):
                return found
    return None


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
    from reconciler.controller.settling import settled
    from reconciler.report import why

    told = connection.configured(args)
    service = Service(told, listens=False)
    try:
        service.start()
        done = settled(service, args.timeout, _progress if sys.stderr.isatty() else lambda text: None)
    finally:
        service.stop()
    for name, view in sorted(service.reporter.clusters.items()):
        message = why.message(view)
        print(printable(f"{name}: {view.word}" + (f": {message}" if message else "")))
        for line in why.of(view, None).advice:
            print(printable(f"  {line}"))
    return usage.DONE if done else usage.FAILED


def _progress(text: str) -> None:
    print(printable(text), file=sys.stderr, flush=True)
