"""What verbs share that read a folder's documents, check them by somebody's rules, and render what they make of them."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reconciler.model import HostFacts, Limits, Revision, Rules, Snapshot, Tree
    from reconciler.packs.blobs import Read
    from reconciler.packs.render import Renderer


@dataclass(frozen=True, slots=True)
class Terms:
    """What documents are checked by."""

    rules: Rules
    facts: HostFacts
    limits: Limits


def anything() -> Terms:
    """Terms that allow whatever some configuration could."""
    from reconciler.model import Limits
    from reconciler.spec import config

    return Terms(config.anything(), config.NOWHERE, Limits())


def checked(name: str, found: tuple[Revision, Tree, Read], terms: Terms) -> tuple[Snapshot, Mapping[str, bytes]]:
    """The documents of a folder (`source.folder.read`), checked as those of source `name`; the bytes that were read for it, by
    oid."""
    from reconciler.spec import load

    revision, tree, read = found
    blobs = read(load.wanted(tree, load.NOTHING))
    snapshot, _ = load.load(name, revision, tree, blobs, load.NOTHING, terms.rules, terms.facts, terms.limits)
    return snapshot, blobs


def newest(rules: Rules) -> str:
    """The newest version of Kubernetes that is offered: where neither a document nor a server says one, charts see this."""
    from reconciler.model import EngineConfig
    from reconciler.spec import semver

    offered = rules.kubernetes_versions or EngineConfig(versions=()).kubernetes_versions
    return max(offered, key=lambda one: semver.version(one.removeprefix("v")))


@contextmanager
def renderer(workers: int = 1) -> Iterator[Renderer]:
    """Render workers, as confined as this machine can; where it cannot, standard error says so. Raises Stalled there where
    $NIDUS_CONFINED is "require", as it should be for what strangers wrote."""
    from reconciler import settings
    from reconciler.packs.process import not_confined
    from reconciler.packs.render import Renderer

    opened = Renderer(workers, confined=False)
    try:
        if not opened.confinement():
            if settings.environment("NIDUS_CONFINED") == "require":
                raise not_confined()
            print("note: charts are rendered without confinement: they could reach the network", file=sys.stderr)
        yield opened
    finally:
        opened.close()
