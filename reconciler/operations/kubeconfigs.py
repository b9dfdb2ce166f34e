"""Kubeconfigs for people and programs: an account inside for each, and a Secret in the cluster's host namespace with its token,
which is made anew in time (O12). Pure.

A token is bound to its account, so it ends when its entry leaves the document and the account goes. What is on record says whether a
Secret is still as it was written; what it holds is on no record.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Collection, Mapping
from typing import Any

from reconciler.model import Bundle, Issued, Kubeconfig, Kubeconfigs, Object, ObjectRef, Record
from reconciler.plan.mark import MANAGED_BY
from reconciler.spec.units import duration

RENEWED = 0.8  # of a token's life: then the next one is made, and both are good
KEY = "config"
LAYER = "access"
_PREFIX = "nidus-kubeconfig-"
_OURS = {MANAGED_BY: "nidus", "nidus.dev/layer": LAYER}


def of(bundle: Bundle) -> tuple[Kubeconfig, ...]:
    """What the cluster's document asks for; nothing of a cluster that is removed."""
    there = bundle.document is not None and bundle.tombstone is None
    return bundle.document.cluster.spec.access.kubeconfigs if bundle.document is not None and there else ()


def known(record: Record) -> Kubeconfigs:
    """What is on record of them."""
    return record.kubeconfigs or Kubeconfigs()


def secret(bundle: Bundle, name: str) -> ObjectRef:
    """The Secret of one, by the name of its entry."""
    return ObjectRef("", "Secret", bundle.namespace, f"{_PREFIX}{name}")


def server(bundle: Bundle, one: Kubeconfig, endpoint: str) -> str:
    """The address in it, "" while the cluster has none outside. `endpoint`: the cluster's own, as its status says."""
    return endpoint if one.server == "external" else f"https://{bundle.cluster}.{bundle.namespace}.svc"


def place(server: str, ca: str) -> str:
    """The digest of where it leads."""
    return hashlib.sha256(f"{server}\n{ca}".encode()).hexdigest()


def config(cluster: str, name: str, server: str, ca: str, token: str) -> bytes:
    """The kubeconfig, as JSON, which is YAML too."""
    where = {"server": server, "certificate-authority-data": base64.b64encode(ca.encode()).decode()}
    body = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": cluster, "cluster": where}],
        "users": [{"name": name, "user": {"token": token}}],
        "contexts": [{"name": cluster, "context": {"cluster": cluster, "user": name}}],
        "current-context": cluster,
    }
    return json.dumps(body, indent=2).encode() + b"\n"


def body(bundle: Bundle, name: str, content: bytes, owner: Object) -> Object:
    """The Secret. `owner`: the engine's live workload, with which the host removes it."""
    labels = {**_OURS, "nidus.dev/cluster": bundle.cluster}
    by = {"apiVersion": owner["apiVersion"], "kind": owner["kind"]}
    by |= {"name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"]}
    metadata = {"name": secret(bundle, name).name, "namespace": bundle.namespace, "labels": labels}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {**metadata, "ownerReferences": [by]},
        "type": "Opaque",
        "data": {KEY: base64.b64encode(content).decode()},
    }


def ours(live: Object, bundle: Bundle) -> bool:
    """Whether a live Secret is one that we wrote: no engine may write these labels."""
    labels = live["metadata"].get("labels") or {}
    return all(labels.get(key) == value for key, value in {**_OURS, "nidus.dev/cluster": bundle.cluster}.items())


def stands(before: Issued, live: Object | None, wanted: Issued, owners: Collection[str], now: float) -> bool:
    """Whether the live Secret is as it was written, leads where it should, goes with the engine, and has a token that is good for long
    enough. `wanted`: the same with what is to be; its times and content do not count. `owners`: UIDs of the engine's workload."""
    if live is None or now >= renewed(before):
        return False
    same = (before.account, before.place, before.ttl) == (wanted.account, wanted.place, wanted.ttl)
    return same and _content(live) == before.content and any(one["uid"] in owners for one in _owners(live))


def _owners(live: Object) -> list[Any]:
    found: list[Any] = live["metadata"].get("ownerReferences") or []
    return found


def renewed(one: Issued) -> float:
    """When its next token is made, in seconds since the epoch."""
    return one.at + RENEWED * (one.ends - one.at)


def ttl(one: Kubeconfig) -> float:
    return duration(one.ttl)


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _content(live: Object) -> str:
    data: Any = live.get("data")
    held = data.get(KEY) if isinstance(data, Mapping) else None
    try:
        return digest(base64.b64decode(held, validate=True)) if isinstance(held, str) else ""
    except (binascii.Error, ValueError):
        return ""
