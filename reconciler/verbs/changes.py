"""`nidus changes`: the open change requests that the controller plans."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, TypeVar

import msgspec

from reconciler.errors import few
from reconciler.verbs import connection, inside, table, usage

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")
PATH = "/api/v1/changes"
HEADER = ("SOURCE", "NUMBER", "AUTHOR", "HEAD", "STATE", "CLUSTERS", "VERDICT")
EXAMPLES = (
    ("", "what merging each open change request would do"),
    ("platform", "of one source"),
    ("-o json", "for programs"),
)


class Told(msgspec.Struct, frozen=True):
    """One open change request; `planned` is RFC 3339, "" where it was not planned yet. Where the source verifies commits, `signer`
    signed the head, or `unsigned` says what is wrong with it."""

    source: str
    number: int
    author: str
    head: str
    state: str
    verdict: str
    consent: str
    planned: str
    clusters: tuple[str, ...]
    signer: str = ""
    unsigned: str = ""


class Answer(msgspec.Struct, frozen=True):
    """What one replica says."""

    changes: tuple[Told, ...]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", nargs="?", default="", metavar="SOURCE", help="only of this source")
    parser.add_argument(
        "-o", "--output", choices=("table", "json", "yaml"), default="table", help="how to print (default: table)"
    )
    inside.add_arguments(parser)
    connection.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Exit code 0; 1 where no controller could be asked."""
    found = [one for each in asked(args, PATH, Answer) for one in each.changes if args.source in ("", one.source)]
    if args.output != "table":
        print(table.document({"changes": [msgspec.structs.asdict(one) for one in found]}, args.output))
    elif not found:
        print("no open change request")
    else:
        verified = any(one.signer or one.unsigned for one in found)
        header = (*HEADER[:-1], "SIGNER", HEADER[-1]) if verified else HEADER
        print(table.with_message(header, [_row(one, verified=verified) for one in found], table.columns()))
    return usage.DONE


def asked(args: argparse.Namespace, path: str, kind: type[T]) -> Sequence[T]:
    """What each replica says: the leader alone knows of change requests. Raises Stalled, UsageError or ApiError."""
    if args.address:
        return (inside.at(args.address, path, kind),)
    return inside.of_pods(connection.connect(args), args.namespace or connection.NAMESPACE, args.port, path, kind)[0]


def _row(one: Told, *, verified: bool) -> tuple[str, ...]:
    """The last column is the longest. `verified`: with who signed the head."""
    first = one.source, f"#{one.number}", one.author, one.head[:7], one.state, few(one.clusters, 3)
    signed = (one.signer or ("not trusted" if one.unsigned else ""),) if verified else ()
    return *first, *signed, one.verdict
