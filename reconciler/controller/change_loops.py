"""The loops over change requests, one thread for each source whose forge has an API."""

import threading
import time
from collections.abc import Callable, Collection, Iterator
from functools import partial
from typing import Any

from reconciler import forges
from reconciler.controller import contents, sync_requests
from reconciler.controller.changes import Changes
from reconciler.controller.opened import Open
from reconciler.controller.pace import Pace
from reconciler.controller.registry import Registry
from reconciler.controller.reviewing import Reviewer, Tools
from reconciler.controller.rounds import Rounds
from reconciler.controller.watches import Watches
from reconciler.inventory import requests
from reconciler.inventory.reviews import Reviews
from reconciler.kube.client import Client
from reconciler.model import ForgeConfig, Held, Object, SourceConfig
from reconciler.packs.blobs import beside
from reconciler.packs.content import Content
from reconciler.packs.render import Renderer
from reconciler.plan import render_change, render_json, render_text, summary
from reconciler.plan.lines import Style
from reconciler.report import Reporter, view
from reconciler.report.life import stamp
from reconciler.settings import Settings
from reconciler.source.changes import ChangesMirror
from reconciler.spec import units

EVERY = 15.0  # seconds between two looks at what moved; the forge is asked at each `interval`


class ChangeLoops:
    """`open` opens a mirror for each source with a forge, `start` begins its loop. `released` is called with a source and its clusters
    whose deletions were approved with a merge."""

    def __init__(
        self,
        settings: Settings,
        host: Client,
        registry: Registry,
        watches: Watches,
        salt: bytes,
        stop: threading.Event,
        reporter: Reporter,
        released: Callable[[str, Collection[str]], None] = lambda source, clusters: None,
        content: Content | None = None,
    ) -> None:
        self._content = content
        self._released, self._reporter = released, reporter
        self._settings, self._registry, self._watches, self._salt, self._stop = settings, registry, watches, salt, stop
        self._changes: dict[str, Changes] = {}
        self._heard: dict[str, int] = {}
        self._mirrors: list[ChangesMirror] = []
        self._renderer: Renderer | None = None
        self._forges = {one.name: one.forge for one in settings.config.sources if one.forge is not None}
        repositories = {name: f"{one.provider} {one.api} {one.repository}" for name, one in self._forges.items()}
        self._records = Reviews(host, settings.config.namespace, repositories)
        self._ask = partial(requests.write, host, settings.config.namespace)
        self.rounds: dict[str, Rounds] = {}

    def open(self) -> None:
        """Open mirrors, and take up what an earlier process knew: before the branches are read, which bind what was shown. Raises
        NidusError where a mirror cannot be opened or the records cannot be read."""
        records = self._records.load()
        for source in self._settings.config.sources:
            if source.forge is not None:
                self._renderer = self._renderer or contents.review_renderer(self._settings, self._content)
                self._changes[source.name] = changes = self._made(source, source.forge, self._renderer)
                changes.recall(records[source.name])

    def start(self) -> None:
        """Begin the loops."""
        for name, changes in self._changes.items():
            every = min(EVERY, units.duration(self._forges[name].review.interval))
            self.rounds[name] = rounds = Rounds("changes", changes.look, self._stop, every=every, pace=Pace())
            changes.alive = rounds.beat
            rounds.start()

    def moved(self, cluster: str) -> None:
        """An object of a cluster changed, or content for it is here. A cluster of no source yet may be of any change request."""
        source = self._registry.source_of(cluster)
        for name, changes in self._changes.items():
            if source in ("", name):
                changes.moved(cluster)

    def marked(self, item: Object) -> None:
        """A source object changed: one of its change requests moved where a webhook says so, each of which counts once. All else that
        changes on it, as by a person's sync, is nothing to ask a forge for."""
        generation = sync_requests.read(item, sync_requests.CHANGES, time.time_ns())
        if generation:
            self.asked(str(item["metadata"]["name"]), generation)

    def asked(self, source: str, generation: int = 0) -> None:
        """The branch of a source moved, or one of its change requests, which a webhook stored as `generation`: each counts once."""
        if source in self._changes and (not generation or generation > self._heard.get(source, 0)):
            self._heard[source] = max(generation, self._heard.get(source, 0))
            self._changes[source].asked()
            self.rounds[source].ask()

    def told(self) -> list[dict[str, Any]]:
        """Every open change request, newest first, as JSON."""
        return [_told(name, one) for name, changes in sorted(self._changes.items()) for one in changes.open()]

    def whole(self, source: str, number: int) -> dict[str, Any] | None:
        """The whole plan of one, as JSON and as text; None where it is not open, or has none."""
        opened = self._changes[source].open() if source in self._changes else ()
        for one in opened:
            if one.change.number == number and one.planned is not None and one.planned.review is not None:
                review = one.planned.review
                totals = summary.totals(review)
                judged = {"failed": totals.failed, "waits": totals.waits, "moves": totals.moves}
                return judged | {
                    "text": render_text.render(review, Style(detail=True)),
                    "plan": render_json.render(review),
                }
        return None

    def halt(self) -> None:
        """End the calls of git under way, from any thread."""
        for mirror in self._mirrors:
            mirror.halt()

    def join(self, seconds: float) -> None:
        """Wait at most `seconds` for the rounds under way, after `stop` was set and `halt` called, and close everything."""
        ends = time.monotonic() + seconds
        for one in self.rounds.values():
            one.end(max(0.0, ends - time.monotonic()))
        for mirror in self._mirrors:
            mirror.close()
        if self._renderer is not None:
            self._renderer.close()

    def _made(self, source: SourceConfig, forge: ForgeConfig, renderer: Renderer) -> Changes:
        folder = self._settings.data / "mirrors" / f"{source.name}.changes"
        mirror = ChangesMirror.open(source, folder, limits=self._settings.limits)
        self._mirrors.append(mirror)
        made = self._watches.reviews(source.name, renderer)
        tools = Tools(
            self._registry,
            lambda bundle, read: made(bundle, beside(self._settings.charts, read)),
            self._salt,
            self._settings.limits,
            partial(self._released, source.name),
            self._word,
            time.time,
            self._records,
            partial(self._held, source.name),
            self._ask,
            partial(self._stages, source.name),
        )
        client = forges.client(forge)
        owner = f"{self._settings.config.namespace}/{source.name}"
        place = forge.provider, f"{forge.api} {forge.repository}"
        return Changes(owner, source.branch, forge.review, client, place, Reviewer(source.name, mirror, tools))

    def _held(self, source: str, clusters: Collection[str]) -> Iterator[tuple[str, Held]]:
        known = ((name, self._reporter.clusters.get(name)) for name in sorted(clusters))
        for name, one in (*known, ("", self._reporter.sources.get(source))):
            if one is not None and one.held is not None:
                yield name, one.held

    def _stages(self, source: str, commit: str) -> dict[str, float]:
        known = self._reporter.sources.get(source)
        return dict(known.stages) if known is not None and known.revision.endswith(f":{commit}") else {}

    def _word(self, cluster: str) -> tuple[str, str]:
        return view.word(self._reporter.clusters.get(cluster))


def _told(source: str, one: Open) -> dict[str, Any]:
    state, verdict = render_change.verdict(one.planned) if one.planned is not None else ("pending", "Not planned yet")
    return {
        "source": source,
        "number": one.change.number,
        "author": one.change.author.name,
        "head": one.change.head,
        "state": state,
        "verdict": verdict,
        "consent": one.planned.consent.digest if one.planned is not None else "",
        "planned": stamp(one.planned_at) if one.planned_at else "",
        "clusters": sorted(one.touches),
        "signer": one.planned.signer if one.planned is not None else "",
        "unsigned": one.planned.unsigned if one.planned is not None else "",
    }
