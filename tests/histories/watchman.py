"""What must never happen on the way: looked for after every step and pass of a history."""

from __future__ import annotations

from typing import Any

from reconciler.model import ObjectRef
from tests.documents import config_map
from tests.memory.server import Server
from tests.passes import HOME, Fleet

LABELS = {"app.kubernetes.io/managed-by": "nidus", "nidus.dev/cluster": "z"}
PLACES = {"": ("ConfigMap", "web"), "zones.example": ("Zone", "")}
HOST = (
    ("", "Namespace", "", "vcluster-{0}"),
    ("apps", "StatefulSet", "vcluster-{0}", "{0}"),
    ("", "Service", "vcluster-{0}", "{0}"),
)

Place = tuple[str, str, str, str, str]
"""A server's name, and group, kind, namespace and name of an object."""


class Watchman:
    """Sees that what Git wants stays the object it is, that records stay, and that nothing of somebody else is touched."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self._clusters: frozenset[str] = frozenset()
        self._objects: frozenset[tuple[str, str]] = frozenset()
        self._uids: dict[Place, str] = {}
        self._records: dict[str, str] = {}
        self._foreign: list[tuple[Server, dict[str, Any]]] = []
        self._met: set[int] = set()
        self._known: set[tuple[str, ObjectRef]] = set()
        self._states: dict[str, Any] = {}
        self._read: dict[int, int] = {}
        fleet.host.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "else"}})
        self._put(fleet.host, "else", LABELS)
        self._put(fleet.host, HOME, {})

    def want(self, wanted: tuple[frozenset[str], frozenset[tuple[str, str]]] | None) -> None:
        """Git says something else now; None: its profile is broken, and what was accepted before stands."""
        if wanted is None:
            return
        self._clusters, self._objects = wanted
        self._uids = {place: uid for place, uid in self._uids.items() if place in self._places()}
        self._records = {name: nonce for name, nonce in self._records.items() if name in self._clusters}

    def forget(self, cluster: str, group: str, name: str) -> None:
        """A human deleted it."""
        self._uids.pop((cluster, group, *PLACES[group], name), None)

    def meet(self) -> None:
        """Somebody else's objects are put into new servers, one with our labels beside ours."""
        for server in self.fleet.nested.values():
            if id(server) not in self._met:
                self._met.add(id(server))
                self._put(server, "default", {})
                self._put(server, "kube-system", LABELS)

    def glance(self) -> None:
        """Every write that the product sent since the last look was of something its inventory holds, or of its own records."""
        for name, state in self.fleet.registry.states().items():
            if self._states.get(name) is not state:
                self._states[name] = state
                self._known |= {(one.target.nested or "host", one.ref) for one in state.entries}
        for server in (self.fleet.host, *self.fleet.nested.values()):
            calls = server.log[self._read.get(id(server), 0) :]
            self._read[id(server)] = len(server.log)
            for call in calls:
                if (
                    call.writes
                    and call.status in range(200, 300)
                    and not (call.target == "host" and call.namespace == HOME)
                ):
                    ours = (call.target, ObjectRef(*call.ref)) in self._known
                    assert ours, f"{call.verb} of {call.ref} on {call.target}, which no inventory holds"

    def look(self) -> None:
        """All of it."""
        self.glance()
        for place in self._places():
            self._same(place)
        for server, obj in self._foreign:
            if server is self.fleet.host or server in self.fleet.nested.values():
                meta = obj["metadata"]
                now = server.get("", "ConfigMap", meta["namespace"], meta["name"])
                assert now == obj, f"{server.name}: somebody else's {meta['namespace']}/{meta['name']} is {now}"
        self._look_at_records()

    def _same(self, place: Place) -> None:
        server = self.fleet.host if place[0] == "host" else self.fleet.nested.get(place[0])
        live = server.get(*place[1:]) if server else None
        uid = str(live["metadata"]["uid"]) if live else ""
        known = self._uids.get(place)
        assert known in (None, uid), f"{place} was {'replaced' if uid else 'deleted'}, and Git wanted it all along"
        if uid:
            self._uids[place] = uid

    def _look_at_records(self) -> None:
        found = {name: state.record.nonce for name, state in self.fleet.registry.states().items()}
        stored = {one["metadata"]["name"] for one in self.fleet.host.objects("", "ConfigMap", HOME)}
        for name, nonce in self._records.items():
            assert any(name in one for one in stored if "record" in one), f"the record of {name} is lost: {stored}"
            assert found.get(name) == nonce, f"the record of {name} began anew"
        self._records |= {name: nonce for name, nonce in found.items() if name in self._clusters and nonce}

    def _places(self) -> set[Place]:
        inside = {(name, group, *PLACES[group], obj) for name in self._clusters for group, obj in self._objects}
        outside = {("host", *(part.format(name) for part in one)) for name in self._clusters for one in HOST}
        return inside | outside  # type: ignore[return-value]

    def _put(self, server: Server, namespace: str, labels: dict[str, str]) -> None:
        body = config_map("foreign", of=server.name)
        meta = {"name": "foreign", "namespace": namespace, "labels": labels}
        self._foreign.append((server, server.put({**body, "metadata": meta})))
