"""The syncer of one plane: objects made inside appear on the host, what the host makes of them is shown inside.

It acts on the host as the engine's service account, so it can do there only what the engine's Role allows.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime

from devhost.api import ApiError, Client, Object
from devhost.errors import HostError
from devhost.following import Reflector, Workers, key_of
from devhost.nested import inside, translate
from devhost.nested.contract import Engine, value
from devhost.nested.outer import KINDS, Outer
from devhost.nested.translate import Tenancy

Key = tuple[str, str, str]
"""(kind, namespace, name) inside."""
LEVELS = tuple(f"pod-security.kubernetes.io/{name}" for name in ("enforce", "warn"))
_UID = f"{translate.OBJECT}uid"
_KEPT = ("name", "namespace", "labels", "annotations")
_TRANSLATE: dict[str, Callable[[Object, Tenancy], Object]] = {
    "Pod": translate.pod,
    "Service": translate.service,
    "PersistentVolumeClaim": translate.claim,
}


class Syncer:
    """Threads that keep one plane and the host alike.

    `tenancy_of` names, for a namespace inside, whose it is (None: nobody's, left alone); `host_of` gives a client of the
    host acting as that engine.
    """

    def __init__(
        self,
        client: Client,
        outer: Outer,
        tenancy_of: Callable[[str], Tenancy | None],
        host_of: Callable[[Engine], Client],
        stop: threading.Event,
    ) -> None:
        self._inside, self._outer, self._tenancy_of, self._host_of = client, outer, tenancy_of, host_of
        self._shown: dict[str, object] = {}
        self._nodes: set[str] = set()
        self._workers: Workers[Key] = Workers("sync", self._sync, stop, threads=2)
        self._copies = {kind: Reflector(client, "v1", kind, self._seen(kind), stop) for kind in KINDS}
        self._namespaces: Workers[str] = Workers("namespace", self._label, stop)
        self._spaces = Reflector(client, "v1", "Namespace", lambda _, n: self._namespaces.add(key_of(n)[1]), stop)

    def start(self) -> None:
        """Start following and syncing."""
        self._workers.start()
        self._namespaces.start()
        for copy in (*self._copies.values(), self._spaces):
            copy.start()

    def look_again(self, prefix: str) -> None:
        """Sync every object of the namespaces that begin so: their engine starts again, and the host may have lost their pods."""
        for kind, copy in self._copies.items():
            for namespace, name in [key for key in list(copy.items) if key[0].startswith(prefix)]:
                self._workers.add((kind, namespace, name))

    def host_changed(self, kind: str, key: tuple[str, str]) -> None:
        """An object on the host changed whose origin inside is `key`."""
        self._workers.add((kind, *key))

    def _seen(self, kind: str) -> Callable[[str, Object], None]:
        return lambda _, item: self._workers.add((kind, *key_of(item)))

    def _label(self, name: str) -> None:
        tenancy, namespace = self._tenancy_of(name), self._spaces.items.get(("", name))
        level = value(tenancy.config, "policies.podSecurityStandard", "") if tenancy else ""
        if not level or namespace is None or namespace["metadata"].get("deletionTimestamp"):
            return
        if namespace["metadata"].get("labels", {}).get(LEVELS[0]) != level:
            labels = dict.fromkeys(LEVELS, level) | {f"{key}-version": "latest" for key in LEVELS}
            self._inside.patch("v1", "Namespace", name, "", {"metadata": {"labels": labels}})

    def _sync(self, key: Key) -> None:
        kind, namespace, name = key
        tenancy = self._tenancy_of(namespace)
        if tenancy is None or (kind, namespace, name) == ("Service", "default", "kubernetes"):
            return
        host = self._host_of(tenancy.engine)
        inner = self._copies[kind].items.get((namespace, name))
        if kind == "Service" and inner is None:
            inner = self._inside.get("v1", kind, name, namespace)  # it may just have been made anew
        outer_name = translate.host_name(name, namespace, tenancy.engine.name)
        outer = self._outer.get(kind, tenancy.engine.namespace, outer_name)
        if inner is None or inner["metadata"].get("deletionTimestamp"):
            self._remove(kind, inner, outer, host)
        elif outer is None:
            self._make(kind, inner, tenancy, host)
        elif kind == "Service" and _address(inner) != _address(outer):
            self._readdress(inner, outer)
        elif kind != "Service" and outer["metadata"].get("annotations", {}).get(_UID) != inner["metadata"]["uid"]:
            _delete(host, kind, outer)  # of an earlier object of the same name; its end calls us again
        elif outer["metadata"].get("deletionTimestamp"):
            if kind == "Pod":
                _delete(self._inside, kind, inner)
        else:
            self._adjust(kind, inner, outer, tenancy, host)
            self._show(kind, inner, outer)

    def _readdress(self, inner: Object, outer: Object) -> None:
        """Make a Service inside anew with the address of its copy on the host, else as it is (vCluster 0.36.1,
        resources/services/syncer.go). The copy stays, whatever UID it was made for."""
        namespace, name = key_of(inner)
        address = _address(outer)
        others = self._inside.list("v1", "Service")["items"]
        if any(_address(one) == address and key_of(one) != (namespace, name) for one in others):
            raise HostError(f"Service {namespace}/{name}: another one inside still has {address}")
        if not self._inside.delete("v1", "Service", name, namespace, uid=inner["metadata"]["uid"]):
            return  # it is another one by now, which is seen again
        metadata = {key: inner["metadata"][key] for key in _KEPT if key in inner["metadata"]}
        spec = inner["spec"] | {"clusterIP": address, "clusterIPs": [address]}
        self._inside.create({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})

    def _remove(self, kind: str, inner: Object | None, outer: Object | None, host: Client) -> None:
        if outer is not None:
            if not outer["metadata"].get("deletionTimestamp"):
                _delete(host, kind, outer)
        elif inner is not None and kind == "Pod":
            _delete(self._inside, kind, inner, grace=0)
        if inner is not None and outer is None:
            self._shown.pop(inner["metadata"]["uid"], None)

    def _make(self, kind: str, inner: Object, tenancy: Tenancy, host: Client) -> None:
        if kind == "Pod" and inner.get("status", {}).get("startTime"):
            _delete(self._inside, kind, inner, grace=0)  # it ran; its pod on the host is gone: controllers make another
            return
        if kind == "Pod" and inner.get("status", {}).get("phase") in ("Succeeded", "Failed"):
            return
        try:
            host.create(_TRANSLATE[kind](inner, tenancy))
        except ApiError as error:
            if error.status == 409 and error.reason == "AlreadyExists":
                return
            if error.status in (403, 422):
                self._warn(inner, str(error))
            raise

    def _adjust(self, kind: str, inner: Object, outer: Object, tenancy: Tenancy, host: Client) -> None:
        wanted = _TRANSLATE[kind](inner, tenancy)
        change: Object = {}
        labels = wanted["metadata"]["labels"]
        if labels != outer["metadata"].get("labels", {}):
            gone = dict.fromkeys(set(outer["metadata"].get("labels", {})) - set(labels))
            change["metadata"] = {"labels": labels | gone}
        made_for = outer["metadata"].get("annotations", {}).get(_UID)
        if kind == "Service" and made_for != inner["metadata"]["uid"]:
            change.setdefault("metadata", {})["annotations"] = {_UID: inner["metadata"]["uid"]}
        for field in ("ports", "selector", "type") if kind == "Service" else ():
            if not _covers(outer["spec"].get(field), wanted["spec"].get(field)):
                change.setdefault("spec", {})[field] = wanted["spec"].get(field)
        if kind == "PersistentVolumeClaim" and wanted["spec"]["resources"] != outer["spec"]["resources"]:
            change["spec"] = {"resources": wanted["spec"]["resources"]}
        name, namespace = outer["metadata"]["name"], outer["metadata"]["namespace"]
        if change:
            host.patch("v1", kind, name, namespace, change)
        if kind == "Pod" and (resized := _resized(wanted, outer)):
            host.patch("v1", kind, name, namespace, resized, subresource="resize", form="strategic")

    def _show(self, kind: str, inner: Object, outer: Object) -> None:
        status = shown_status(inner, outer)
        if kind == "Pod" and (node := outer["spec"].get("nodeName")):
            self._bind(inner, node)
        if kind == "Pod" and not outer["spec"].get("nodeName") and not status.get("conditions"):
            return
        uid = inner["metadata"]["uid"]
        if status in (self._shown.get(uid), inner.get("status")) or not status:
            return
        namespace, name = key_of(inner)
        change = [{"op": "add", "path": "/status", "value": status}]
        self._inside.patch("v1", kind, name, namespace, change, subresource="status", form="json")
        self._shown[uid] = status

    def _bind(self, inner: Object, node: str) -> None:
        if inner["spec"].get("nodeName"):
            return
        if node not in self._nodes:
            self._show_node(node)
        namespace, name = key_of(inner)
        target = {"apiVersion": "v1", "kind": "Node", "name": node}
        binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name}, "target": target}
        try:
            self._inside.request("POST", f"/api/v1/namespaces/{namespace}/pods/{name}/binding", binding)
        except ApiError as error:
            if error.status not in (404, 409):  # gone, or bound already and only our copy is behind
                raise

    def _show_node(self, name: str) -> None:
        shown = inside.node(name)
        try:
            self._inside.create(shown)
        except ApiError as error:
            if error.status != 409:
                raise
        # Admission taints a new node as not ready; no node controller runs inside that would take it away.
        self._inside.patch("v1", "Node", name, "", {"spec": {"taints": None}})
        self._inside.patch("v1", "Node", name, "", {"status": shown["status"]}, subresource="status")
        self._nodes.add(name)

    def _warn(self, inner: Object, message: str) -> None:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        event = inside.event(inner, "SyncError", message[:1000], "sync", now)
        try:
            self._inside.apply(event)
        except ApiError:
            return  # the refusal itself is raised by the caller; a lost Event changes nothing


def _delete(client: Client, kind: str, item: Object, grace: int | None = None) -> None:
    namespace, name = key_of(item)
    client.delete("v1", kind, name, namespace, grace=grace, uid=item["metadata"]["uid"])


def _address(service: Object) -> str:
    return str(service["spec"].get("clusterIP", ""))


def _resized(wanted: Object, outer: Object) -> Object:
    """The change that gives the host's pod the resources which its nested one asks for now; {} where it has them."""
    have = {one["name"]: one.get("resources", {}) for one in outer["spec"]["containers"]}
    asked = {one["name"]: one.get("resources", {}) for one in wanted["spec"]["containers"]}
    changed = [{"name": name, "resources": one} for name, one in asked.items() if not _covers(have.get(name), one)]
    return {"spec": {"containers": changed}} if changed else {}


def _covers(have: object, wanted: object) -> bool:
    """Tell whether `have` says everything `wanted` says (the server adds defaults of its own)."""
    if isinstance(wanted, dict):
        return isinstance(have, dict) and all(_covers(have.get(key), item) for key, item in wanted.items())
    if isinstance(wanted, list):
        same = isinstance(have, list) and len(have) == len(wanted)
        return same and all(map(_covers, have, wanted)) if isinstance(have, list) else False
    return have == wanted or not wanted


def shown_status(inner: Object, outer: Object) -> Object:
    """The status of a host's object as its nested one shows it. The class of a pod's resources follows from the nested spec and
    never changes; on the host defaults of a LimitRange may make another of it (as in vCluster's own syncer)."""
    status: Object = outer.get("status", {})
    own = inner.get("status", {}).get("qosClass")
    return {**status, "qosClass": own} if own and status else status
