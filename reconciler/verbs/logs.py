"""`nidus logs`: the log of the controller's pods, or of a file, as lines for people."""

from __future__ import annotations

import argparse
import json
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

from reconciler.errors import NidusError, Stalled, UsageError, printable
from reconciler.verbs import connection

if TYPE_CHECKING:
    from reconciler.kube.client import Client

EXAMPLES = (
    ("-f", "follow the controller's pods"),
    ("--cluster team-a --since 1h", "what it did with one nested cluster"),
    ("--file controller.log", "a file; - is standard input"),
)
PODS = "app.kubernetes.io/name=nidus"  # as in deploy/chart
LONGEST = 1 << 20  # characters of one line


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-f", "--follow", action="store_true", help="go on until Ctrl-C")
    parser.add_argument("--file", default="", metavar="FILE", help="read this instead of pods; - is standard input")
    parser.add_argument("--cluster", default="", metavar="NAME", help="only what is about this nested cluster")
    parser.add_argument(
        "--since", type=connection.seconds, default="1h", metavar="TIME", help="not older (default: %(default)s)"
    )
    parser.add_argument("-o", "--output", choices=("text", "json"), default="text", help="how to print (default: text)")
    connection.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Exit code 0; 1 where there is no pod of the controller, or its log cannot be read."""
    if args.file:
        if args.follow:
            raise UsageError("-f follows pods", hint=f"tail -f {args.file} | nidus logs --file -")
        with _opened(args.file) as stream:
            _print(stream, args)
        return 0
    client = connection.connect(args)
    pods = [str(one["metadata"]["name"]) for one in client.list("", "Pod", namespace=args.namespace, labels=PODS)[0]]
    if not pods:
        raise Stalled(
            f"no pod of the controller in namespace {args.namespace}",
            hint=f"one that runs elsewhere has its log there; pods are found by {PODS}",
        )
    threads = [threading.Thread(target=_tail, args=(client, pod, args), daemon=True) for pod in pods]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return 0


def lines(found: Iterable[str], cluster: str, form: str) -> Iterator[str]:
    """The lines to print: entries for people, or as they are where `form` is json. What is no entry stays as it is."""
    from reconciler.report import log

    for line in found:
        text = line.rstrip("\n")[:LONGEST]
        try:
            entry = json.loads(text)
        except (ValueError, RecursionError):
            entry = None
        if not isinstance(entry, dict):
            if not cluster and text:
                yield printable(text)
        elif cluster in ("", entry.get("cluster"), entry.get("subject")):
            yield printable(text) if form == "json" else log.readable(entry)


def _tail(client: Client, pod: str, args: argparse.Namespace) -> None:
    """Print the log of one pod; one that cannot be read says so."""
    from reconciler.kube import podlog

    try:
        _print(podlog.read(client, args.namespace, pod, since=args.since, follow=args.follow), args)
    except NidusError as error:
        print(printable(f"note: the log of pod {pod} cannot be read: {error.message}"), file=sys.stderr)


def _print(found: Iterable[str], args: argparse.Namespace) -> None:
    for line in lines(found, args.cluster, args.output):
        print(line, flush=args.follow)


def _opened(name: str) -> IO[str]:
    if name == "-":
        return sys.stdin
    try:
        return Path(name).open(encoding="utf-8", errors="replace")
    except OSError as error:
        raise UsageError(f"{name} cannot be read: {error.strerror or error}") from None
