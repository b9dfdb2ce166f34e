"""What verbs share that read a folder's documents, check them by somebody's rules, and render what they make of them."""

from __future__ import annotations

import functools
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from msgspec import Struct

from reconciler.errors import printable

if TYPE_CHECKING:
    from reconciler.model import ContentConfig, HostFacts, Limits, Remote, Revision, Rules, Snapshot, Tree
    from reconciler.packs.blobs import Read
    from reconciler.packs.content import Content
    from reconciler.packs.content.direct import Direct
    from reconciler.packs.content.fetch import Means
    from reconciler.packs.render import Renderer
    from reconciler.verbs.parsed import Parsed


class Terms(Struct, frozen=True):
    """What documents are checked by. `content`: what may come from elsewhere, None where no operator said it."""

    rules: Rules
    facts: HostFacts
    limits: Limits
    content: ContentConfig | None = None


def anything() -> Terms:
    """Terms that allow whatever some configuration could."""
    from reconciler.model import Limits
    from reconciler.spec import config

    return Terms(config.anything(), config.NOWHERE, Limits())


def checked(
    name: str, found: tuple[Revision, Tree, Read], terms: Terms, kept: Parsed | None = None
) -> tuple[Snapshot, Mapping[str, bytes]]:
    """The documents of a folder (`source.folder.read`), checked as those of source `name`; the bytes that were read for it, by
    oid. `kept` is what was read of the folder before."""
    from reconciler.spec import load

    revision, tree, read = found
    known = kept.known if kept else load.NOTHING
    blobs = read(load.wanted(tree, known))
    snapshot, now = load.load(name, revision, tree, blobs, known, terms.rules, terms.facts, terms.limits)
    if kept:
        kept.keep(now.entries)
    return snapshot, {entry.oid: entry.data for entry in now.entries.values()} | blobs


def newest(rules: Rules) -> str:
    """The newest version of Kubernetes that is offered: where neither a document nor a server says one, charts see this."""
    from reconciler.model import EngineConfig
    from reconciler.spec import semver

    offered = rules.kubernetes_versions or EngineConfig(versions=()).kubernetes_versions
    return max(offered, key=lambda one: semver.version(one.removeprefix("v")))


@contextmanager
def renderer(workers: int = 1, content: Content | None = None) -> Iterator[Renderer]:
    """Render workers, as confined as this machine can. `content` gives what comes from elsewhere, by default whatever public addresses
    have. Raises as `check_confinement`."""
    with starting(workers, content) as opened:
        check_confinement(opened)
        yield opened


@contextmanager
def starting(workers: int = 1, content: Content | None = None) -> Iterator[Renderer]:
    """As `renderer`, while the workers still start: the caller does something else meanwhile, and calls `check_confinement` before
    anything is rendered."""
    from reconciler.packs.render import Renderer
    from reconciler.verbs.shelf import Shelf

    opened = Renderer(
        workers, confined=False, yields=False, content=content or elsewhere(None), shelf=Shelf(), ahead=()
    )
    try:
        yield opened
    finally:
        opened.close()


def check_confinement(opened: Renderer) -> None:
    """Wait until a worker has started; where this machine cannot confine it, standard error says so. Raises Stalled there where
    $NIDUS_CONFINED is "require", as it should be for what strangers wrote."""
    from reconciler import settings
    from reconciler.packs.process import not_confined

    if not opened.confinement():
        if settings.environment("NIDUS_CONFINED") == "require":
            raise not_confined()
        print("note: charts are rendered without confinement: they could reach the network", file=sys.stderr)


def elsewhere(config: ContentConfig | None, *, offline: bool = False) -> Content:
    """Content from elsewhere as a verb reads it: from the store in the user's cache folder, fetched first where it is not there.
    `config` None: no operator said what is allowed, so public addresses are."""
    return _Late(config, offline=offline)


def means(config: ContentConfig | None) -> Means:
    """What a verb fetches with; `config` as for `elsewhere`."""
    from reconciler import settings
    from reconciler.model import ContentConfig
    from reconciler.packs.content.access import Access
    from reconciler.packs.content.client import Client
    from reconciler.packs.content.fetch import Means
    from reconciler.packs.content.store import Store
    from reconciler.spec import units

    store = Store(settings.content_folder(), units.size((config or ContentConfig()).store))
    return Means(store, Access(config.allow if config else None), Client())


class _Late:
    """Content that costs nothing until some layer names it: what fetches is loaded then."""

    def __init__(self, config: ContentConfig | None, *, offline: bool) -> None:
        self._config, self._offline = config, offline

    def read(self, oids: Collection[str], cluster: str) -> dict[str, bytes]:
        """As `Content.read`."""
        return self._direct.read(oids, cluster)

    def used(self, oids: Collection[str], source: str) -> None:
        """As `Content.used`."""
        self._direct.used(oids, source)

    @functools.cached_property
    def _direct(self) -> Direct:
        from reconciler.packs.content.direct import Direct

        return Direct(means(self._config), offline=self._offline, progress=_Told())


class _Told:
    """Writes how far a fetch is to a terminal, a line for each whole MiB."""

    def __init__(self) -> None:
        self._last: tuple[str, int] = ("", 0)

    def __call__(self, remote: Remote, size: int) -> None:
        now = (str(remote), size >> 20)
        if now != self._last and sys.stderr.isatty():
            print(printable(f"fetching {remote}: {size >> 20} MiB"), file=sys.stderr)
        self._last = now
