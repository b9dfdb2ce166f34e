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
"""So many files say what one costs the rival; it has nothing that grows with their number."""


@dataclass(frozen=True, slots=True)
class Ours:
    """Seconds of each part, and what came out."""

    tree: float
    read: float
    load: float
    clusters: int
    bytes: int


def run(size: Size) -> Outcome:
    """Each side in a fresh process on one core."""
    with tempfile.TemporaryDirectory(prefix="nidus-bench-") as text:
        folder = Path(text)
        documents.fill(folder, size.specs, 1)
        _commit(folder)
        ours = _alone(_ours, folder)
        rival = _alone(_rival, folder, min(size.specs, RIVAL_SPECS))
    if ours.clusters != size.specs:
        raise SystemExit(f"load: {ours.clusters} of {size.specs} specs are sound: the benchmark's documents are wrong")
    total = ours.tree + ours.read + ours.load
    rows = [
        Row("list the tree", ours.tree, "s"),
        Row("read blobs (git cat-file --batch)", ours.read, "s"),
        Row("parse, validate, cross-check, digest", ours.load, "s"),
        Row(f"total for {size.specs} specs", total, "s", goal=1.5 * size.specs / 10_000),
        Row("ours per spec", total / size.specs * 1e6, "us"),
        Row("jsonschema + CSafeLoader per spec", rival * 1e6, "us"),
        Row("rival / ours", rival * size.specs / total, "x", goal=5, at_least=True),
    ]
    counted = f"the rival's figure is the mean over {min(size.specs, RIVAL_SPECS)} of the same files"
    return Outcome("load", "G7", rows, [f"{ours.bytes / size.specs:.0f} bytes a spec; wall time on one core", counted])


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

    limits, policy = Limits(), config.anything()
    mirror = Mirror.open(SourceConfig("bench", str(folder)), folder.parent / f"{folder.name}-mirror", limits=limits)
    try:
        revision = mirror.fetch()
        began = time.perf_counter()
        tree = mirror.tree(revision.commit)
        listed = time.perf_counter()
        blobs = mirror.read(load.wanted(tree, load.NOTHING))
        read = time.perf_counter()
        snapshot, _ = load.load("bench", revision, tree, blobs, load.NOTHING, policy, limits)
        done = time.perf_counter()
    finally:
        mirror.close()
        subprocess.run(["rm", "-rf", f"{folder}-mirror"], check=True)
    found = len(snapshot.specs.clusters)
    return Ours(listed - began, read - listed, done - read, found, sum(map(len, blobs.values())))


def _rival(folder: Path, count: int) -> float:
    """Seconds a spec."""
    from jsonschema import Draft7Validator

    import schemas

    validator = Draft7Validator(schemas.load("NestedCluster"))
    files = sorted((folder / "clusters").glob("*.yaml"))[:count]
    began = time.perf_counter()
    for file in files:
        for body in yaml.load_all(file.read_bytes(), yaml.CSafeLoader):
            if next(validator.iter_errors(body), None) is not None:
                raise SystemExit(f"load: the rival refuses {file.name}")
    return (time.perf_counter() - began) / len(files)


def _commit(folder: Path) -> None:
    identity = ["-c", "user.name=bench", "-c", "user.email=bench@nidus.invalid", "-c", "commit.gpgsign=false"]
    for words in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "bench"]):
        subprocess.run(["git", *identity, *words], cwd=folder, check=True, timeout=120)
