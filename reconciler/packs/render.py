"""The renderer: layers to objects, with a few workers for many threads. Results are cached by everything they depend
on."""

import contextlib
import importlib.metadata
import threading
import time
from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from reconciler.errors import NidusError, Retry, Stalled
from reconciler.model import OID, Layer, Object
from reconciler.packs import KINDS, apis, keys
from reconciler.packs.blobs import Read
from reconciler.packs.content import Content
from reconciler.packs.keys import Keys
from reconciler.packs.pool import WAIT, Pool
from reconciler.packs.process import Ended
from reconciler.packs.queue import Owner, Standing
from reconciler.packs.wire import Job
from reconciler.spec import encrypted

HELD = 1.0
"""Seconds after which a render that is asked for holds its pass up."""
_KNOWN = 20_000
_QUARANTINE = 300.0


class _Key(Struct, frozen=True):
    """Everything a render depends on; the layer's digest covers its files, values and context."""

    digest: str
    host_version: str
    api_versions: tuple[str, ...]
    backend: str

    @property
    def encoded(self) -> bytes:
        return msgspec.json.encode(self)


class Shelf(Protocol):
    """Renders of the engine's chart that one command keeps for the next. Everything else may hold what is secret."""

    def get(self, key: bytes) -> bytes | None:
        """What was kept under a key, None where that is nothing."""
        ...

    def put(self, key: bytes, found: bytes) -> None:
        """Keep it; where that cannot be, nothing is kept."""
        ...


class Renderer:
    """Renders layers in `workers` processes, started at once. Thread-safe: threads wait for a free worker, `wait` seconds at most.

    `seconds` and `cpu` bound one render in wall and processor time. A long one gives way to all else on the machine and may take
    twice as many seconds (`packs.process`), except with `yields` False: somebody waits for it. A worker is replaced after
    `recycle` jobs or beyond `memory` bytes; `cache` bounds the kept results in bytes. A render that hung or crashed is not tried
    again for five minutes, so that a hostile chart affects its own cluster only. Workers reach no network; where the platform
    cannot confine them nothing is rendered, except with `confined` False: a person rendering their own repository.
    `content` gives what layers name from elsewhere, `keys` the age keys of a source: what they decrypt is rendered anew each time.
    `shelf` keeps the engine's renders beyond this process, `ahead` are the kinds that workers load before they are asked.
    """

    def __init__(
        self,
        workers: int = 2,
        *,
        seconds: float = 30.0,
        cpu: int = 20,
        wait: float = WAIT,
        recycle: int = 500,
        memory: int = 512 << 20,
        cache: int = 64 << 20,
        confined: bool = True,
        yields: bool = True,
        content: Content | None = None,
        keys: Keys = keys.none,
        shelf: Shelf | None = None,
        ahead: Collection[str] = KINDS,
    ) -> None:
        self._keys = keys
        self._shelf = shelf
        self._content = content
        self._seconds = seconds
        self._cpu = cpu
        self._wait = wait
        self._backend = importlib.metadata.version("helm-python-sdk")
        self._results = _Results(cache)
        self._asking: dict[str, frozenset[str]] = {}
        self._standing = Standing()
        self._under_way = _UnderWay()
        self._pool = Pool(
            workers, recycle, memory, strict=confined, yields=yields, ahead=ahead, trusted=self._standing.trusted
        )

    def render(
        self,
        layer: Layer,
        read: Read,
        *,
        host_version: str,
        api_versions: tuple[str, ...] = (),
        owner: Owner | None = None,
    ) -> tuple[Object, ...]:
        """The objects of `layer`, in its order, for an API server of `host_version` ("v1.36.0").

        `read` gives the bytes of blobs by oid and is asked only when the result is not kept. Each call returns objects
        of its own. `owner` defaults to the layer's cluster. Raises Stalled: RenderFailed, ObjectInvalid, ObjectClaimedTwice,
        ChartInvalid, HooksRefused, NonDeterministicChart, KubeVersionUnsupported, RenderTimeout, RenderCrashed,
        RenderNotConfined, DecryptionFailed; Retry when the worker was ended from outside, when none became free in time or could be
        started, RenderQuarantined after too many hung or crashed; what `read`, `Content.read` and `keys` raise.
        """
        owner = owner or Owner("", layer.target.nested or "")
        self._use(layer, owner)
        key = _Key(layer.digest, host_version, api_versions, self._backend)
        shelf = self._shelf if layer.role == "engine" else None
        found = self._results.get(key) or (shelf.get(key.encoded) if shelf else None)
        if found is None:
            self._results.raise_quarantined(key)
            self._standing.raise_spent(owner)
            files = self._files(layer, read, owner.cluster)
            keys = self._keys(owner.source, layer.kind) if _encrypted(layer, files) else ()
            found = self._render(key, self._job(key, layer, files, keys), owner)
            self._results.put(key, found, keep=not keys)
            if shelf:
                shelf.put(key.encoded, found)
        return tuple(msgspec.json.decode(found))

    def asks(self, layer: Layer, read: Read, owner: Owner | None = None) -> frozenset[str]:
        """The API versions that the layer's chart asks for (`apis.asked`); only if there are any, those of its target are an input of its
        render (K6). Raises as `render`."""
        if layer.kind != "helm":
            return frozenset()
        if layer.digest not in self._asking:
            if len(self._asking) >= _KNOWN:
                self._asking.clear()
            owner = owner or Owner("", layer.target.nested or "")
            self._use(layer, owner)
            self._asking[layer.digest] = apis.asked(self._files(layer, read, owner.cluster))
        return self._asking[layer.digest]

    def confinement(self) -> tuple[str, ...]:
        """What keeps the workers from the network ("network namespace", "system-call filter"), () where nothing does.

        Raises Retry where no worker starts.
        """
        try:
            return self._pool.confinement()
        except Ended as end:
            raise Retry(end.message, reason="WorkerNotStarted") from None

    def holds(self, cluster: str) -> bool:
        """Whether a render of the cluster has waited, or gone on, for a second: whoever asked for it does nothing meanwhile."""
        return self._under_way.holds(cluster)

    def close(self) -> None:
        """Ends all workers; renders under way raise Retry."""
        self._pool.close()

    def _render(self, key: _Key, job: Job, owner: Owner) -> bytes:
        try:
            with self._under_way.of(owner.cluster):
                answer = self._pool.ask(job, self._seconds, self._wait, owner)
        except TimeoutError as late:
            self._standing.failed(owner)
            raise self._results.quarantine(key, Stalled(str(late), reason="RenderTimeout")) from None
        except Ended as end:
            if end.ours:
                self._standing.failed(owner)
                raise self._results.quarantine(key, Stalled(end.message, reason="RenderCrashed")) from None
            raise Retry(end.message, reason="RenderCrashed") from None
        self._standing.rendered(owner, answer.cpu)
        if answer.reason:
            raise Stalled(answer.message, reason=answer.reason, hint=answer.hint)
        return bytes(answer.objects)

    def _files(self, layer: Layer, read: Read, cluster: str) -> dict[str, bytes]:
        """The bytes of the layer's files, by path."""
        elsewhere = _elsewhere(layer)
        own = [oid for _, oid in layer.files if oid not in elsewhere]
        blobs = read(own) if own else {}
        if elsewhere and self._content is None:
            raise Stalled(f"layer {layer.name} has content from elsewhere", reason="ContentRefused")
        if elsewhere and self._content is not None:
            blobs = blobs | self._content.read(elsewhere, cluster)
        return {path: blobs[oid] for path, oid in layer.files}

    def _use(self, layer: Layer, owner: Owner) -> None:
        if self._content is not None and (elsewhere := _elsewhere(layer)):
            self._content.used(elsewhere, owner.source)

    def _job(self, key: _Key, layer: Layer, files: dict[str, bytes], keys: tuple[str, ...]) -> Job:
        spec: dict[str, Any] = dict(layer.spec)
        return Job(
            kind=layer.kind,
            namespace=layer.namespace or str(spec.get("namespace", "")),
            spec=spec,
            files=files,
            context=dict(layer.context),
            host_version=key.host_version,
            api_versions=key.api_versions,
            twice=layer.kind == "helm" and self._results.first(layer.digest),
            cpu=self._cpu,
            authored=layer.role == "pack",
            keys=keys,
        )


def _encrypted(layer: Layer, files: Mapping[str, bytes]) -> bool:
    """Whether files that people wrote, and that are read as YAML, hold what SOPS encrypted."""
    elsewhere = layer.spec.get("elsewhere", ())
    named = (
        layer.spec.get("valuesFiles", ()) if layer.kind == "helm" else [one for one in files if one not in elsewhere]
    )
    return layer.kind in ("helm", "manifests") and any(encrypted.MARK in files.get(one, b"") for one in named)


def _elsewhere(layer: Layer) -> list[str]:
    """The ids of its files that are not of the repository."""
    return [oid for _, oid in layer.files if oid.startswith(OID)] if "elsewhere" in layer.spec else []


class _UnderWay:
    """Since when renders are asked for, by the cluster they are for. A cluster is rendered for by one pass at a time."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}

    @contextlib.contextmanager
    def of(self, cluster: str) -> Iterator[None]:
        self._since[cluster] = time.monotonic()
        try:
            yield
        finally:
            self._since.pop(cluster, None)

    def holds(self, cluster: str) -> bool:
        since = self._since.get(cluster)
        return since is not None and time.monotonic() - since >= HELD


class _Results:
    """Rendered JSON by key; beyond `limit` bytes the least recently used is dropped. Also the renders that must not be
    tried again yet."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._lock = threading.Lock()
        self._kept: OrderedDict[_Key, bytes] = OrderedDict()
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._refused: dict[_Key, tuple[float, Stalled]] = {}

    def get(self, key: _Key) -> bytes | None:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def put(self, key: _Key, found: bytes, *, keep: bool) -> None:
        """A result that holds what was encrypted is not kept: only that there was one."""
        with self._lock:
            self._seen[key.digest] = None
            if len(self._seen) > _KNOWN:
                self._seen.popitem(last=False)
            if not keep:
                return
            self._size += len(found) - len(self._kept.pop(key, b""))
            self._kept[key] = found
            while self._size > self._limit and self._kept:
                self._size -= len(self._kept.popitem(last=False)[1])

    def first(self, digest: str) -> bool:
        """Whether this layer was never rendered successfully, among the last 20,000 layers."""
        with self._lock:
            return digest not in self._seen

    def quarantine(self, key: _Key, error: Stalled) -> NidusError:
        with self._lock:
            now = time.monotonic()
            self._refused = {known: kept for known, kept in self._refused.items() if kept[0] > now}
            self._refused[key] = (now + _QUARANTINE, error)
        return error

    def raise_quarantined(self, key: _Key) -> None:
        """Raises the error of this render if it hung or crashed less than five minutes ago."""
        with self._lock:
            until, error = self._refused.get(key, (0.0, None))
        if error and until > time.monotonic():
            raise Stalled(error.message, reason=error.reason, hint=error.hint)
