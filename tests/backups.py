"""A Ready cluster whose file asks for snapshots, an object store for them, and its engine's part of the contract (O7, O9)."""

import base64
import queue
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from reconciler.controller.errands import Errands
from reconciler.inventory import requests
from reconciler.model import Backups, Ceilings, Rules, replace
from tests.object_store import ObjectStore, archive
from tests.passes import HOME, RULES, START, Fleet, cluster, config_map, pack, profile

LABEL = "vcluster.loft.sh/snapshot-request"
FINALIZER = "vcluster.loft.sh/snapshot-controller"
SECRET = "very-secret-0123456789"
HOUR, DAY = 3600.0, 86400.0
HOME_A = "vcluster-a"
WHOLE = {f"/registry/configmaps/web/{number}": b"data" for number in range(12)}


class Engine:
    """The engine's part of the contract, as it is told: it reads the request, uploads, and says how that ended."""

    def __init__(self, fleet: Fleet, store: ObjectStore) -> None:
        self.fleet, self.store = fleet, store

    def request(self) -> dict[str, Any]:
        found = [one for one in self.fleet.host.objects("", "ConfigMap", HOME_A) if LABEL in labels(one)]
        assert len(found) == 1
        return found[0]

    def options(self) -> dict[str, Any]:
        secret = self.fleet.host.get("", "Secret", HOME_A, self.request()["metadata"]["name"])
        assert secret is not None
        found: dict[str, Any] = msgspec.json.decode(base64.b64decode(secret["data"]["snapshotOptions"]))
        return found

    def says(self, phase: str, message: str = "", *, holds: bool = False) -> None:
        live = self.request()
        asked = msgspec.json.decode(live["data"]["snapshotRequest"])
        asked["status"] = {"phase": phase, **({"error": {"message": message}} if message else {})}
        data = {"snapshotRequest": msgspec.json.encode(asked).decode()}
        metadata = {**live["metadata"], "finalizers": [FINALIZER] if holds else []}
        self.fleet.host.put({**live, "metadata": metadata, "data": data}, manager="vcluster")

    def completes(self, data: bytes | None = None) -> None:
        options = self.options()
        if data != b"":
            self.store.put(options["s3"]["key"], archive(WHOLE) if data is None else data)
        self.says("Completed")
        self.fleet.host.delete("", "Secret", HOME_A, self.request()["metadata"]["name"])


def labels(one: dict[str, Any]) -> dict[str, str]:
    return dict(one["metadata"].get("labels") or {})


class Scene:
    """A Ready cluster with credentials in its host namespace. `ended` has the cluster of each errand that ended."""

    def __init__(
        self, store: ObjectStore, spec: Mapping[str, Any] | None = None, rules: Rules = RULES, **backup: Any
    ) -> None:
        store.empty()
        self.store, self.backup = store, backup
        self.ended: queue.SimpleQueue[str] = queue.SimpleQueue()
        ceilings = Ceilings(backup_endpoints=(store.url,))
        self.fleet = Fleet(replace(rules, ceilings=ceilings), errands=Errands(self.ended.put))
        self.engine = Engine(self.fleet, store)
        self.push(**(spec or {}))
        self.fleet.run()
        self.keys()

    def keys(self, secret: str = SECRET) -> None:
        """The credentials of the cluster, from now on."""
        data = {"AWS_ACCESS_KEY_ID": "access", "AWS_SECRET_ACCESS_KEY": secret}
        meta = {"name": "keys", "namespace": HOME_A}
        self.fleet.host.put({"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": data})

    def push(self, **more: Any) -> None:
        location = {"type": "s3", "bucket": "backups", "endpoint": self.store.url, "prefix": "teams"}
        backup = {"location": location, "credentials": "keys", **self.backup}
        packs = profile(pack("base", config_map("greeting", text="one")))
        self.fleet.push({"p.yaml": packs, "a.yaml": cluster("a", backup=backup, **more)})

    def ask(self) -> None:
        """`nidus backup a`."""
        end = datetime.fromtimestamp(START + self.fleet.now + DAY, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        spec = {"kind": "backup", "who": "ann", "cluster": "a", "expires": end}
        meta = {"name": f"backup-{self.fleet.now}", "namespace": HOME}
        self.fleet.host.put({"apiVersion": requests.API, "kind": "Request", "metadata": meta, "spec": spec})
        self.fleet.unheard = True
        self.look()

    def look(self, seconds: float = 3.0) -> None:
        self.fleet.queue.add("a")
        self.fleet.run(seconds=seconds)

    def settle(self) -> None:
        """An errand ended; the pass that it wakes."""
        self.fleet.queue.add(self.ended.get(timeout=60))
        self.fleet.run(seconds=3.0)

    @property
    def known(self) -> Backups:
        state = self.fleet.state("a")
        assert state is not None and state.record.backups is not None
        return state.record.backups

    @property
    def told(self) -> dict[str, Any]:
        found: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(self.fleet.reporter.clusters["a"].life.backups))
        return found

    def made(self, data: bytes | None = None) -> None:
        """One snapshot from asking to its end."""
        self.fleet.now += 61.0
        self.ask()
        self.engine.completes(data)
        self.look(10.0)
        self.settle()

    def requests(self) -> list[str]:
        """What is left of requests for snapshots."""
        kinds = ("Secret", "ConfigMap")
        found = [one for kind in kinds for one in self.fleet.host.objects("", kind, HOME_A) if LABEL in labels(one)]
        return [one["kind"] for one in found]
