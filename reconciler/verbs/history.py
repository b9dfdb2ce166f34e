"""`nidus history NAME`: the last revisions of one nested cluster: by whom, reviewed where, and how long each took."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from reconciler.errors import short
from reconciler.verbs import connection, known, table

if TYPE_CHECKING:
    from reconciler.inventory.history import Passage

EXAMPLES = (("team-a", "the last 50 revisions, newest first"), ("team-a -o json", "for programs"))
HEAD = ("REVISION", "ADMITTED", "APPLIED", "READY", "REVIEWED", "AUTHOR", "SUBJECT")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="the nested cluster")
    forms = ("table", "json", "yaml")
    parser.add_argument("-o", "--output", choices=forms, default="table", help="how to print (default: table)")
    connection.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Exit code 0; 1 where NAME does not exist."""
    from reconciler.inventory import history

    client = connection.connect(args)
    known.cluster(client, args.namespace, args.name)
    found = history.read(client, args.namespace, args.name).get(args.name, ())[::-1]
    if args.output != "table":
        print(table.document({"cluster": args.name, "history": body(found)}, args.output))
    elif found:
        now = time.time()
        print(table.render(HEAD, [_cells(one, now) for one in found]))
    else:
        print(f"no revision of {args.name} was noted yet")
    return 0


def body(found: Sequence[Passage]) -> list[dict[str, Any]]:
    """Revisions as a document; what is not known is left out."""
    from reconciler.report.life import stamp

    rows = []
    for one in found:
        times = {"admitted": one.admitted, "applied": one.applied, "ready": one.ready}
        row: dict[str, Any] = {"revision": one.revision, "author": one.author, "subject": one.subject}
        row |= {"reviewed": one.number} | {key: stamp(at) if at else "" for key, at in times.items()}
        rows.append({key: value for key, value in row.items() if value})
    return rows


def _cells(one: Passage, now: float) -> Sequence[str]:
    """`ADMITTED` as an age, the others as what they took since."""
    admitted = f"{table.age(now - one.admitted)} ago" if one.admitted else "-"
    reviewed = f"#{one.number}" if one.number else "-"
    took = (_took(one.admitted, one.applied), _took(one.admitted, one.ready))
    return (short(one.revision), admitted, *took, reviewed, one.author or "-", one.subject or "-")


def _took(begin: float, end: float) -> str:
    if not end:
        return "-"
    if not begin or end < begin:
        return "yes"
    return f"{end - begin:.1f}s" if end - begin < 60 else table.age(end - begin)
