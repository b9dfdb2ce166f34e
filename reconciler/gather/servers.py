"""What a pass reads through: the host, the nested API servers, the renderer. One way for the controller and for `nidus plan`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from reconciler.engine import readiness
from reconciler.errors import ApiError, ErrorClass, Fetching, NidusError
from reconciler.gather.reader import Reader
from reconciler.model import Bundle, HostFacts, Layer, Object, ObjectRef, Target
from reconciler.packs import apis

if TYPE_CHECKING:
    from reconciler.kube.cache import Cache
    from reconciler.kube.client import Client
    from reconciler.kube.targets import Targets
    from reconciler.packs.blobs import Read
    from reconciler.packs.queue import Owner
    from reconciler.packs.render import Renderer


def reader(
    bundle: Bundle,
    host: Client,
    targets: Targets,
    renderer: Renderer,
    read: Read,
    facts: HostFacts,
    cache: Cache | None,
    owner: Owner | None = None,
) -> Reader:
    """The reader of one pass; without a cache every object is read by GET (`nidus plan`)."""
    wanted = bundle.versions.kubernetes or facts.version
    unasked: dict[Target, NidusError] = {}  # why what charts render with the API versions of no server is not applied

    def client(target: Target) -> Client:
        if target in unasked:
            raise unasked[target]
        return targets.client(target, bundle.namespace) if target.nested else host

    def cached(target: Target, ref: ObjectRef) -> Object | None:
        return cache.get(ref) if cache is not None and not target.nested else None

    def render(layer: Layer) -> tuple[Object, ...]:
        version = wanted if layer.target.nested else facts.version
        asked = renderer.asks(layer, read, owner)
        served = kinds(layer.target, version, asked) if asked else ()
        return renderer.render(layer, read, host_version=version, api_versions=served, owner=owner)

    def kinds(target: Target, version: str, asked: frozenset[str]) -> tuple[str, ...]:
        """The API versions of the target (K6); those of its Kubernetes version where it cannot be asked: nothing more is
        read of it in this pass. Raises Fetching where nobody answers for a group that is asked about: that layer alone waits, since what
        mends it may be in another."""
        try:
            if target.nested and not _is_up(bundle, host, cached):
                raise ApiError(ErrorClass.TRANSIENT, "its control plane was not up when its charts were rendered")
            return apis.spelled(client(target).kinds(asked))
        except NidusError as error:
            _wait_for_group(error)
            unasked[target] = error
            return apis.known(version)

    def merge(target: Target, live: Object) -> None:
        if cache is not None and not target.nested:
            cache.merge(live)

    return Reader(client, cached, render, merge)


def _wait_for_group(error: NidusError) -> None:
    """Raises Fetching where the target answers, and for one of its groups nobody does."""
    if isinstance(error, ApiError) and error.kind is ErrorClass.KIND_UNREAD:
        raise Fetching(error.message) from None


def _is_up(bundle: Bundle, host: Client, cached: Callable[[Target, ObjectRef], Object | None]) -> bool:
    """Whether the engine is rolled out: before, its API server is not called (A7). Raises NidusError."""
    refs = [ObjectRef("apps", kind, bundle.namespace, bundle.cluster) for kind in sorted(readiness.ROLLOUTS)]
    found = {ref: cached(Target(""), ref) or host.get(ref) for ref in refs}
    live = {ref: one for ref, one in found.items() if one is not None}
    return readiness.compute(live, secret=True, answers=True).status == "Current"
