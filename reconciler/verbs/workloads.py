"""`nidus workloads NAME`: what runs inside one nested cluster, read from its API server when asked, through the host."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from reconciler.verbs import access, connection, known, table, usage

if TYPE_CHECKING:
    from reconciler.kube.client import Client
    from reconciler.report.workloads import Workload

EXAMPLES = (
    ("team-a", "everything that runs inside"),
    ("team-a --kind pods -n web", "the pods of one namespace inside"),
    ("team-a -o wide", "with images"),
)
SECONDS = 30.0  # for all answers together
HEAD = ("KIND", "NAMESPACE", "NAME", "READY", "STATUS", "RESTARTS", "CPU", "MEMORY", "AGE")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="the nested cluster")
    parser.add_argument("--kind", default="", metavar="KIND", help="only this kind, such as Deployment or pods")
    parser.add_argument(
        "-n", "--in", dest="inside", default="", metavar="NS", help="only this namespace inside the cluster"
    )
    forms = ("table", "wide", "json", "yaml")
    parser.add_argument("-o", "--output", choices=forms, default="table", help="how to print (default: table)")
    connection.add_arguments(parser, own=("--namespace",))


def run(args: argparse.Namespace) -> int:
    """Exit code 0; 1 where NAME does not exist, or its API server does not answer."""
    import sys

    from reconciler.errors import printable

    kinds = _kinds(args.kind)
    with _inside(args) as client:
        found, unread = read(client, args.name, kinds, args.inside)
    for told in unread:
        print(printable(f"note: {told}"), file=sys.stderr)
    print(_text(found, unread, args.output, table.columns()))
    return 0


def _kinds(word: str) -> Sequence[str]:
    """The kinds that are meant, all for "". Raises UsageError."""
    from reconciler.errors import UsageError
    from reconciler.report.workloads import KINDS

    if not word:
        return tuple(KINDS)
    meant = [kind for kind in KINDS if word.lower() in (kind.lower(), f"{kind.lower()}s", f"{kind.lower()}es")]
    if not meant:
        hint = usage.close(word, KINDS) or f"one of {', '.join(KINDS)}"
        raise UsageError(f"--kind {word[:60]} is no kind that is listed", hint=hint)
    return meant


@contextmanager
def _inside(args: argparse.Namespace) -> Iterator[Client]:
    """A client of the nested API server, with one deadline for all its calls, that writes nothing. Raises Stalled where the
    cluster is not there or not up."""
    from reconciler.errors import LeaseLost
    from reconciler.kube.targets import Targets
    from reconciler.model import Target

    def refuse() -> None:
        raise LeaseLost("this command writes nothing")

    host = connection.connect(args)
    with known.installed():
        found = access.find(host, args.namespace, args.name)
    targets = Targets(host, inside=False, fence=refuse, deadline=SECONDS / 3)
    try:
        yield targets.client(Target("", args.name), found.namespace).budgeted(SECONDS)
    finally:
        targets.forget_all()


def read(client: Client, name: str, kinds: Sequence[str], namespace: str = "") -> tuple[list[Workload], list[str]]:
    """The rows, and why others are missing, a sentence each. Raises Stalled where the server does not answer."""
    from reconciler.errors import ApiError, ErrorClass, Stalled
    from reconciler.report.workloads import KINDS, row

    found, unread = list[Any](), list[str]()
    for kind in kinds:
        if namespace and kind == "Namespace":
            continue
        try:
            objects, _ = client.list(KINDS[kind][0], kind, namespace=namespace)
            found += sorted(map(row, objects), key=lambda one: (one.namespace, one.name))
        except ApiError as error:
            if error.kind in (ErrorClass.TRANSIENT, ErrorClass.AMBIGUOUS) and not found:
                told = f"the API server of {name} does not answer: {error.message}"
                raise Stalled(told, hint=f"nidus why {name}") from None
            unread.append(f"{kind} cannot be listed: {error.message}")
    return found, unread


def _text(found: Sequence[Workload], unread: Sequence[str], form: str, width: int) -> str:
    if form in ("json", "yaml"):
        import msgspec

        return table.document({"workloads": msgspec.to_builtins(found), "unread": list(unread)}, form)
    now, wide = time.time(), form == "wide"
    header = (*HEAD, *(("IMAGES",) if wide else ()), "DETAIL")
    cells = [(*_cells(one, now), *((", ".join(one.images),) if wide else ()), one.detail) for one in found]
    return table.with_message(header, cells, width, [one.status for one in found]) if cells else "nothing runs there"


def _cells(one: Workload, now: float) -> Sequence[str]:
    from reconciler.report.workloads import requests

    cpu, memory = (text or "-" for text in requests(one))
    made = known.seconds(one.made)
    age = table.age(now - made) if made else ""
    what = (one.kind, one.namespace or "-", one.name, one.ready or "-", one.status or "-")
    return (*what, str(one.restarts) if one.kind == "Pod" else "-", cpu, memory, age)
