"""`python -m bench [NAME...]`: runs benchmarks one after another; a table on stdout, JSON in bench/results/."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from dataclasses import fields

from bench.report import Size, keep, show

NAMES = (
    "start",
    "load",
    "plan",
    "comment",
    "push",
    "throughput",
    "rollout",
    "noop",
    "hanging",
    "hostile",
    "elsewhere",
    "replays",
    "webhook",
    "dashboard",
)


def main(words: Sequence[str] | None = None) -> int:
    """Exit code 0 when everything was measured, whatever the figures; a run that measured nothing true ends with a sentence."""
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="Benchmarks of Nidus; see docs/performance.md."
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which ones (default: all): {', '.join(NAMES)}")
    for one in fields(Size):
        kind = float if one.name == "idle" else int
        parser.add_argument(f"--{one.name}", type=kind, default=one.default, help="default: %(default)s")
    args = parser.parse_args(words)
    unknown = sorted(set(args.names) - set(NAMES))
    if unknown:
        parser.error(f"no benchmark is called {', '.join(unknown)}")
    size = Size(**{one.name: getattr(args, one.name) for one in fields(Size)})
    for name in args.names or NAMES:
        outcome = importlib.import_module(f"bench.{name}").run(size)
        show(outcome)
        print(f"  kept in {keep(outcome, size)}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
