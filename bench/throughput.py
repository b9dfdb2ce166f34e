"""`throughput` (G2): the controller's apply rate against the raw limit of the same API server in the same run.

Raw: 16 threads of bare server-side apply with the official client's transport, straight to the plane. Ours: the nested clusters
stand with an empty namespace, then one push gives each its ConfigMaps; the clock runs from admission to the last object, so it
holds rendering, planning, port-forwards, the records before and after, statuses and events.
"""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any, Final

from kubernetes.client import ApiClient, Configuration

from bench import documents, scene
from bench.report import Outcome, Row, Size

THREADS: Final = 16
CLUSTERS: Final = 20
"""Nested clusters of this benchmark at most: they are the parallelism, not the subject."""
NAMESPACE: Final = "raw-limit"
SECONDS: Final = 120.0


def run(size: Size) -> Outcome:
    """Raw, ours, raw again: the limit is the mean of both, since a shared machine changes under the run."""
    clusters = min(size.clusters, CLUSTERS)
    total = clusters * size.objects
    with scene.opened(clusters, 0) as made:
        made.start()
        made.await_ready()
        before = _raw(made, total, "before")
        ours = _ours(made, size.objects, total)
        after = _raw(made, total, "after")
    raw = (before + after) / 2
    rows = [
        Row(f"raw, {THREADS} threads", raw, "objects/s"),
        Row("controller, first sync", ours, "objects/s"),
        Row("controller / raw", ours / raw, "x", goal=0.8, at_least=True),
    ]
    told = (
        f"{clusters} nested clusters x {size.objects} ConfigMaps; raw was {before:.0f}/s before and {after:.0f}/s after"
    )
    return Outcome("throughput", "G2", rows, [told])


def _ours(made: scene.Scene, objects: int, total: int) -> float:
    """Objects a second, from the admission of the commit to the creation of the last object."""
    version = made.inside.list("v1", "ConfigMap", fields="metadata.name=none")["metadata"]["resourceVersion"]
    made.write(documents.PROFILE, documents.profile(objects))
    commit = made.push(f"{objects} ConfigMaps each")
    last = _last_created(made, version, total)
    status = made.until("the commit is admitted", lambda: _admitted(made.source(), commit), SECONDS)
    made.await_ready()
    return total / (last - datetime.fromisoformat(status["stages"]["admitted"]).timestamp())


def _last_created(made: scene.Scene, version: str, total: int) -> float:
    seen = 0
    for kind, item in made.inside.watch("v1", "ConfigMap", version, seconds=int(SECONDS)):
        seen += kind == "ADDED" and item["metadata"]["name"].startswith("settings-")
        if seen == total:
            return time.time()
    raise SystemExit(f"{seen} of {total} objects within {SECONDS:.0f} s\n{made.controller.tail()}")


def _admitted(status: dict[str, Any], commit: str) -> dict[str, Any]:
    return status if commit in str(status.get("revision")) and "admitted" in status.get("stages", {}) else {}


def _raw(made: scene.Scene, total: int, prefix: str) -> float:
    """Objects a second of threads that do nothing but apply."""
    made.inside.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    api = _official(made)
    bodies = [(f"{prefix}-{number}", _body(f"{prefix}-{number}")) for number in range(total)]
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda one: _apply(api, *one), bodies[: THREADS * 2]))  # connections and code are warm
        began = time.perf_counter()
        list(pool.map(lambda one: _apply(api, *one), bodies[THREADS * 2 :]))
        taken = time.perf_counter() - began
    api.close()
    return max(total - THREADS * 2, 0) / taken


def _official(made: scene.Scene) -> ApiClient:
    access = made.inside.access
    configuration = Configuration()
    configuration.host, configuration.ssl_ca_cert = access.server, str(access.ca)
    configuration.cert_file, configuration.key_file = str(access.certificate), str(access.key)
    configuration.connection_pool_maxsize = THREADS
    return ApiClient(configuration)


def _apply(api: ApiClient, name: str, body: bytes) -> None:
    path = f"/api/v1/namespaces/{NAMESPACE}/configmaps/{name}?fieldManager=raw&force=true"
    headers = {"Content-Type": "application/apply-patch+yaml", "Accept": "application/json"}
    sent = api.param_serialize("PATCH", path, header_params=headers, body=body)
    answer = api.call_api(*sent)
    answer.read()
    if answer.status not in (200, 201):
        raise SystemExit(f"raw apply of {name}: {answer.status} {answer.data!r}")


def _body(name: str) -> bytes:
    """The same bytes as ours carries: the profile's ConfigMap with our marks."""
    marks = {"inside.nidus.dev/managed-by": "nidus", "inside.nidus.dev/cluster": "raw", "inside.nidus.dev/layer": "raw"}
    metadata = {"name": name, "namespace": NAMESPACE, "labels": marks}
    data = {"stamp": "0", "text": "x" * 200}
    return json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}).encode()
