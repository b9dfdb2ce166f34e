"""What the sub-verbs of `nidus host` do, given their parsed arguments; each returns an exit code."""

from __future__ import annotations

import argparse
import dataclasses
import json
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from devhost import layout, lifecycle
from devhost.build import build
from devhost.errors import HostError
from devhost.lifecycle import ProcessStatus
from devhost.node import images, needs, oci
from devhost.pins import NEEDED, REAL_NODE, SYNCER
from devhost.progress import named, printed
from devhost.state import Host


def host_build(args: argparse.Namespace) -> int:
    """Build what is missing, or fetch what is released of it."""
    made = build((*_builds(args), *(SYNCER if args.syncer else ())), printed, released=args.download)
    print("\n".join(map(str, made)) if made else "every tool is there")
    return 0


def host_up(args: argparse.Namespace) -> int:
    """Start the host and say how to reach it; in the foreground, stay until a signal and take it down then."""
    if args.node:
        needs.require()
    build(_builds(args), printed)
    if not args.foreground:
        _up(args)
        return 0
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)  # as Ctrl-C: KeyboardInterrupt
    try:
        _watch(_up(args))
    except KeyboardInterrupt:
        lifecycle.down(_folder(args))
    return 0


def host_down(args: argparse.Namespace) -> int:
    """End the host."""
    folder = _folder(args)
    print(
        f"ended, {folder} {'kept' if args.keep else 'removed'}" if lifecycle.down(folder, args.keep) else "no host runs"
    )
    return 0


def host_status(args: argparse.Namespace) -> int:
    """Print what runs; exit 1 when nothing does."""
    rows = lifecycle.status(_folder(args))
    if args.output == "json":
        print(json.dumps([dataclasses.asdict(row) for row in rows], indent=2))
    else:
        print(table(rows) if rows else f"no host runs in {_folder(args)}")
    return 0 if rows else 1


def host_kubeconfig(args: argparse.Namespace) -> int:
    """Print the path of the administrator's kubeconfig."""
    host = lifecycle.find(_folder(args))
    if host is None:
        raise HostError(f"no host runs in {_folder(args)}: start one with `nidus host up`")
    print(host.kubeconfig)
    return 0


def host_image(args: argparse.Namespace) -> int:
    """Put an image made of a folder onto the real node."""
    config = oci.Config(
        entrypoint=tuple(args.entrypoint),
        environment=(oci.PATH_VARIABLE, *args.env),
        user=args.user,
        folder=args.workdir,
    )
    digest = images.load(_folder(args), args.name, oci.folder_entries(args.source), config)
    print(f"{oci.full_name(args.name)}@{digest}")
    return 0


VERBS: dict[str, Callable[[argparse.Namespace], int]] = {
    "build": host_build,
    "up": host_up,
    "down": host_down,
    "status": host_status,
    "kubeconfig": host_kubeconfig,
    "image": host_image,
}


def table(rows: Sequence[ProcessStatus]) -> str:
    """Return `rows` as aligned columns under a heading; memory in MiB."""
    heading = ("COMPONENT", "PID", "STATE", "MEMORY", "ADDRESS", "VERSION")
    cells = [heading, *map(_cells, rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in cells)
    return "\n".join(map(str.rstrip, lines))


def _cells(row: ProcessStatus) -> tuple[str, ...]:
    memory = f"{row.memory / 2**20:.0f} MiB"
    return (row.component, str(row.pid), row.state, memory, row.address or "-", row.version or "-")


def _up(args: argparse.Namespace) -> Host:
    wish = {"nodes": args.nodes, "nested": args.nested, "node": args.node, "audit": args.audit}
    host = lifecycle.up(_folder(args), **wish, tied=args.foreground, progress=named)
    named("")
    print(f"ready at {host.server}\nexport KUBECONFIG={host.kubeconfig}", flush=True)
    return host


def _watch(host: Host) -> None:
    """Stay as long as the host. Raises HostError when it ends by itself."""
    while lifecycle.find(host.folder) is not None:
        time.sleep(1.0)
    raise HostError(f"the host in {host.folder} ended; its logs are in {layout.logs(host.folder)}")


def _builds(args: argparse.Namespace) -> tuple[str, ...]:
    return (*NEEDED, *(REAL_NODE if args.node else ()))


def _folder(args: argparse.Namespace) -> Path:
    return args.dir.absolute() if args.dir else layout.default_folder()
