"""`load` (G7): a cold start with many specs, from the mirror to a snapshot on one core, against per-file validation.

The rival does per file what kubeconform-like tools do: read it from disk, `yaml.load` with CSafeLoader, validate with a
`jsonschema` validator compiled once. It does less than ours: no check of duplicate keys, no cross-references, no digests.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import yaml

from bench import documents
from bench.report import Outcome, Row, Size

RIVAL_SPECS = 1000
TICK = 0.01  # seconds: the finest CPU time the kernel tells of other processes
"""So many files say what one costs the rival; it has nothing that grows with their number."""


@dataclass(frozen=True, slots=True)
class Ours:
    """CPU seconds of each part, git's included, the whole's wall seconds, and what came out."""

    tree: float
    read: float
    load: float
    wall: float
    clusters: int
    bytes: int


def run(size: Size) -> Outcome:
    """Each side in a fresh process on one core."""
    with tempfile.TemporaryDirectory(prefix="nidus-bench-") as text:
        folder = Path(text) / "repository"
        folder.mkdir()
        documents.fill(folder, size.specs, 1)
        _commit(folder)
        ours = _alone(_ours, folder)
        rival = _alone(_rival, folder, min(size.specs, RIVAL_SPECS))
    if ours.clusters != size.specs:
        raise SystemExit(f"load: {ours.clusters} of {size.specs} specs are sound: the benchmark's documents are wrong")
    total = ours.tree + ours.read + ours.load
    rows = [
        Row("list the tree", ours.tree, "CPU s"),
        Row("read blobs (git cat-file --batch)", ours.read, "CPU s"),
        Row("parse, validate, cross-check, digest", ours.load, "CPU s"),
        Row(f"total for {size.specs} specs", total, "CPU s", goal=1.5 * size.specs / 10_000),
        Row("wall, beside whatever else runs", ours.wall, "s"),
        Row("ours per spec", total / size.specs * 1e6, "us"),
        Row("jsonschema + CSafeLoader per spec", rival * 1e6, "us"),
        Row("rival / ours", rival * size.specs / max(total, TICK), "x", goal=5, at_least=True),
    ]
    counted = f"the rival's figure is the mean over {min(size.specs, RIVAL_SPECS)} of the same files"
    return Outcome(
        "load",
        "G7",
        rows,
        [f"{ours.bytes / size.specs:.0f} bytes a spec; one core; CPU time, since others may share it", counted],
    )


def _alone(work: Any, *words: Any) -> Any:
    with ProcessPoolExecutor(1, get_context("spawn"), _pin) as pool:
        return pool.submit(work, *words).result()


def _pin() -> None:
    """One core for this process and the git processes it starts."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def _ours(folder: Path) -> Ours:
    from reconciler.model import Limits, SourceConfig
    from reconciler.source.mirror import Mirror
    from reconciler.spec import config, load

    limits, rules, facts = Limits(), config.anything(), config.NOWHERE
    config_of, place = SourceConfig("bench", str(folder)), folder.parent / "mirror"
    mirror = Mirror.open(config_of, place, limits=limits)
    try:
        revision = mirror.fetch()
        mirror.close()  # git's time counts once its process has ended: read through a new one, from an empty start
        mirror = Mirror.open(config_of, place, limits=limits)
        wall, began = time.perf_counter(), _cpu()
        tree = mirror.tree(revision.commit)
        listed = _cpu()
        blobs = mirror.read(load.wanted(tree, load.NOTHING))
        wall_read = time.perf_counter()
        mirror.close()
        read, closed = _cpu(), time.perf_counter()
        snapshot, _ = load.load("bench", revision, tree, blobs, load.NOTHING, rules, facts, limits)
        done = _cpu()
        taken = time.perf_counter() - closed + wall_read - wall
    finally:
        mirror.close()
    found = len(snapshot.specs.clusters)
    return Ours(listed - began, read - listed, done - read, taken, found, sum(map(len, blobs.values())))


def _cpu() -> float:
    """CPU seconds of this process and of the children that ended."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


def _rival(folder: Path, count: int) -> float:
    """CPU seconds a spec."""
    from jsonschema import Draft7Validator

    import schemas

    validator = Draft7Validator(schemas.load("NestedCluster"))
    files = sorted((folder / "clusters").glob("*.yaml"))[:count]
    began = _cpu()
    for file in files:
        for body in yaml.load_all(file.read_bytes(), yaml.CSafeLoader):
            if next(validator.iter_errors(body), None) is not None:
                raise SystemExit(f"load: the rival refuses {file.name}")
    return (_cpu() - began) / len(files)


def _commit(folder: Path) -> None:
    identity = ["-c", "user.name=bench", "-c", "user.email=bench@nidus.invalid", "-c", "commit.gpgsign=false"]
    for words in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "bench"]):
        subprocess.run(["git", *identity, *words], cwd=folder, check=True, timeout=120)
