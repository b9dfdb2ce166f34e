"""`nidus host`: build, start, show and stop the embedded host, a real control plane on this machine."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

EXAMPLES = (("up", "start it"), ("status", "what runs"), ("down", "end it"))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the sub-verbs build, up, down, status, kubeconfig and image."""
    verbs = parser.add_subparsers(dest="host_verb", required=True, metavar="VERB")
    build = verbs.add_parser("build", help="build the tools that are not on this machine yet")
    build.add_argument("--syncer", action="store_true", help="build kine and helm too, which the real syncer needs")
    build.add_argument(
        "--download",
        action="store_true",
        help="fetch released binaries instead of building them, where they are published",
    )
    _with_node(build, "build what a real node needs too")
    up = _with_folder(
        verbs.add_parser("up", help="start the host, building its tools first; does nothing when it runs")
    )
    up.add_argument("--nodes", type=_count, default=3, metavar="N", help="fake nodes (default 3)")
    up.add_argument("--nested", choices=("own", "shared", "none"), default="own", help="what a nested cluster runs on")
    up.add_argument("--foreground", action="store_true", help="stay, and end the host when this command ends")
    up.add_argument("--audit", action="append", default=[], metavar="USER", help="log what USER does, with bodies")
    _with_node(up, "a real node besides, where pods really run; needs root and packages of Debian")
    down = _with_folder(verbs.add_parser("down", help="end the host and remove its folder"))
    down.add_argument("--keep", action="store_true", help="keep the folder, so that the next `up` goes on from it")
    status = _with_folder(verbs.add_parser("status", help="what runs: component, pid, state, memory, address, version"))
    status.add_argument("-o", "--output", choices=("table", "json"), default="table")
    _with_folder(verbs.add_parser("kubeconfig", help="print where the administrator's kubeconfig is"))
    image = _with_folder(verbs.add_parser("image", help="make an image of a folder and put it onto the real node"))
    image.add_argument("name", metavar="NAME", help="name and tag, such as example.com/shop:1")
    image.add_argument(
        "--from", dest="source", type=Path, required=True, metavar="FOLDER", help="the image's whole file tree"
    )
    image.add_argument(
        "--entrypoint", action="append", default=[], metavar="WORD", help="a word of what it starts; may be repeated"
    )
    image.add_argument("--env", action="append", default=[], metavar="NAME=VALUE", help="may be repeated")
    image.add_argument("--user", default="", metavar="UID[:GID]", help="whom it runs as (default root)")
    image.add_argument("--workdir", default="", metavar="PATH", help="where it starts")


def run(args: argparse.Namespace) -> int:
    """Run the sub-verb in `args`; return the exit code. An error is one sentence on standard error."""
    try:
        from devhost import command
        from devhost.errors import HostError
    except ModuleNotFoundError as error:
        print(f"nidus host needs the package {error.name}: install nidus-gitops[host]", file=sys.stderr)
        return 1
    try:
        return command.VERBS[args.host_verb](args)
    except HostError as error:
        print(error, file=sys.stderr)
        return 1


def _with_folder(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument(
        "--dir", type=Path, metavar="D", help="the host's folder (default $NIDUS_HOST_DIR or .nidus/host)"
    )
    return parser


def _with_node(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument("--node", choices=("real",), default="", help=what)


def _count(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 1000:
        raise argparse.ArgumentTypeError("between 0 and 1000")
    return number
