"""`nidus status`: sources first, then nested clusters, from the status objects on the home cluster; needs no controller running."""

from __future__ import annotations

import argparse
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from reconciler.verbs import connection, known, overview, seen, table

if TYPE_CHECKING:
    from reconciler.kube.client import Client
    from reconciler.model import Object

EXAMPLES = (
    ("", "everything at a glance"),
    ("team-a", "one nested cluster with its layers"),
    ("-o wide", "with profiles, endpoints and files"),
    ("-w", "until Ctrl-C"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", nargs="?", default="", help="one nested cluster, with its layers")
    forms = ("table", "wide", "json", "yaml", "name")
    parser.add_argument("-o", "--output", choices=forms, default="table", help="how to print (default: table)")
    parser.add_argument(
        "-w", "--watch", action="store_true", help="print again whenever something changes, until Ctrl-C"
    )
    connection.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Exit code 0; 1 where NAME does not exist, or nothing is there."""
    client = connection.connect(args)
    shown, version = _text(client, args)
    print(shown, flush=True)
    while args.watch:
        with seen.patiently():
            seen.wait(client, args.namespace, version)  # at most a minute, because ages change too
            text, version = _text(client, args)
            if text != shown:
                print(text, flush=True)
                shown = text
    return 0


def _text(client: Client, args: argparse.Namespace) -> tuple[str, str]:
    """What to print, and the resourceVersion of the list of nested clusters. Raises Stalled where NAME does not exist."""
    found = seen.read(client, args.namespace)
    if not found.sources and not found.clusters:
        _check_installed(client, args.namespace)
    if args.name and args.name not in found.clusters:
        error = known.missing(args.name, args.namespace, sorted(found.clusters))
        if not args.watch:
            raise error
        return error.told, found.version  # it may come
    if args.output in ("json", "yaml", "name"):
        return _document(client, found, args), found.version
    return _tables(client, found, args), found.version


def _check_installed(client: Client, namespace: str) -> None:
    """Raise Stalled where nothing is there, and never was a controller: it is another namespace, or another cluster."""
    from reconciler.errors import ApiError, Stalled

    with suppress(ApiError):
        if known.lease(client, namespace) is None:
            message = f"nothing here: namespace {namespace} has no source, no nested cluster and no controller"
            raise Stalled(message, hint="is Nidus installed here? -n and --context name another namespace or cluster")


def _tables(client: Client, found: seen.Seen, args: argparse.Namespace) -> str:
    now, width, wide = time.time(), table.columns(), args.output == "wide"
    made = {name: str(item["metadata"].get("creationTimestamp", "")) for name, item in found.items.items()}
    leads = known.dead(client, args.namespace) if args.name else known.leads(client, args.namespace)
    views = () if args.name else found.sources.values()
    heads = {
        "CONTROLLER  ": leads,
        "CONFIG      ": overview.configuration(views),
        "RENDERING   ": overview.renders(views),
    }
    head = "\n".join(table.wrapped(what + told, width) for what, told in heads.items() if told)
    if args.name:
        one = found.clusters[args.name]
        shown = overview.clusters([one], made, now, width, wide=wide)
        return "\n\n".join(filter(None, (head, shown, overview.detail(one, now, width))))
    sources = overview.sources(found.sources.values(), now, width)
    shown = overview.clusters(found.clusters.values(), made, now, width, wide=wide)
    return "\n\n".join(filter(None, (head, sources, shown)))


def _document(client: Client, found: seen.Seen, args: argparse.Namespace) -> str:
    items = [item for name, item in found.items.items() if args.name in ("", name)]
    if args.output == "name":
        return "\n".join(f"nestedcluster.nidus.dev/{item['metadata']['name']}" for item in items)
    clusters = [_plain(item) for item in items]
    if args.name:
        _add_history(client, clusters[0], args)
    return table.document(
        {"sources": [_plain(item) for item in found.roots.values()], "clusters": clusters}, args.output
    )


def _add_history(client: Client, cluster: dict[str, Any], args: argparse.Namespace) -> None:
    """The last revisions of the one cluster that is asked for, newest first, where this user may list ConfigMaps."""
    from reconciler.inventory import history as kept
    from reconciler.verbs import history

    cluster["history"] = history.body(kept.seen(client, args.namespace, args.name).get(args.name, ())[::-1])


def _plain(item: Object) -> dict[str, Any]:
    return {"name": item["metadata"]["name"], "spec": item.get("spec") or {}, "status": item.get("status") or {}}
