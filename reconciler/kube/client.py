"""The verbs of one Kubernetes API server, on plain JSON objects (A1, A2, A6, A7, A8).

Every call has a deadline; nothing is retried inside; every write calls `fence` first (H1).
"""

import copy
from collections.abc import Callable, Collection, Mapping
from typing import Any
from urllib.parse import quote

import msgspec
from msgspec import Struct

from reconciler.errors import ApiError, ErrorClass
from reconciler.kube import pages, shape
from reconciler.kube.discovery import Discovery, Resource
from reconciler.kube.pages import PAGE, Heads, Raws
from reconciler.kube.paths import asked, path_of
from reconciler.kube.shape import Asked, Head, Kept
from reconciler.kube.timed import Limit, sooner
from reconciler.kube.transport import APPLY, JSON, MERGE, Call, Transport
from reconciler.kube.watch import Watch
from reconciler.model import Object, ObjectRef

MANAGER = "nidus"
TURNS = 6  # as long as so many pages may take, a whole list may
DENIALS = (ErrorClass.ABSENT, ErrorClass.NAMESPACE_MISSING, ErrorClass.RACED)
Objects = list[Object]
READY_DEADLINE = 5.0  # seconds for /readyz


def no_fence() -> None:
    """Let every write pass: for a process that holds no Lease because it writes nothing, or only the Lease."""


class Applied(Struct, frozen=True):
    """A server-side apply's answer; `created` = the server said 201."""

    object: Object
    created: bool


class Client:
    """One server. Thread-safe; copies made by `fenced` share the pool and the discovery."""

    def __init__(
        self,
        transport: Transport,
        *,
        fence: Callable[[], None] = no_fence,
        deadline: float | None = None,
    ) -> None:
        self.transport = transport
        self.fence = fence
        self.deadline = deadline or transport.limits.deadline
        self._limit: Limit | None = None
        self._doubted: Callable[[ObjectRef], None] = lambda ref: None
        self._discovery = Discovery(self._fetch)

    def fenced(self, fence: Callable[[], None]) -> "Client":
        """The same server with another fence: the Lease itself is written by the unfenced one."""
        return self._copy(fence=fence)

    def within(self, deadline: float) -> "Client":
        """The same server with another deadline for each call, in seconds."""
        return self._copy(deadline=deadline)

    def budgeted(self, seconds: float) -> "Client":
        """The same server with one deadline for all calls together, in seconds from now: for one look at it (A7)."""
        return self._copy(_limit=Limit.of(seconds))

    def doubting(self, doubted: Callable[[ObjectRef], None]) -> "Client":
        """The same server; `doubted` is called for each object that the server says is absent or has another UID
        (R1)."""
        return self._copy(_doubted=doubted)

    # Reads

    def get(self, ref: ObjectRef, *, version: str = "") -> Object | None:
        """Return the live object; None only when the server says that this object is absent (A6)."""
        found = self.read(ref, version=version)
        return None if found is None else shape.body(found[1], "get")

    def read(self, ref: ObjectRef, *, version: str = "") -> tuple[Head, bytes] | None:
        """Like `get`, still encoded, with its checked head."""
        resource = self.resource(ref.group, ref.kind, version)
        call = Call("get", "GET", path_of(resource, ref), ref=ref, resource=resource.plural)
        try:
            body = self._send(call)
        except ApiError as error:
            if error.kind in (ErrorClass.ABSENT, ErrorClass.NAMESPACE_MISSING):
                return None
            raise
        return shape.head(body, asked("get", resource, ref)), body

    def list(self, group: str, kind: str, *, namespace: str = "", labels: str = "") -> tuple[Objects, str]:
        """Return (objects, resourceVersion) of a whole collection; `labels` is a selector. Never a partial list (S3)."""
        resource = self.resource(group, kind)
        raws, version = self.raw_list(group, kind, namespace=namespace, labels=labels)
        head = {"apiVersion": resource.api_version, "kind": kind}  # items of a list leave these out
        return [{**head, **shape.body(raw, "list")} for _, raw in raws], version

    def raw_list(
        self,
        group: str,
        kind: str,
        *,
        namespace: str = "",
        labels: str = "",
        kept: Kept = pages.everything,
        partial: bool = False,
    ) -> tuple[Raws, str]:
        """Like `list`, items still encoded, with their checked heads, and with metadata only where `partial`; `kept` says what of
        each is held in memory. An expired page starts over once, then raises RELIST."""
        resource = self.resource(group, kind)
        accept = shape.PARTIAL_LIST if partial else JSON
        query = {"labelSelector": labels} if labels else {}
        call = Call("list", "GET", resource.path(quote(namespace)), query, accept=accept)
        seconds = max(self.transport.limits.listing, self.deadline)
        whole = self._copy(_limit=sooner(Limit.of(TURNS * seconds), self._limit))
        return pages.collect(
            lambda one: whole._send(one, seconds),
            call,
            Asked("list", resource, namespace),
            self.transport.limits,
            kept,
            partial=partial,
        )

    def some(
        self, group: str, kind: str, *, namespace: str, labels: str = "", fields: str = "", limit: int = PAGE
    ) -> Objects:
        """Up to `limit` objects of a collection, and perhaps not all: to show them, never to decide what is absent (S3)."""
        resource, chosen = self.resource(group, kind), {"labelSelector": labels, "fieldSelector": fields}
        query = {"limit": str(limit)} | {key: value for key, value in chosen.items() if value}
        body = self._send(Call("list", "GET", resource.path(quote(namespace)), query))
        head = {"apiVersion": resource.api_version, "kind": kind}
        items = shape.page(body, Asked("list", resource, namespace)).items
        return [{**head, **shape.body(raw, "list")} for _, raw in items]

    def heads(self, group: str, kind: str, *, namespace: str = "", labels: str = "") -> Heads:
        """The metadata of a whole collection."""
        return [head for head, _ in self.raw_list(group, kind, namespace=namespace, labels=labels, partial=True)[0]]

    def watch(
        self,
        group: str,
        kind: str,
        *,
        since: str,
        namespace: str = "",
        labels: str = "",
        seconds: int,
        silence: float,
        partial: bool = False,
    ) -> Watch:
        """Open a watch with bookmarks from `since` for `seconds`, `partial` = of metadata alone; see Transport.stream."""
        query = {"watch": "1", "resourceVersion": since, "allowWatchBookmarks": "true", "timeoutSeconds": str(seconds)}
        if labels:
            query["labelSelector"] = labels
        resource = self.resource(group, kind)
        accept = shape.PARTIAL_WATCH if partial else JSON
        call = Call("watch", "GET", resource.path(quote(namespace)), query, accept=accept)
        stream = self.transport.stream(call, deadline=self.deadline, silence=silence)
        return Watch(stream, Asked("watch", resource, namespace), partial=partial)

    def namespaced(self, group: str, kind: str) -> bool:
        """Whether objects of this kind live in a namespace; ApiError KIND_MISSING when the server lacks it."""
        return self.resource(group, kind).namespaced

    def resource(self, group: str, kind: str, version: str = "") -> Resource:
        """How the kind is served (discovery is refreshed once when it is missing)."""
        return self._discovery.find(group, kind, version)

    def kinds(self, asked: Collection[str] = ()) -> frozenset[str]:
        """Every "group/version/Kind" the server has. Raises ApiError KIND_UNREAD as `Discovery.kinds`."""
        return self._discovery.kinds(asked)

    def version(self) -> str:
        """The server's gitVersion, such as v1.36.3."""
        return shape.version(self._fetch("/version", JSON))

    def readyz(self) -> bool:
        """Whether the server says it is ready; ApiError when it cannot be reached."""
        try:
            return self._fetch("/readyz", "*/*", min(READY_DEADLINE, self.deadline)).strip() == b"ok"
        except ApiError as error:
            if error.status:
                return False
            raise

    # Writes

    def apply(
        self, obj: Object, *, uid: str = "", force: bool = False, dry_run: bool = False, manager: str = MANAGER
    ) -> Applied:
        """Server-side apply (A1). With `uid` the write is refused (RACED) unless the object with that UID is there
        (A2)."""
        ref, resource = self._place(obj)
        metadata = {key: value for key, value in obj["metadata"].items() if key not in ("uid", "managedFields")}
        if uid:
            metadata["uid"] = uid
        query = {"fieldManager": manager, "fieldValidation": "Strict", "force": "true" if force else "false"}
        if dry_run:
            query["dryRun"] = "All"
        body = msgspec.json.encode({**obj, "metadata": metadata})
        call = Call("apply", "PATCH", path_of(resource, ref), query, body, APPLY, ref=ref, resource=resource.plural)
        status, answer = self._write(call, free=dry_run)
        kept = not (dry_run and status == 201)
        return Applied(shape.decoded(answer, asked("apply", resource, ref, uid, kept=kept)), status == 201)

    def create(self, obj: Object) -> Object:
        """POST; RACED when the name is taken."""
        ref, resource = self._place(obj)
        query = {"fieldManager": MANAGER, "fieldValidation": "Strict"}
        path = path_of(resource, ref).rpartition("/")[0]
        call = Call("create", "POST", path, query, dict(obj), ref=ref, resource=resource.plural)
        return shape.decoded(self._write(call)[1], asked("create", resource, ref))

    def replace(self, obj: Object) -> Object:
        """PUT of an object with the resourceVersion it is based on; RACED when that has changed."""
        ref, resource = self._place(obj)
        query = {"fieldManager": MANAGER, "fieldValidation": "Strict"}
        call = Call("replace", "PUT", path_of(resource, ref), query, dict(obj), ref=ref, resource=resource.plural)
        uid = str(obj["metadata"].get("uid") or "")
        return shape.decoded(self._write(call)[1], asked("replace", resource, ref, uid))

    def patch_status(self, ref: ObjectRef, body: Object) -> Object:
        """Server-side apply on /status; `body` needs apiVersion, kind and status only. Forced, because nobody else
        writes our status."""
        _, resource = self._place({**body, "metadata": {"name": ref.name, "namespace": ref.namespace}})
        whole = {**body, "metadata": {"name": ref.name} | ({"namespace": ref.namespace} if ref.namespace else {})}
        query = {"fieldManager": MANAGER, "fieldValidation": "Strict", "force": "true"}
        path = path_of(resource, ref, "status")
        call = Call("apply", "PATCH", path, query, msgspec.json.encode(whole), APPLY, ref=ref, resource=resource.plural)
        return shape.decoded(self._write(call)[1], asked("apply", resource, ref))

    def rewrite(self, ref: ObjectRef, live: Object, metadata: Object) -> Object:
        """Change fields of the metadata (owners, finalizers), and no value: RACED unless the object is the same and as it was read."""
        resource = self.resource(ref.group, ref.kind, str(live["apiVersion"]).rpartition("/")[2])
        known = {key: live["metadata"][key] for key in ("uid", "resourceVersion")}
        body, query = {"metadata": {**known, **metadata}}, {"fieldManager": MANAGER}
        call = Call("patch", "PATCH", path_of(resource, ref), query, body, MERGE, ref=ref, resource=resource.plural)
        return shape.decoded(self._write(call)[1], asked("patch", resource, ref))

    def delete(self, ref: ObjectRef, uid: str, *, propagation: str = "Background") -> Object | None:
        """Delete the object with this UID and no other (D4): None = gone, else the object that is still finalizing.

        RACED means that another object has the name now: the one meant is gone, and the other is kept. `uid` "" deletes
        the object whatever its UID: only for the controller's own state.
        """
        resource = self.resource(ref.group, ref.kind)
        body: dict[str, Any] = {"propagationPolicy": propagation} | ({"preconditions": {"uid": uid}} if uid else {})
        call = Call("delete", "DELETE", path_of(resource, ref), None, body, ref=ref, resource=resource.plural)
        try:
            told = self._write(call)[1]
        except ApiError as error:
            if error.kind is ErrorClass.ABSENT:
                return None
            raise
        return shape.deletion(told, asked("delete", resource, ref, uid))

    def close(self) -> None:
        """Close the connections."""
        self.transport.close()

    # Parts

    def _copy(self, **changes: object) -> "Client":
        made = copy.copy(self)
        vars(made).update(changes)
        return made

    def _place(self, obj: Object) -> tuple[ObjectRef, Resource]:
        group, _, version = str(obj["apiVersion"]).rpartition("/")
        meta: Mapping[str, Any] = obj["metadata"]
        resource = self.resource(group, obj["kind"], version)
        namespace = str(meta.get("namespace") or "") if resource.namespaced else ""
        return ObjectRef(group, obj["kind"], namespace, meta["name"]), resource

    def _send(self, call: Call, deadline: float | None = None) -> bytes:
        return self._transfer(call, deadline)[1]

    def _transfer(self, call: Call, deadline: float | None = None) -> tuple[int, bytes]:
        try:
            return self.transport.send(call, deadline=deadline or self.deadline, limit=self._limit)
        except ApiError as error:
            if error.kind in DENIALS and call.ref is not None:
                self._doubted(call.ref)
            if error.kind is ErrorClass.KIND_MISSING:
                self._discovery.forget()
            raise

    def _fetch(self, path: str, accept: str, deadline: float | None = None) -> bytes:
        return self._send(Call("get", "GET", path, accept=accept), deadline)

    def _write(self, call: Call, *, free: bool = False) -> tuple[int, bytes]:
        if not free:
            self.fence()
        return self._transfer(call)
