"""`nidus disconnect NAME`: takes back what `nidus connect` wrote, and ends the process that holds its forward."""

from __future__ import annotations

import argparse
from pathlib import Path

from reconciler.errors import UsageError, few
from reconciler.verbs import connect

EXAMPLES = (("team-a", "one context and its forward"), ("--all", "every context that nidus connect wrote"))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", nargs="?", default="", help="the nested cluster")
    parser.add_argument("--all", action="store_true", help="every context of the kubeconfig that nidus connect wrote")
    connect.add_file(parser)


def run(args: argparse.Namespace) -> int:
    """Needs no cluster. Exit code 0 also where there is nothing to remove."""
    from reconciler.verbs import contexts

    if bool(args.name) == args.all:
        raise UsageError("name one cluster, or --all", hint="nidus disconnect NAME")
    files = [args.into.absolute()] if args.into else contexts.files()
    wanted = f"nidus_{args.name}"
    removed = [
        _removed(file, name) for file in files for name in ([wanted] if args.all is False else contexts.ours(file))
    ]
    if not any(removed):
        there = [name.removeprefix("nidus_") for file in files for name in contexts.ours(file)]
        print(
            "nothing to remove in " + ", ".join(map(str, files)) + (f"; there are: {few(there, 12)}" if there else "")
        )
    return 0


def _removed(file: Path, name: str) -> bool:
    from reconciler.verbs import contexts, forwards

    state = forwards.state_of(file, name)
    contexts.check_ours(file, name)
    with forwards.changing(state):
        pid = forwards.end(state)
        is_changed = contexts.remove(file, name)
    if is_changed or pid:
        print(f"context {name} removed from {file}" + (f"; process {pid} ended" if pid else ""))
    return is_changed or bool(pid)
