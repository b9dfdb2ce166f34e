"""Which kinds a server has, under which path: aggregated discovery, or one list per group version where it is not served."""

import threading
import time
from collections.abc import Callable, Collection
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

Table = dict[tuple[str, str, str], "Resource"]  # by group, kind and version, "" for the preferred one
Unread = frozenset[tuple[str, str]]  # group and version of what did not answer
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
        self._table: Table = {}
        self._unread: Unread = frozenset()
        self._before: dict[tuple[str, str], set[str]] = {}
        self._loaded = 0.0
        self._doubted = False

    def find(self, group: str, kind: str, version: str = "") -> Resource:
        """Return how `kind` is served, at the preferred version unless one is named.

        After a refresh, raises ApiError VERSION_MISSING when the server has it at other versions only, KIND_MISSING when it does not
        have it, and KIND_UNREAD when it may be one of a group whose server does not answer; or what the transport raises.
        """
        wanted = (group, kind, version)
        known = None if self._doubted else self._table.get(wanted)
        found = known or self._refreshed(time.monotonic()).get(wanted)
        if found is None:
            raise self._missing(group, kind, version)
        return found

    def _missing(self, group: str, kind: str, version: str) -> ApiError:
        if any(of == group and version in ("", at) for of, at in self._unread):
            return _unread(f"{group}/{version}".strip("/"))
        served = [one.api_version for (of, name, at), one in self._table.items() if (of, name) == (group, kind) and at]
        if version and served:
            wanted, there = f"{group}/{version}".strip("/"), " and ".join(served)
            told = f"the server serves {kind} at {there}, not at {wanted}; write apiVersion: {served[0]}"
            return ApiError(ErrorClass.VERSION_MISSING, told)
        name = f"{group}/{version} {kind}" if group and version else " ".join(filter(None, (group, version, kind)))
        return ApiError(ErrorClass.KIND_MISSING, f"the server has no kind {name}")

    def kinds(self, asked: Collection[str] = ()) -> frozenset[str]:
        """Every served "group/version/Kind" (core: "version/Kind"), as charts ask for in `.Capabilities.APIVersions`; not older
        than FRESH seconds, because a kind that comes is not asked for by name. Those of what does not answer are the last that were
        read: a chart would leave out what it made before. Raises ApiError KIND_UNREAD where what is `asked` about ("group/version",
        one of its kinds, "": anything) does not answer and was never read."""
        now = time.monotonic()
        table = self._refreshed(now) if now > self._loaded + FRESH else self._table
        with self._lock:
            unread, before = self._unread, self._before
        for group, version in sorted(unread - before.keys()):
            place = f"{group}/{version}".strip("/")
            if any(name in ("", place) or name.startswith(f"{place}/") for name in asked):
                raise _unread(place)
        return frozenset(_name(one) for one in table.values()).union(*(before.get(place, ()) for place in unread))

    def forget(self) -> None:
        """Load again at the next use, unless what is known is no older than FRESH seconds: a path that was served is gone."""
        self._doubted = self._doubted or time.monotonic() > self._loaded + FRESH

    def _refreshed(self, asked: float) -> Table:
        with self._lock:
            if not self._loaded or asked > self._loaded + REFRESH_PAUSE:
                self._doubted = False
                self._table, self._unread = _loaded(self._fetch)
                self._before = self._known()
                self._loaded = time.monotonic()
            return self._table

    def _known(self) -> dict[tuple[str, str], set[str]]:
        """The kinds of each group and version, as they were read last: together no more than a server may have."""
        found: dict[tuple[str, str], set[str]] = {}
        for one in self._table.values():
            found.setdefault((one.group, one.version), set()).add(_name(one))
        left = MOST - sum(map(len, found.values()))
        for place in sorted(self._unread & self._before.keys() - found.keys()):
            left -= len(self._before[place])
            if left < 0:  # another list each time, of a hostile server
                break
            found[place] = self._before[place]
        return found


def _unread(place: str) -> ApiError:
    return ApiError(
        ErrorClass.KIND_UNREAD, f"the kinds of {place} cannot be read now: whoever serves them does not answer"
    )


def _name(one: Resource) -> str:
    return f"{one.api_version}/{one.kind}"


def _loaded(fetch: Fetch) -> tuple[Table, Unread]:
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
    freshness: str = ""  # Stale: whoever serves it did not answer, and these are the last known, or none


class _GroupMeta(msgspec.Struct, rename="camel"):
    name: Subdomain = ""


class _Group(msgspec.Struct, rename="camel"):
    metadata: _GroupMeta = msgspec.field(default_factory=_GroupMeta)
    versions: list[_Version] = []


class _GroupList(msgspec.Struct, rename="camel"):
    kind: str = ""
    items: list[_Group] = []


def _load(fetch: Fetch) -> tuple[Table, Unread]:
    table: Table = {}
    unread: set[tuple[str, str]] = set()
    for path in ("/api", "/apis"):
        body = fetch(path, AGGREGATED)
        listed = decoding.decoded(body, _GroupList)
        is_whole = listed.kind == "APIGroupDiscoveryList"
        found, lacks = (_aggregated(listed), _stale(listed)) if is_whole else _one_by_one(fetch, path, body)
        unread |= lacks
        for resource in found:
            table.setdefault((resource.group, resource.kind, ""), resource)
            table.setdefault((resource.group, resource.kind, resource.version), resource)
    if len(table) > 2 * MOST:
        raise broken("get", f"it has more than {MOST} kinds")
    return table, frozenset(unread)


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


def _stale(listed: _GroupList) -> set[tuple[str, str]]:
    return {(of.metadata.name, one.version) for of in listed.items for one in of.versions if one.freshness == "Stale"}


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


def _one_by_one(fetch: Fetch, path: str, body: bytes) -> tuple[list[Resource], set[tuple[str, str]]]:
    """The kinds, and the groups and versions that cannot be read: one broken aggregated API must not hide the others."""
    listed = decoding.decoded(body, _Legacy)
    if listed.kind not in ("APIVersions", "APIGroupList"):
        raise broken("get", "it is no list of kinds")
    places = [("", version, version) for version in listed.versions]
    for group in listed.groups:
        names = [group.preferred_version.group_version, *(entry.group_version for entry in group.versions)]
        places += [(group.name, name.rpartition("/")[2], name) for name in dict.fromkeys(filter(None, names))]
    read = {(of, version): _resources(fetch, f"{path}/{name}", of, version) for of, version, name in places}
    found = [one for resources in read.values() for one in resources or ()]
    return found, {place for place, resources in read.items() if resources is None}


def _resources(fetch: Fetch, path: str, group: str, version: str) -> list[Resource] | None:
    try:
        body = fetch(path, "application/json")
    except ApiError as error:
        if error.kind is ErrorClass.UNAUTHENTICATED:
            raise
        return None
    listed = decoding.decoded(body, _LegacyResources)
    return [Resource(group, version, r.kind, r.name, r.namespaced) for r in listed.resources if "/" not in r.name]
