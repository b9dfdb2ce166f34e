"""A repository of the tests: commits of files, read as a source reads them, and rendered in this process."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from reconciler.errors import Stalled
from reconciler.model import OID, Content, HostFacts, Layer, Limits, Object, Revision, Rules, Snapshot, replace
from reconciler.packs import KINDS, apis
from reconciler.packs.content import Content as Elsewhere
from reconciler.packs.wire import Answer, Job
from reconciler.packs.worker import answer
from reconciler.spec import config as configuration
from reconciler.spec import load
from tests.spec_cases import tree

CHART = Path(__file__).parents[1] / "devhost" / "chart"
BLOBS = {f"engine:{path.relative_to(CHART)}": path.read_bytes() for path in sorted(CHART.rglob("*")) if path.is_file()}
_RENDER = {kind: importlib.import_module(module).render for kind, module in KINDS.items()}
_rendered: dict[tuple[str, tuple[str, ...]], Answer] = {}


class Repository:
    """Commits by id, oldest first; `blobs` are their files and those of the engine's chart."""

    def __init__(self, facts: HostFacts) -> None:
        self.commits: dict[str, Mapping[str, str]] = {}
        self.blobs = dict(BLOBS)
        self._facts = facts
        self._oids: dict[str, str] = {}
        self._trailers: dict[str, tuple[tuple[str, str], ...]] = {}
        self._known: dict[str, load.Known] = {}
        self._descends: dict[str, bool] = {}

    @property
    def newest(self) -> str:
        return list(self.commits)[-1]

    def commit(
        self,
        files: Mapping[str, str],
        commit: str = "",
        oid: str = "",
        trailers: tuple[tuple[str, str], ...] = (),
        *,
        descends: bool = True,
    ) -> None:
        """One more commit: these are all its files. `commit` and `oid`: its id and that of its tree, where a real repository has it, and
        whether it `descends` there from the one before."""
        self.blobs |= tree(files)[1]
        name = commit or f"{len(self.commits) + 1:040x}"
        self.commits.pop(name, None)  # the newest is the last one
        self.commits[name] = dict(files)
        self._oids[name] = oid or "t"
        self._trailers[name] = trailers
        self._descends[name] = descends

    def read(self, commit: str, rules: Rules, **more: Any) -> Snapshot:
        """A commit as it is read and judged now."""
        told = {"trailers": self._trailers[commit], "descends": self._descends[commit]}
        return self._loaded(commit, rules, str(rules), **told, **more)

    def accepted(self, commit: str) -> Content:
        """What was accepted before: it was judged then, whatever the rules are now."""
        return self._loaded(commit, configuration.anything(), "").content

    def _loaded(self, commit: str, rules: Rules, judged: str, **more: Any) -> Snapshot:
        """Files that were read under the same rules are not read again, as in a process that goes on."""
        whole, blobs = tree(self.commits[commit])
        whole = replace(whole, oid=self._oids[commit])
        known = self._known.get(judged, load.NOTHING)
        wanted = {oid: blobs[oid] for oid in load.wanted(whole, known)}
        revision = Revision("main", commit)
        found, self._known[judged] = load.load(
            "platform", revision, whole, wanted, known, rules, self._facts, Limits(), **more
        )
        return found


class Renders:
    """What `servers.reader` uses of packs.render.Renderer, in this process."""

    def __init__(self, blobs: Mapping[str, bytes], content: Elsewhere | None = None) -> None:
        self._blobs, self._content = blobs, content

    def asks(self, layer: Layer, read: Any, owner: Any) -> frozenset[str]:
        found = self._files(layer, owner)
        return apis.asked({path: found[oid] for path, oid in layer.files if layer.kind == "helm"})

    def render(
        self, layer: Layer, read: Any, *, api_versions: tuple[str, ...] = (), owner: Any = None, **more: Any
    ) -> tuple[Object, ...]:
        return render(layer, self._files(layer, owner), api_versions)

    def _files(self, layer: Layer, owner: Any) -> Mapping[str, bytes]:
        elsewhere = [oid for _, oid in layer.files if oid.startswith(OID)]
        if not elsewhere or self._content is None:
            return self._blobs
        return {**self._blobs, **self._content.read(elsewhere, owner.cluster)}


def render(layer: Layer, blobs: Mapping[str, bytes], api_versions: tuple[str, ...] = ()) -> tuple[Object, ...]:
    """As a worker does, in this process; a layer that was rendered, or could not be, is not rendered again. Raises Stalled."""
    known = (layer.digest, api_versions)
    if known not in _rendered:
        spec: dict[str, Any] = dict(layer.spec)
        files = {path: blobs[oid] for path, oid in layer.files}
        home = layer.namespace or str(spec.get("namespace", ""))
        job = Job(layer.kind, home, spec, files, dict(layer.context), "v1.36.0", api_versions)
        _rendered[known] = answer(job, _RENDER)
    found = _rendered[known]
    if found.reason:
        raise Stalled(found.message, reason=found.reason)
    return tuple(msgspec.json.decode(found.objects))
