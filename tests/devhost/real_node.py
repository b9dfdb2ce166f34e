"""What the tests of a real node share: whether one can run here, pods that ask for it, and what it could leave on the machine."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from devhost import tools
from devhost.node import needs, place
from devhost.node.start import PROGRAMS
from tests.devhost import traces

GROUP = "real node"
"""The group of every test of it: one of them at a time, whatever the number of workers."""

VOLATILE = re.compile(
    r"ns_last_pid|random/|/nf_conntrack_count$|/neigh/|/pty/nr$|sched_domain|/stat_refresh$|/compact_memory$|/flush$"
)


def skip_unless_possible() -> None:
    """Skip, saying what is missing, where no real node can run."""
    missing = needs.lacking(os.geteuid() == 0, os.environ["PATH"], needs.PLUGIN_FOLDERS)
    if missing:
        pytest.skip(f"a real node needs {', '.join(missing)}")
    if not all(map(tools.locate, PROGRAMS)):
        pytest.skip("the tools of a real node are not built: run `nidus host build --node real`")


def pod(name: str, *command: str, **spec: Any) -> dict[str, Any]:
    """A pod for the real node, of one container `c` of the base image that runs `command`; `container` adds to the container."""
    container = {"name": "c", "image": "nidus.local/base:1", "command": list(command)} | spec.pop("container", {})
    body = {"terminationGracePeriodSeconds": 0, "containers": [container], **on_real_node(), **spec}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}}, "spec": body}


def on_real_node() -> dict[str, Any]:
    """What a pod's spec says so that it runs on the real node beside fake ones."""
    return {
        "nodeSelector": {place.LABEL: "real"},
        "tolerations": [{"key": place.TAINT, "operator": "Exists", "effect": "NoSchedule"}],
    }


@dataclass(frozen=True, slots=True)
class Traces:
    """What is on the machine of the kinds that a node makes."""

    processes: frozenset[str]
    mounts: frozenset[str]
    links: str
    rules: str
    groups: frozenset[str]
    settings: tuple[tuple[str, str], ...]

    def differences(self, other: Traces) -> dict[str, Any]:
        """Return each field that differs, with what is in one of the two only."""
        found = {}
        for name in self.__slots__:
            one, two = getattr(self, name), getattr(other, name)
            if one != two:
                found[name] = set(one) ^ set(two) if not isinstance(one, str) else (one, two)
        return found


def look(folder: Path) -> Traces:
    """Return what is there now, of the host in `folder` and of nodes in general."""
    return Traces(
        processes=frozenset(traces.processes(folder)),
        mounts=frozenset(line.partition(" - ")[0].split(" ", 4)[4] for line in traces.mounts(folder)),
        links=_said("ip", "-o", "link"),
        rules=_said("nft", "list", "ruleset"),
        groups=frozenset(groups(place.cgroup(folder))),
        settings=tuple(settings()),
    )


def namespaces_below(supervisor: int) -> set[str]:
    """Return the namespaces, but our own, of the processes that descend from `supervisor`."""
    found, waiting = set(), [str(supervisor)]
    for pid in waiting:
        with contextlib.suppress(OSError):  # it ended meanwhile
            for file in Path(f"/proc/{pid}/task").glob("*/children"):
                waiting += file.read_text().split()
        found |= _namespaces(pid)
    return found - _namespaces("self")


def in_use() -> set[str]:
    """Return every namespace in which a process is."""
    return set().union(*(_namespaces(one.name) for one in Path("/proc").glob("[0-9]*")))


def _namespaces(pid: str) -> set[str]:
    try:
        return {str(link.readlink()) for link in Path(f"/proc/{pid}/ns").iterdir()}
    except OSError:
        return set()


def groups(own: str) -> set[str]:
    """Return the control groups that look like a node's or a pod's, but those of other hosts' nodes: `own` is the name of this one's."""
    folders = (Path(at, name) for at, names, _ in os.walk("/sys/fs/cgroup") for name in names)
    found = (str(one) for one in folders if re.search("nidus-|kubepods", one.name))
    others = re.compile(rf"/(?!{own}(?:/|$))nidus-[0-9a-f]{{12}}(?:/|$)")
    return {one for one in found if not others.search(one)}


def settings() -> list[tuple[str, str]]:
    """Return the machine's settings that a kubelet, kube-proxy or network plugin might change."""
    found = []
    walks = (walk for root in ("kernel", "vm", "net") for walk in os.walk(f"/proc/sys/{root}"))
    for path in sorted(Path(at, name) for at, _, names in walks for name in names):
        if not VOLATILE.search(str(path)):
            with contextlib.suppress(OSError):  # it may not be read, or its interface is gone
                found.append((str(path), path.read_text()))
    return found


def _said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
