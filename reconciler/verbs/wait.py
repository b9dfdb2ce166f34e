"""`nidus wait NAME...`: until nested clusters are Ready. It ends at once where only a human can go on."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.errors import printable, short
from reconciler.verbs import connection, known, seen, table, usage

if TYPE_CHECKING:
    from reconciler.kube.client import Client
    from reconciler.report.view import ClusterView

GONE = "Gone"
STANDS = "Ready or leaving"
"""What is waited for after a commit or a sync: a cluster that it removes ends no other way."""
WORDS = ("Ready", "Held", "Suspended", "Asleep", "Degraded", GONE)
EXAMPLES = (
    ("team-a", "until team-a is Ready"),
    ("--all --timeout 15m", "until every nested cluster is"),
    ("team-a --for Gone", "until its removal is over"),
    ("--revision HEAD", "until the commit here is read, and every nested cluster of its source is Ready with it"),
    ("--all -o json", "for programs: how each ended, in one document"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", nargs="*", help="nested clusters")
    parser.add_argument("--all", action="store_true", help="every nested cluster there is")
    parser.add_argument(
        "--for", dest="word", choices=WORDS, default="Ready", help="what to wait for (default: %(default)s)"
    )
    parser.add_argument(
        "--revision",
        default="",
        metavar="REV",
        help="first until the source was read at this commit, or a later one; what Git calls it here, or its digits",
    )
    parser.add_argument(
        "--timeout", type=connection.seconds, default="10m", metavar="TIME", help="at most this (default: %(default)s)"
    )
    forms = ("text", "json", "yaml")
    parser.add_argument("-o", "--output", choices=forms, default="text", help="how to print (default: text)")
    connection.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Exit code 0 where all are as asked; 1 where one cannot become so by itself, or not in time."""
    from reconciler.errors import UsageError

    if (args.name and args.all) or not (args.name or args.all or args.revision):
        raise UsageError("which nested clusters?", hint="their names, or --all")
    if args.revision:
        return _revision(args)
    client = connection.connect(args)
    found = _begun(client, args.namespace, min(args.timeout, FIRST) if args.word != GONE else 0.0)
    names = sorted(set(args.name) or found.clusters)
    coming = {name for one in found.sources.values() for name in one.changing}
    for name in names if args.word != GONE else ():
        if name not in found.clusters and name not in coming:
            raise known.missing(name, args.namespace, sorted(found.clusters))
    known.warn(client, args.namespace)
    return _awaited(client, args, names, args.timeout)


def _awaited(
    client: Client,
    args: argparse.Namespace,
    names: Collection[str],
    seconds: float,
    fresh: Callable[[seen.Seen, str], bool] = lambda found, name: True,
) -> int:
    """Wait in the form that is asked for, for so long."""
    if args.output == "text":
        return follow(client, args.namespace, names, seconds, args.word, fresh)
    ended = _followed(client, args.namespace, names, seconds, args.word, fresh, _progress)
    print(table.document(_document(ended, args.word), args.output))
    return _code(ended)


def _revision(args: argparse.Namespace) -> int:
    """Wait until the sources were read at the revision, then for the clusters that are asked for, or for all of these sources. Raises
    Stalled where no source was in time."""
    from reconciler.errors import Stalled
    from reconciler.verbs import reached

    began, commit = time.monotonic(), reached.wanted(args.revision)
    client = connection.connect(args)
    known.warn(client, args.namespace)
    found, at = reached.sources(client, args.namespace, commit, args.name, args.timeout, _progress)
    if not at:
        told = f"{commit.commit[:12]} was not read within {table.age(args.timeout)}: {reached.stand(found)}"
        raise Stalled(told, hint="was it pushed to the branch of a source? nidus status")
    changing = {name for one in at for name in found.sources[one].changing}
    names = args.name or {*changing, *(name for name, one in found.clusters.items() if one.source in at)}
    for name in set(names) - found.clusters.keys() - changing if args.word != GONE else ():
        raise known.missing(name, args.namespace, sorted(found.clusters))
    left = max(0.0, args.timeout - (time.monotonic() - began))
    args.word = STANDS if args.word == "Ready" and not args.name else args.word
    return _awaited(client, args, sorted(names), left, tried)


def _begun(client: Client, namespace: str, seconds: float) -> seen.Seen:
    """What is there, once a controller has told of a source: one that was just started has not. After so many seconds as it is."""
    ends = time.monotonic() + seconds
    while True:
        found = seen.read(client, namespace)
        left = ends - time.monotonic()
        if found.sources or found.clusters or left <= 0:
            return found
        _progress("no controller has told of a source yet")
        seen.wait(client, namespace, found.version, min(left, 1.0))


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a cluster stands to what is waited for: `done` once nothing more is to be waited for, `well` where that is good; `word` is its
    status."""

    done: bool
    well: bool
    text: str
    word: str = ""


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
    ended = _followed(client, namespace, names, timeout, word, fresh, lambda text: print(printable(text), flush=True))
    open_ = [one.text for one in ended.values() if not one.done]
    if open_:
        print(printable(f"not {_told(word)} within {table.age(timeout)}: {'; '.join(open_)}"))
    return _code(ended)


def _followed(
    client: Client,
    namespace: str,
    names: Collection[str],
    timeout: float,
    word: str,
    fresh: Callable[[seen.Seen, str], bool],
    tell: Callable[[str], None],
) -> dict[str, Verdict]:
    """How each ended, or how it stood when the time was over; `tell` is given each end as it comes."""
    began = time.monotonic()
    ended: dict[str, Verdict] = {}
    told: dict[str, Verdict] = {}
    there: set[str] = set()
    while len(ended) < len(names):
        left = timeout - (time.monotonic() - began)
        with seen.patiently():
            found = seen.read(client, namespace)
            there |= found.clusters.keys()
            for name in [name for name in names if name not in ended]:
                one = judge(name, found.clusters.get(name), word if name in there else _told(word))
                if one.done and (one.word == "Deleting" or fresh(found, name)):
                    ended[name] = one
                    tell(f"{one.text} (after {table.age(time.monotonic() - began)})")
                elif name not in told or told[name].text != one.text:
                    told[name] = Verdict(False, False, one.text, one.word)
                    _progress(one.text)
            if left > 0 and len(ended) < len(names):
                seen.wait(client, namespace, found.version, min(left, PAUSE))
        if left <= 0:
            break
    return {name: ended.get(name) or told.get(name, Verdict(False, False, name)) for name in names}


def _told(word: str) -> str:
    return "Ready" if word == STANDS else word


def _code(ended: Mapping[str, Verdict]) -> int:
    return usage.DONE if all(one.well for one in ended.values()) else usage.FAILED


def _document(ended: Mapping[str, Verdict], word: str) -> dict[str, object]:
    """For programs. `ok`: as it was waited for; `over` false: not in time."""
    clusters = [
        {"name": name, "status": one.word, "ok": one.well, "over": one.done, "message": one.text}
        for name, one in ended.items()
    ]
    return {"for": _told(word), "ok": all(one.well for one in ended.values()), "clusters": clusters}


FIRST = 15.0  # seconds for a controller that was just started to tell of its sources
PAUSE = 10.0  # seconds after which is looked again, whatever the watch says


def tried(found: seen.Seen, name: str) -> bool:
    """Whether a cluster that the newest commit of its source changed was tried with it."""
    one = found.clusters.get(name)
    source = found.sources.get(one.source) if one is not None else None
    return one is None or source is None or name not in source.changing or one.attempted == source.revision


def judge(name: str, one: ClusterView | None, word: str = "Ready") -> Verdict:
    """How one cluster stands. Held, Invalid, Suspended, Asleep and Stalled end a wait for Ready: they do not pass by themselves, or not
    soon."""
    from reconciler.report import why

    if one is None:
        awaited = word in (GONE, STANDS)
        return (
            Verdict(awaited, awaited, f"{name} is gone", GONE)
            if awaited
            else Verdict(False, False, f"{name} is not there yet")
        )
    said = why.of(one, None)
    text = f"{name} {one.word}" + (f": {said.message}" if said.message else "")
    if word == STANDS and one.word == "Deleting":
        return Verdict(True, True, text, one.word)
    word = _told(word)
    if one.word == word:
        return Verdict(True, True, text if word != "Ready" else f"{name} Ready at {short(one.applied)}", one.word)
    stalled = any(each.type == "Stalled" and each.status == "True" for each in one.conditions)
    if word in ("Ready", GONE) and (stalled or one.word in ("Held", "Invalid", "Suspended", "Asleep")):
        advice = said.advice or (f"nidus why {name} tells more",)
        return Verdict(True, False, f"{text}; {'; '.join(advice)}", one.word)
    return Verdict(False, False, text, one.word)


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        print(printable(text), file=sys.stderr, flush=True)
