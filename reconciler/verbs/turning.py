"""What `sleep` and `wake` share: a request that ends by itself (O1)."""

from __future__ import annotations

import argparse
import time
from datetime import UTC, datetime
from typing import Any

from reconciler.errors import UsageError
from reconciler.verbs import connection, known

DOES = {"sleep": "goes to sleep", "wake": "is woken"}
OTHER = {"sleep": "wake", "wake": "sleep"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="the nested cluster")
    parser.add_argument("--reason", default="", help="why, for everybody who looks")
    ends = parser.add_mutually_exclusive_group()
    ends.add_argument(
        "--for",
        dest="lasts",
        type=connection.seconds,
        default=0.0,
        metavar="TIME",
        help="end after this time, such as 8h, or at the next turn of its schedule if that is earlier",
    )
    ends.add_argument(
        "--until",
        type=_instant,
        default=0.0,
        metavar="INSTANT",
        help="end at this time, such as 2026-12-01T07:00:00Z, or at the next turn of its schedule if that is earlier",
    )
    connection.add_arguments(parser)


def ask(args: argparse.Namespace, kind: str) -> int:
    """Store the request and say what stands against it. Raises UsageError for an end that is past."""
    from reconciler.verbs.asking import ask as store

    seconds = args.until - time.time() if args.until else args.lasts
    if args.until and seconds <= 0:
        raise UsageError("--until is past", hint="give a time that is to come")
    client = connection.connect(args)
    found = known.cluster(client, args.namespace, args.name)
    store(client, args.namespace, kind, cluster=args.name, reason=args.reason, seconds=seconds)
    print(f"nested cluster {args.name} {DOES[kind]}; nidus {OTHER[kind]} {args.name} ends that{_against(found, kind)}")
    known.warn(client, args.namespace)
    return 0


def _against(found: Any, kind: str) -> str:
    """What overrules the request: that it is suspended, or what its file says of it."""
    status = found.get("status") if isinstance(found, dict) else None
    if (status or {}).get("status") == "Suspended":
        return f"\nbut it is suspended, and nothing of it is changed until nidus resume {found['metadata']['name']}"
    told = (status or {}).get("sleep") or {}
    if told.get("by") != "git" or told.get("asleep") is not (kind == "wake"):
        return ""
    return f"\nbut its file decides: it is {'asleep' if told['asleep'] else 'awake'} {told.get('why', '')}"


def _instant(text: str) -> float:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no time such as 2026-12-01T07:00:00Z") from None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
