"""`nidus run`: the controller, until a signal ends it."""

import argparse
import gc
import sys
import threading

from reconciler.errors import UsageError
from reconciler.verbs import connection, known, quick, signals

EXAMPLES = (
    ("--config nidus.yaml", "as deployed"),
    ("--repo /srv/platform.git", "quick start, one repository"),
    ("--repo . --dashboard 9294", "with the dashboard, for this machine alone"),
)

USUAL = (700, 10, 10)  # of Python: a controller lives longer than a start
_NO_ENGINE = (
    "spec.engine of --config names no version; with --repo, NIDUS_ENGINE_CHART names the folder of the engine's chart"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config", default="", metavar="FILE", help="the controller's configuration (kind ControllerConfig)"
    )
    parser.add_argument(
        "--repo", default="", metavar="URL|PATH", help="quick start: one repository, instead of the file's sources"
    )
    parser.add_argument("--branch", default="", help="its branch (default: main)")
    parser.add_argument("--path", default="", help="the folder in it (default: the whole repository)")
    parser.add_argument(
        "--dashboard",
        type=int,
        default=0,
        metavar="PORT",
        help="with --repo: show the dashboard at this port of this machine; the log says its address",
    )
    connection.add_arguments(parser, namespace="")


def run(args: argparse.Namespace) -> int:
    """Start, wait for SIGTERM or SIGINT, stop within the grace period (H2). Exit code 0 after a stop, 1 where it could not start, 64
    where --repo names no repository."""
    from reconciler.controller.service import Service

    gc.set_threshold(*USUAL)
    told = connection.configured(args, repo=args.repo, branch=args.branch, path=args.path)
    if args.dashboard and not args.repo:
        raise UsageError("--dashboard is for --repo", hint="spec.server.dashboard of the configuration")
    if args.repo:
        quick.check(told)
        told = quick.shown(told, args.dashboard) if args.dashboard else told
    if not told.engines:
        print(f"note: no nested cluster can be made: {_NO_ENGINE}", file=sys.stderr)
    ended = threading.Event()
    service = Service(told)

    def end() -> None:
        ended.set()
        service.interrupt()

    signals.on_end(end)
    try:
        with known.installed():
            service.start()
        ended.wait()
    finally:
        service.stop()
    return 0
