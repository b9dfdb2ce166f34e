"""`plan` (G6): what `nidus plan` of one changed cluster costs in a repository of many files, and what it reads.

The controller has applied everything and is stopped, so that the audit log of the host holds the plan's requests alone. CPU time is that of
the command and of git below it.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any, Final

from bench import documents, scene
from bench.report import Outcome, Row, Size, environment
from devhost import account

FILES: Final = 10
"""Files in the repository for each cluster, its own document among them; nobody names the others."""
RUNNING: Final = 5
OBJECTS: Final = 20


@dataclass(frozen=True, slots=True)
class Once:
    """One plan: seconds of CPU and of the clock, and the namespaces and kinds its requests were about."""

    cpu: float
    wall: float
    asked: tuple[tuple[str, str], ...]


def run(size: Size) -> Outcome:
    """Medians over a third of `rounds`, each with another change of the same cluster."""
    with scene.opened(size.clusters, OBJECTS, running=min(RUNNING, size.running), audited=True) as made:
        _fill(made, size)
        made.start()
        made.await_ready()
        made.controller.stop()
        _settle(made)
        taken = [_once(made, stamp) for stamp in range(max(1, size.rounds // 3) + 1)][1:]
    files = size.clusters * FILES
    others = sum(_other(namespace) for one in taken for namespace, _ in one.asked)
    rows = [
        Row(f"CPU of a plan, 1 of {size.clusters} clusters changed, {files} files", _median(taken, "cpu"), "s", 0.5),
        Row("wall, beside whatever else runs", _median(taken, "wall"), "s"),
        Row("requests to the host", statistics.median(len(one.asked) for one in taken), ""),
        Row("requests about other clusters' namespaces", others, "", 0),
    ]
    asked = ", ".join(sorted({what for one in taken for _, what in one.asked}))
    return Outcome("plan", "G6", rows, [f"medians of {len(taken)}; asked of the host: {asked}"])


def _median(taken: list[Once], field: str) -> float:
    return statistics.median(float(getattr(one, field)) for one in taken)


def _fill(made: scene.Scene, size: Size) -> None:
    """Files that belong to nobody beside the documents; all in one pack, as a clone has them: loose objects Git opens one by one."""
    for number in range(size.clusters * (FILES - 1)):
        path = made.stage.repository.work / "notes" / f"{number // 100}" / f"{number}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# Note {number}\nWhat a team writes beside its cluster.\n")
    made.push("notes")
    subprocess.run(["git", "gc", "--quiet"], cwd=made.stage.repository.work, check=True, timeout=120)


def _settle(made: scene.Scene) -> None:
    """Let the records of suspended clusters, which stand for others of a fleet, say that what they took up ended Ready: those of clusters
    that never did are planned at each plan."""
    from reconciler.inventory.store import Store
    from reconciler.kube import edge
    from reconciler.model import HostConfig, replace

    client = edge.host(HostConfig(kubeconfig=str(made.kubeconfig)))
    try:
        store = Store(client, account.SYSTEM)
        for state in store.load().states.values():
            if state.record.ready != state.record.bundle:
                store.write(replace(state, record=replace(state.record, ready=state.record.bundle)))
    finally:
        client.close()


def _once(made: scene.Scene, stamp: int) -> Once:
    """The first is not counted: it fills the caches of the disk, and compiles."""
    made.write(documents.path_of(0), documents.cluster(0, f"changed-{stamp}"))
    log, before, began = made.audit(), _children(), time.perf_counter()
    words = [sys.executable, "-m", "reconciler", "plan", str(made.stage.repository.work)]
    done = subprocess.run(
        [*words, "--config", str(made.stage.config)],
        env={**environment(made.stage.folder), "KUBECONFIG": str(made.kubeconfig), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    wall, cpu = time.perf_counter() - began, _children() - before
    changed = f"{OBJECTS} to configure"
    if done.returncode or changed not in done.stdout:
        raise SystemExit(
            f"plan: {changed} was expected: {done.returncode}\n{done.stdout[-1500:]}\n{done.stderr[-500:]}"
        )
    return Once(cpu, wall, tuple(map(_about, log.events(scene.USER))))


def _about(event: dict[str, Any]) -> tuple[str, str]:
    about = event.get("objectRef", {})
    return str(
        about.get("namespace", "")
    ), f"{event['verb']} {about.get('resource', event['requestURI'].split('?')[0])}"


def _other(namespace: str) -> bool:
    """Whether it is the namespace of a cluster that was not changed."""
    return namespace.startswith("vcluster-") and namespace != f"vcluster-{documents.name_of(0)}"


def _children() -> float:
    """CPU seconds of the children that ended, theirs included."""
    spent = os.times()
    return spent.children_user + spent.children_system
