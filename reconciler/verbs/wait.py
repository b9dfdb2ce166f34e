"""`nidus wait NAME...`: until nested clusters are Ready. It ends at once where only a human can go on."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.errors import printable, short
from reconciler.verbs import connection, known, seen, table, usage

if TYPE_CHECKING:
    from reconciler.kube.client import Client
    from reconciler.report.view import ClusterView

GONE = "Gone"
WORDS = ("Ready", "Held", "Suspended", "Asleep", "Degraded", GONE)
EXAMPLES = (
    ("team-a", "until team-a is Ready"),
    ("--all --timeout 15m", "until every nested cluster is"),
    ("team-a --for Gone", "until its removal is over"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", nargs="*", help="nested clusters")
    parser.add_argument("--all", action="store_true", help="every nested cluster there is")
    parser.add_argument(
        "--for", dest="word", choices=WORDS, default="Ready", help="what to wait for (default: %(default)s)"
    )
    parser.add_argument(
        "--timeout", type=connection.seconds, default="10m", metavar="TIME", help="at most this (default: %(default)s)"
    )
    connection.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Exit code 0 where all are as asked; 1 where one cannot become so by itself, or not in time."""
    from reconciler.errors import UsageError

    if bool(args.name) == args.all:
        raise UsageError("which nested clusters?", hint="their names, or --all")
    client = connection.connect(args)
    found = seen.read(client, args.namespace)
    names = sorted(set(args.name) or found.clusters)
    for name in names if args.word != GONE else ():
        if name not in found.clusters:
            raise known.missing(name, args.namespace, sorted(found.clusters))
    known.warn(client, args.namespace)
    return follow(client, args.namespace, names, args.timeout, args.word)


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a cluster stands to what is waited for: `done` once nothing more is to be waited for, `well` where that is good."""

    done: bool
    well: bool
    text: str


def follow(
    client: Client,
    namespace: str,
    names: Collection[str],
    timeout: float,
    word: str = "Ready",
    fresh: Callable[[seen.Seen, str], bool] = lambda found, name: True,
) -> int:
    """Print each cluster's end as it comes, progress on a terminal, and return the exit code. A cluster is judged once `fresh` says
    that what is seen of it is new enough."""
    began = time.monotonic()
    ended: dict[str, Verdict] = {}
    told: dict[str, str] = {}
    while len(ended) < len(names):
        left = timeout - (time.monotonic() - began)
        with seen.patiently():
            found = seen.read(client, namespace)
            for name in [name for name in names if name not in ended]:
                one = judge(name, found.clusters.get(name), word)
                if one.done and fresh(found, name):
                    ended[name] = one
                    print(printable(f"{one.text} (after {table.age(time.monotonic() - began)})"), flush=True)
                elif told.get(name) != one.text:
                    told[name] = one.text
                    _progress(one.text)
            if left > 0 and len(ended) < len(names):
                seen.wait(client, namespace, found.version, min(left, PAUSE))
        if left <= 0 and len(ended) < len(names):
            open_ = [told.get(name, name) for name in names if name not in ended]
            print(printable(f"not {word} within {table.age(timeout)}: {'; '.join(open_)}"))
            return usage.FAILED
    return usage.DONE if all(one.well for one in ended.values()) else usage.FAILED


PAUSE = 10.0  # seconds after which is looked again, whatever the watch says


def judge(name: str, one: ClusterView | None, word: str = "Ready") -> Verdict:
    """How one cluster stands. Held, Invalid, Suspended, Asleep and Stalled end a wait for Ready: they do not pass by themselves, or not
    soon."""
    from reconciler.report import why

    if one is None:
        return Verdict(word == GONE, word == GONE, f"{name} is gone" if word == GONE else f"{name} is not there yet")
    said = why.of(one, None)
    text = f"{name} {one.word}" + (f": {said.message}" if said.message else "")
    if one.word == word:
        return Verdict(True, True, text if word != "Ready" else f"{name} Ready at {short(one.applied)}")
    stalled = any(each.type == "Stalled" and each.status == "True" for each in one.conditions)
    if word in ("Ready", GONE) and (stalled or one.word in ("Held", "Invalid", "Suspended", "Asleep")):
        advice = said.advice or (f"nidus why {name} tells more",)
        return Verdict(True, False, f"{text}; {'; '.join(advice)}")
    return Verdict(False, False, text)


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        print(printable(text), file=sys.stderr, flush=True)
