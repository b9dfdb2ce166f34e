"""`nidus connect NAME`: a context of one nested cluster in the user's kubeconfig, and in the background the forward it needs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.verbs import access, connection

if TYPE_CHECKING:
    from reconciler.kube.client import Client
    from reconciler.verbs.access import Access
    from reconciler.verbs.forwards import Held, Wanted

EXAMPLES = (
    ("team-a", "then: kubectl --context nidus_team-a get pods -A"),
    ("team-a --forward", "through the host, though the cluster has a public address"),
    ("team-a --into team-a.kubeconfig", "into a file of its own"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="the nested cluster; its context is nidus_NAME")
    parser.add_argument(
        "--forward", action="store_true", help="hold a port-forward even where the cluster has a public address"
    )
    add_file(parser)
    connection.add_arguments(parser)


def add_file(parser: argparse.ArgumentParser) -> None:
    """The flag that says which kubeconfig is changed."""
    parser.add_argument(
        "--into",
        type=Path,
        metavar="FILE",
        help="the kubeconfig that is changed (default: as kubectl does, the first file of KUBECONFIG, or ~/.kube/config)",
    )


def run(args: argparse.Namespace) -> int:
    """Write the context; say who holds its forward. The current context stays: it is the one of the host."""
    from reconciler.verbs import contexts, forwards

    name = f"nidus_{args.name}"
    file = args.into.absolute() if args.into else contexts.place_of(name)
    contexts.check_ours(file, name)
    client = connection.connect(args)
    found = access.find(client, args.namespace, args.name)
    with forwards.changing(forwards.state_of(file, name)):
        if found.endpoint and not args.forward:
            forwards.end(forwards.state_of(file, name))
            held = None
        else:
            held = _held(_wanted(args, client, found, file, name), file)
        is_new = contexts.write(file, contexts.marked(found.entries(name, held.port if held else 0)))
    forward = f"; forward held by pid {held.pid}" if held else f"; it leads to {found.endpoint}"
    print(f"context {name} {'written' if is_new else 'is there'}{forward}")
    for word, told in (
        ("file", file),
        ("use", f"kubectl --context {name} get namespaces"),
        ("remove", f"nidus disconnect {args.name}"),
    ):
        print(f"  {word:<6}  {told}")
    _warn(found, held)
    return 0


def _warn(found: Access, held: Held | None) -> None:
    import sys

    if not held and (told := access.unresolved(found.endpoint)):
        print(f"note: {told}: nidus connect {found.name} --forward", file=sys.stderr)


def _wanted(args: argparse.Namespace, client: Client, found: Access, file: Path, name: str) -> Wanted:
    from reconciler.kube import edge
    from reconciler.model import HostConfig
    from reconciler.verbs.forwards import Wanted

    kubeconfig = str(Path(args.kubeconfig).absolute()) if args.kubeconfig else ""
    context = edge.chosen_context(HostConfig(kubeconfig=kubeconfig, context=args.context))
    return Wanted(str(file), name, edge.server(client), kubeconfig, context, found.namespace, found.name)


def _held(wanted: Wanted, file: Path) -> Held:
    """The forward that is held already if it leads to the same place, else a new one, on the port of before if that is free."""
    from urllib.parse import urlsplit

    from reconciler.verbs import contexts, forwards

    held = forwards.held(wanted.state)
    if held and held.port and (held.host, held.namespace) == (wanted.host, wanted.namespace):
        return held
    forwards.end(wanted.state)
    before = urlsplit(contexts.server(file, wanted.context))
    return forwards.start(wanted, before.port or 0 if before.hostname == "127.0.0.1" else 0)
