"""Writes the status objects on the home cluster: only when they changed, and only with what was read back (T1).

What is remembered of them is only a hint: `compare` lists the objects and corrects every difference, in both
directions.
"""

import threading
from collections.abc import Callable, Collection, Mapping
from typing import Any

from msgspec import Struct

from reconciler.errors import ApiError
from reconciler.kube.client import Client
from reconciler.kube.shape import Head
from reconciler.model import Object, ObjectRef
from reconciler.report import bodies, log
from reconciler.report.outbox import FIRST, Outbox
from reconciler.report.view import ClusterView, SourceView

API = "nidus.dev/v1alpha1"
KINDS = ("NestedCluster", "Source")
FEW = 50  # objects of another version that are read one by one; more of them are listed
THREADS = 4  # status objects written side by side
NEW = 2.0  # seconds to wait for a new object to be written, for whoever needs its UID
LAST_WORDS = 5.0  # seconds a stop gives what is not written yet
Key = tuple[str, str]  # kind, name


class Body(Struct, frozen=True):
    """The content of one status object."""

    spec: Mapping[str, Any]
    status: Mapping[str, Any]


class Statuses:
    """The wanted content of the status objects, their known content, and the writes between the two; `first`: seconds until one that
    failed is tried again."""

    def __init__(self, client: Client, namespace: str, first: float = FIRST) -> None:
        self._client = client
        self._namespace = namespace
        self._lock = threading.Lock()
        self._known: dict[Key, Body] = {}
        self._wanted: dict[Key, Body | None] = {}
        self._versions: dict[Key, str] = {}
        self._uids: dict[Key, str] = {}
        self._unsure: set[Key] = set()
        self._moved: dict[Key, int] = {}
        self._turn = 0
        self._outbox: Outbox[Key] = Outbox("status", self._write, threads=THREADS, first=first)

    def said(self, cluster: str) -> Mapping[str, Any]:
        """The status of a cluster as it is known on the server."""
        with self._lock:
            known = self._known.get(("NestedCluster", cluster))
            return known.status if known else {}

    def uid(self, cluster: str) -> str:
        """The UID of a cluster's status object, "" where there is none. Waits a moment for an object that is being written."""
        key = ("NestedCluster", cluster)
        for _ in range(2):
            with self._lock:
                if self._uids.get(key) or key not in self._wanted:
                    return self._uids.get(key, "")
            self._outbox.settle(NEW)
        return ""

    def load(self) -> tuple[list[ClusterView], list[SourceView]]:
        """Read the status objects, so that a restart writes nothing that is already there. Raises ApiError."""
        clusters, sources = (self._list(kind) for kind in KINDS)
        with self._lock:
            self._known = {key: _body(item) for key, item in (*clusters.items(), *sources.items())}
            self._versions = {key: _version(item) for key, item in (*clusters.items(), *sources.items())}
            self._uids = {key: _uid(item) for key, item in clusters.items()}
        return [bodies.read_cluster(one) for one in clusters.values()], [
            bodies.read_source(one) for one in sources.values()
        ]

    def cluster(self, view: ClusterView) -> None:
        """Write the status of a cluster, soon."""
        self._want(("NestedCluster", view.cluster), Body(*bodies.cluster(view)))

    def source(self, view: SourceView) -> None:
        """Write the status of a source, soon."""
        self._want(("Source", view.source), Body(*bodies.source(view)))

    def gone(self, kind: str, name: str) -> None:
        """Delete its status object, soon."""
        self._want((kind, name), None)

    def names(self, kind: str) -> dict[str, Mapping[str, Any]]:
        """The known objects with a status that we wrote, with their specs. An object without a status is somebody
        else's."""
        with self._lock:
            return {name: body.spec for (of, name), body in self._known.items() if of == kind and body.status}

    def compare(self, *, wholly: bool = False, alive: Callable[[], None] = lambda: None) -> None:
        """List the objects, remember what they contain, and write those that differ from what is wanted. Raises
        ApiError.

        Where the resourceVersion is the remembered one, metadata is enough, unless `wholly`. Objects written during the
        list are compared next time. `alive` is called between two requests.
        """
        with self._lock:
            began, known = self._turn, dict(self._versions)
        listed, moved = self._standing(known, wholly, alive)
        with self._lock:
            still = {key for key in {*listed, *self._known} if self._moved.get(key, 0) <= began}
            for key in still:
                live = moved.get(key)
                if live is not None:
                    self._known[key], self._versions[key], self._uids[key] = _body(live), _version(live), _uid(live)
                elif key in moved or key not in listed:
                    self._forget(key)
            wrong = [key for key in still if key in self._wanted and self._differs(key)]
        for key in wrong:
            self._outbox.put(key)

    def _standing(
        self, known: Mapping[Key, str], wholly: bool, alive: Callable[[], None]
    ) -> tuple[Collection[Key], Mapping[Key, Object | None]]:
        """What stands there, and the objects that are not of the `known` version: few are read one by one, many are listed."""
        heads = {} if wholly else {(kind, one.ref.name): one.version for kind in KINDS for one in self._heads(kind)}
        differing = [key for key, version in heads.items() if known.get(key) != version]
        if wholly or len(differing) > FEW:
            whole = {key: item for kind in KINDS for key, item in self._list(kind).items()}
            return whole.keys(), whole
        found: dict[Key, Object | None] = {}
        for key in differing:
            alive()
            found[key] = self._client.get(self._ref(key))
        return heads.keys(), found

    def version(self, ref: ObjectRef) -> str:
        """The resourceVersion of an object as it was written or read last, "" where none is known."""
        with self._lock:
            return self._versions.get((ref.kind, ref.name), "")

    def hear(self, item: Object) -> None:
        """A whole object as a watch shows it: where its content is the known one, only its metadata was changed."""
        key: Key = (str(item["kind"]), str(item["metadata"]["name"]))
        with self._lock:
            if self._known.get(key) == _body(item):
                self._versions[key] = _version(item)

    def waiting(self) -> int:
        """Objects that are not written yet."""
        return self._outbox.waiting()

    def settle(self, seconds: float) -> bool:
        """Wait at most `seconds` until everything is written; whether it is."""
        return self._outbox.settle(seconds)

    def close(self) -> None:
        self._outbox.close(LAST_WORDS)

    # Writing

    def _want(self, key: Key, body: Body | None) -> None:
        shown = body and Body(log.shown(body.spec), log.shown(body.status))
        with self._lock:
            self._wanted[key] = shown
            differs = self._differs(key)
        if differs:
            self._outbox.put(key)

    def _differs(self, key: Key) -> bool:
        return key in self._unsure or self._known.get(key) != self._wanted.get(key)

    def _write(self, key: Key) -> None:
        """Write one object as it is wanted, or whole where a write failed: what stands there is not known then. Raises ApiError."""
        with self._lock:
            wanted, differs = self._wanted.get(key), self._differs(key)
            known = None if key in self._unsure else self._known.get(key)
            self._turn += 1
            self._moved[key] = self._turn
        if not differs:
            return
        try:
            if wanted is None:
                self._delete(key)
            else:
                self._put(key, wanted, known)
        except ApiError:
            with self._lock:
                self._unsure.add(key)
            raise
        self._remember(key, wanted)
        with self._lock:
            overtaken = self._differs(key)
        if overtaken:  # what is wanted changed during the write
            self._outbox.put(key)

    def _put(self, key: Key, wanted: Body, known: Body | None) -> None:
        metadata = {"name": key[1], "namespace": self._namespace}
        head: Object = {"apiVersion": API, "kind": key[0], "metadata": metadata}
        if known is None or known.spec != wanted.spec:
            made = self._client.apply({**head, "spec": dict(wanted.spec)}, force=True)
            self._remember(key, Body(wanted.spec, known.status if known else {}), made.object)
        if known is None or known.status != wanted.status:
            made_status = self._client.patch_status(self._ref(key), {**head, "status": dict(wanted.status)})
            self._remember(key, wanted, made_status)

    def _delete(self, key: Key) -> None:
        found = self._client.get(self._ref(key))
        if found is not None:
            self._client.delete(self._ref(key), uid=str(found["metadata"]["uid"]))

    def _remember(self, key: Key, body: Body | None, answer: Object | None = None) -> None:
        """Remember the content after a write; `answer` is the object as the server returned it."""
        with self._lock:
            self._turn += 1
            self._moved[key] = self._turn
            self._unsure.discard(key)
            if body is None:
                self._forget(key)
                if self._wanted.get(key) is None:
                    self._wanted.pop(key, None)
                    self._moved.pop(key, None)
                return
            self._known[key] = body
            if answer is not None:
                self._versions[key], self._uids[key] = _version(answer), _uid(answer)

    def _forget(self, key: Key) -> None:
        self._known.pop(key, None)
        self._versions.pop(key, None)
        self._uids.pop(key, None)

    def _heads(self, kind: str) -> list[Head]:
        return self._client.heads("nidus.dev", kind, namespace=self._namespace)

    def _list(self, kind: str) -> dict[Key, Object]:
        objects, _ = self._client.list("nidus.dev", kind, namespace=self._namespace)
        return {(kind, str(item["metadata"]["name"])): item for item in objects}

    def _ref(self, key: Key) -> ObjectRef:
        return ObjectRef("nidus.dev", key[0], self._namespace, key[1])


def _body(item: Object) -> Body:
    return Body(item.get("spec") or {}, item.get("status") or {})


def _uid(item: Object) -> str:
    return str(item["metadata"]["uid"])


def _version(item: Object) -> str:
    return str(item["metadata"]["resourceVersion"])
