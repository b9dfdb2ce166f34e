"""What the running controller reads with: a live cache of the host, a client for each nested API server, watches for
layers that wait (R1)."""

import threading
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from functools import partial

from msgspec import Struct

from reconciler.controller.shared import Shared
from reconciler.errors import NidusError, Retry, few
from reconciler.gather import Reader, servers
from reconciler.inventory import packing
from reconciler.kube.cache import Cache, Selection
from reconciler.kube.client import Client
from reconciler.kube.events import Seen
from reconciler.kube.reflector import EVERY, SILENCE
from reconciler.kube.targets import ENGINE, Targets
from reconciler.model import Bundle, HostFacts, Object, ObjectRef, Target, replace
from reconciler.packs.blobs import Read
from reconciler.packs.queue import Owner
from reconciler.packs.render import Renderer
from reconciler.plan.mark import HOST, MANAGED_BY
from reconciler.report import bugs
from reconciler.settings import Settings

OURS = ((MANAGED_BY, "nidus"),)
CLUSTER = f"{HOST}/cluster"
REQUEST = f"{HOST}/request"  # the label of requests that an earlier release kept as ConfigMaps
# No ConfigMaps: reading those of the whole host is a right too much for the few that a chart may have, which passes read.
KINDS: tuple[tuple[str, str], ...] = (
    ("", "Namespace"),
    ("", "ResourceQuota"),
    ("", "LimitRange"),
    ("networking.k8s.io", "NetworkPolicy"),
    ("rbac.authorization.k8s.io", "RoleBinding"),
    ("", "Service"),
    ("", "ServiceAccount"),
    ("apps", "StatefulSet"),
    ("apps", "Deployment"),
    ("networking.k8s.io", "Ingress"),
    ("gateway.networking.k8s.io", "TLSRoute"),
    ("policy", "PodDisruptionBudget"),
)
OPTIONAL = (("gateway.networking.k8s.io", "TLSRoute"),)  # kinds that a host may lack
RECORDS = (packing.LABEL, "record")
SYNC_SECONDS = 60.0
NAMED = 4  # kinds that were not listed, in one message


class Intervals(Struct, frozen=True):
    """Seconds after which each kind of the host is listed anew, and after which a silent watch is opened anew (R1)."""

    every: float = EVERY
    silence: float = SILENCE


USUAL = Intervals()


Lists = Callable[[str, ObjectRef], bool]


def whole(lists: Lists, sources: Collection[str], ref: ObjectRef, cluster: str) -> bool:
    """Whether an object of the host is kept whole (R1): what the inventory of the cluster it is labelled for lists, the
    first pod of each engine, and the sources that are followed. Labels may be forged; `lists` reads our own records."""
    if ref.kind == "Pod":  # its StatefulSet has the name of the cluster
        name = ref.name.removesuffix("-0")
        return name != ref.name and lists(name, ObjectRef("apps", "StatefulSet", ref.namespace, name))
    if ref.kind == "Source":
        return ref.name in sources
    return bool(cluster) and lists(cluster, ref)


def concerned(seen: Seen, labelled: Callable[[ObjectRef], str]) -> str | None:
    """The cluster that a change of an object of the host concerns, "" where it is a request, None where it concerns none.

    `labelled` gives the cluster that the label of an object names. Pods are those with the labels of an engine's chart: they
    pass through to synced pods, so a tenant may set them; the namespace and the name tell (R1).
    """
    if seen.ref.kind == "Request" or REQUEST in seen.labels:
        return ""
    if seen.ref.kind != "Pod":
        return seen.labels.get(CLUSTER) or None
    cluster = labelled(ObjectRef("", "Namespace", "", seen.ref.namespace))
    return cluster if cluster and seen.ref.name.removeprefix(f"{cluster}-").isdigit() else None


class Watches:
    """`read` gives blobs of a source by id, `lists` says whether the inventory of a cluster has an object of the host.
    `woken` is called with the name of a cluster whose objects were changed by somebody else, or "" when requests changed."""

    def __init__(
        self,
        host: Client,
        settings: Settings,
        facts: HostFacts,
        renderer: Renderer,
        read: Callable[[str, Collection[str]], dict[str, bytes]],
        lists: Lists,
        woken: Callable[[str], None],
        intervals: Intervals = USUAL,
    ) -> None:
        self._facts, self._renderer, self._read, self._woken = facts, renderer, read, woken
        self._watches: dict[str, tuple[frozenset[tuple[str, str]], Callable[[], None]]] = {}
        self._lock = threading.Lock()
        own = settings.config.namespace
        selections = [Selection(group, kind, OURS, optional=(group, kind) in OPTIONAL) for group, kind in KINDS]
        selections.append(Selection("", "Pod", (ENGINE,)))
        selections.append(Selection("nidus.dev", "Request", (), own, bodies=False))
        selections.append(Selection("", "ConfigMap", ((REQUEST, None),), own, bodies=False))
        selections.append(Selection("nidus.dev", "Source", (), own))
        selections.append(Selection("nidus.dev", "NestedCluster", (), own, bodies=False))
        selections.append(Selection("", "ConfigMap", (RECORDS,), own, bodies=False))
        self._cache = Cache(
            host,
            selections,
            self._changed,
            whole=partial(whole, lists, {one.name for one in settings.config.sources}),
            every=intervals.every,
            silence=intervals.silence,
            failed=_failed,
        )
        self._host = host.doubting(self._cache.doubt)  # an object that is gone is read again (R1)
        self._shared = Shared(host, facts.share, woken, _failed)
        self._targets = Targets(host, inside=settings.inside, cached=self._cache.get, failed=_failed)
        self._source: Callable[[Object], None] = lambda item: None
        self._own: Callable[[ObjectRef, str], None] = lambda ref, version: None

    def start(self, source: Callable[[Object], None], own: Callable[[ObjectRef, str], None]) -> None:
        """Start watching; `source` is called for every change of a Source object, `own` for every change of a record or a
        status object, with its resourceVersion, "" where it is gone. Returns once every list is complete. Raises Retry
        where it is not in time."""
        self._source, self._own = source, own
        self._cache.start()
        if not self._cache.wait_synced(SYNC_SECONDS):
            told = dict.fromkeys(f"{kind} ({said})" if said else kind for kind, said in self._cache.unsynced())
            why = few([*told], NAMED)
            hint = "where a right is missing, apply deploy/rbac.yaml of this version"
            raise Retry(
                f"the host did not list everything within {SYNC_SECONDS:.0f} s: {why}", reason="NotSynced", hint=hint
            )

    def stop(self) -> None:
        self._cache.stop()
        with self._lock:
            open_now, self._watches = self._watches, {}
        for _, end in open_now.values():
            end()
        self._shared.stop()
        self._targets.forget_all()

    def stale(self) -> float:
        """For how many seconds some kind on the host is not watched; 0 while all are."""
        since = self._cache.stale_since
        return time.monotonic() - since if since is not None else 0.0

    def refresh(self) -> bool:
        """List every kind anew, for `nidus sync`. Returns whether all lists were complete in time."""
        return self._cache.refresh(SYNC_SECONDS)

    def holds(self, cluster: str) -> bool:
        """Whether the pass of a cluster waits for an answer of its API server that does not come."""
        return self._targets.holds(Target(self._facts.name, cluster))

    def reader(self, bundle: Bundle, source: str) -> Reader:
        owner = Owner(source, bundle.cluster)
        read = partial(self._read, source)
        return servers.reader(bundle, self._host, self._targets, self._renderer, read, self._facts, self._cache, owner)

    def reviews(self, source: str, renderer: Renderer) -> Callable[[Bundle, Read], Reader]:
        """As `reader`, for plans of change requests: with files and a renderer of their own, so that no pass waits for them."""

        def made(bundle: Bundle, read: Read) -> Reader:
            owner = Owner(source, bundle.cluster)
            return servers.reader(bundle, self._host, self._targets, renderer, read, self._facts, self._cache, owner)

        return made

    def watch(self, cluster: str, bundle: Bundle, refs: tuple[ObjectRef, ...]) -> None:
        """Wake the cluster when nested objects of these kinds change, for as long as a layer waits for them."""
        self._shared.follow(bundle)
        kinds = frozenset((ref.group, ref.kind) for ref in refs)
        with self._lock:
            known = self._watches.get(cluster)
            if known is not None and known[0] == kinds:
                return
            ended = self._watches.pop(cluster, None)
        if ended is not None:
            ended[1]()
        if kinds:
            self._open(cluster, bundle, kinds)

    def forget(self, bundle: Bundle) -> None:
        """Forget a cluster that no longer exists."""
        self.watch(bundle.cluster, replace(bundle, layers=()), ())
        self._targets.forget(Target(self._facts.name, bundle.cluster))

    def _open(self, cluster: str, bundle: Bundle, kinds: frozenset[tuple[str, str]]) -> None:
        def wake() -> None:
            self._woken(cluster)

        with suppress(NidusError):  # no watch: the next pass is timed
            target = Target(self._facts.name, cluster)
            end = self._targets.nested_watch(target, bundle.namespace, sorted(kinds), wake)
            if end is not None:
                with self._lock:
                    self._watches[cluster] = (kinds, end)

    def _changed(self, seen: Seen) -> None:
        if seen.ref.kind in ("Source", "NestedCluster") or RECORDS[0] in seen.labels:
            item = self._cache.get(seen.ref) if seen.ref.kind == "Source" else None
            if item is not None:
                self._source(item)
            self._own(seen.ref, "" if seen.deleted else seen.version)
        else:
            cluster = concerned(seen, self._cache.cluster)
            if cluster is not None:
                self._woken(cluster)


def _failed(what: str, error: Exception) -> None:
    bugs.tell("watch", error, what)
