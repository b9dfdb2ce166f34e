"""Which kinds a server has, under which path: aggregated discovery, or one list per group version where it is not served."""

import threading
import time
from collections.abc import Callable
from typing import Annotated

import msgspec
from msgspec import Struct

from reconciler import decoding
from reconciler.errors import UNREADABLE, ApiError, ErrorClass
from reconciler.kube.errors import broken

AGGREGATED = (
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,"
    "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json"
)
FRESH = 2.0  # seconds that the list of all kinds is good for
REFRESH_PAUSE = 0.25  # seconds between two refreshes because of missing kinds: many waiting layers cause one

MOST = 20_000  # kinds of one server; the largest in the field have about 2,000

# Names become parts of paths: what could lead elsewhere is refused (A8).
Label = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\Z")]
Subdomain = Annotated[str, msgspec.Meta(pattern=r"^([a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?)?\Z")]
Kind = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z][A-Za-z0-9]{0,62}\Z")]
KindOrNone = Annotated[str, msgspec.Meta(pattern=r"^([A-Za-z][A-Za-z0-9]{0,62})?\Z")]
Served = Annotated[
    str, msgspec.Meta(pattern=r"^[a-z0-9]([-a-z0-9/]{0,125}[a-z0-9])?\Z")
]  # a resource, or one of its parts
GroupVersion = Annotated[str, msgspec.Meta(pattern=r"^([a-z0-9][-.a-z0-9]{0,252}/)?[a-z0-9][-a-z0-9]{0,62}\Z|^\Z")]

Fetch = Callable[[str, str], bytes]  # path, Accept header -> body


class Resource(Struct, frozen=True):
    """How one kind is served at one version."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool

    def path(self, namespace: str = "", name: str = "", sub: str = "") -> str:
        """The URL path of the collection, the object or its subresource; names are expected to be escaped."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        middle = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return f"{root}{middle}/{self.plural}" + (f"/{name}" if name else "") + (f"/{sub}" if sub else "")

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version


class Discovery:
    """The kinds of one server; thread-safe. Loaded on first use and again when a kind is missing."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._lock = threading.Lock()
        self._table: dict[tuple[str, str, str], Resource] = {}
        self._loaded = 0.0
        self._doubted = False

    def find(self, group: str, kind: str, version: str = "") -> Resource:
        """Return how `kind` is served, at the preferred version unless one is named.

        After a refresh, raises ApiError VERSION_MISSING when the server has it at other versions only, and KIND_MISSING when it
        does not have it; or what the transport raises.
        """
        wanted = (group, kind, version)
        known = None if self._doubted else self._table.get(wanted)
        found = known or self._refreshed(time.monotonic()).get(wanted)
        if found is None:
            raise self._missing(group, kind, version)
        return found

    def _missing(self, group: str, kind: str, version: str) -> ApiError:
        served = [one.api_version for (of, name, at), one in self._table.items() if (of, name) == (group, kind) and at]
        if version and served:
            wanted, there = f"{group}/{version}".strip("/"), " and ".join(served)
            told = f"the server serves {kind} at {there}, not at {wanted}; write apiVersion: {served[0]}"
            return ApiError(ErrorClass.VERSION_MISSING, told)
        name = f"{group}/{version} {kind}" if group and version else " ".join(filter(None, (group, version, kind)))
        return ApiError(ErrorClass.KIND_MISSING, f"the server has no kind {name}")

    def kinds(self) -> frozenset[str]:
        """Every served "group/version/Kind" (core: "version/Kind"), as charts ask for in `.Capabilities.APIVersions`; not older
        than FRESH seconds, because a kind that comes is not asked for by name."""
        now = time.monotonic()
        table = self._refreshed(now) if now > self._loaded + FRESH else self._table
        return frozenset(f"{resource.api_version}/{resource.kind}" for resource in table.values())

    def forget(self) -> None:
        """Load again at the next use, unless what is known is no older than FRESH seconds: a path that was served is gone."""
        self._doubted = self._doubted or time.monotonic() > self._loaded + FRESH

    def _refreshed(self, asked: float) -> dict[tuple[str, str, str], Resource]:
        with self._lock:
            if not self._loaded or asked > self._loaded + REFRESH_PAUSE:
                self._doubted = False
                self._table = _loaded(self._fetch)
                self._loaded = time.monotonic()
            return self._table


def _loaded(fetch: Fetch) -> dict[tuple[str, str, str], Resource]:
    try:
        return _load(fetch)
    except UNREADABLE:
        raise broken("get", "its list of kinds cannot be read") from None


# Aggregated


class _ResponseKind(msgspec.Struct, rename="camel"):
    kind: KindOrNone = ""  # a resource that is only the root of subresources has none


class _Resource(msgspec.Struct, rename="camel"):
    resource: Label
    scope: str = ""
    response_kind: _ResponseKind | None = None


class _Version(msgspec.Struct, rename="camel"):
    version: Label
    resources: list[_Resource] = []


class _GroupMeta(msgspec.Struct, rename="camel"):
    name: Subdomain = ""


class _Group(msgspec.Struct, rename="camel"):
    metadata: _GroupMeta = msgspec.field(default_factory=_GroupMeta)
    versions: list[_Version] = []


class _GroupList(msgspec.Struct, rename="camel"):
    kind: str = ""
    items: list[_Group] = []


def _load(fetch: Fetch) -> dict[tuple[str, str, str], Resource]:
    table: dict[tuple[str, str, str], Resource] = {}
    for path in ("/api", "/apis"):
        body = fetch(path, AGGREGATED)
        listed = decoding.decoded(body, _GroupList)
        found = _aggregated(listed) if listed.kind == "APIGroupDiscoveryList" else _one_by_one(fetch, path, body)
        for resource in found:
            table.setdefault((resource.group, resource.kind, ""), resource)
            table.setdefault((resource.group, resource.kind, resource.version), resource)
    if len(table) > 2 * MOST:
        raise broken("get", f"it has more than {MOST} kinds")
    return table


def _aggregated(listed: _GroupList) -> list[Resource]:
    return [
        Resource(
            group.metadata.name,
            version.version,
            entry.response_kind.kind,
            entry.resource,
            entry.scope == "Namespaced",
        )
        for group in listed.items
        for version in group.versions
        for entry in version.resources
        if entry.response_kind is not None and entry.response_kind.kind
    ]


# One list per group version


class _GroupVersion(msgspec.Struct, frozen=True, rename="camel"):
    group_version: GroupVersion = ""


class _Named(msgspec.Struct, rename="camel"):
    name: Subdomain = ""
    versions: list[_GroupVersion] = []
    preferred_version: _GroupVersion = _GroupVersion()


class _Legacy(msgspec.Struct, rename="camel"):
    kind: str
    versions: list[Label] = []
    groups: list[_Named] = []


class _LegacyResource(msgspec.Struct, rename="camel"):
    name: Served
    kind: Kind
    namespaced: bool = False


class _LegacyResources(msgspec.Struct, rename="camel"):
    resources: list[_LegacyResource] = []


def _one_by_one(fetch: Fetch, path: str, body: bytes) -> list[Resource]:
    listed = decoding.decoded(body, _Legacy)
    if listed.kind not in ("APIVersions", "APIGroupList"):
        raise broken("get", "it is no list of kinds")
    found: list[Resource] = []
    for version in listed.versions:
        found += _resources(fetch, f"{path}/{version}", "", version)
    for group in listed.groups:
        names = [group.preferred_version.group_version, *(entry.group_version for entry in group.versions)]
        for name in dict.fromkeys(filter(None, names)):
            found += _resources(fetch, f"{path}/{name}", group.name, name.rpartition("/")[2])
    return found


def _resources(fetch: Fetch, path: str, group: str, version: str) -> list[Resource]:
    try:
        body = fetch(path, "application/json")
    except ApiError as error:
        if error.kind is ErrorClass.UNAUTHENTICATED:
            raise
        return []  # one broken aggregated API must not hide the others; its kinds stay missing, which is never "absent"
    listed = decoding.decoded(body, _LegacyResources)
    return [Resource(group, version, r.kind, r.name, r.namespaced) for r in listed.resources if "/" not in r.name]
