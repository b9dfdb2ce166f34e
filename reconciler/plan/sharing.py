"""Which Secrets of the host's share namespace a cluster may have (K11). Pure.

A Secret says itself by its annotation `nidus.dev/allow`: names of clusters, or a label selector that the labels of their documents
match. One that is not there and one that is not allowed are one and the same error, so that nobody finds out what there is.
"""

import hashlib
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from reconciler.errors import Stalled
from reconciler.model import Bundle, Layer, Object, ObjectRef, replace
from reconciler.plan.mark import HOST

ALLOW = f"{HOST}/allow"
_TYPES = frozenset({"bootstrap.kubernetes.io/token", "kubernetes.io/service-account-token"})
_EXPRESSION = re.compile(r"\s*(?P<key>[A-Za-z0-9./_-]+)\s+(?P<sign>in|notin)\s*\((?P<values>[A-Za-z0-9._,\s-]*)\)\s*")
_EQUAL = re.compile(r"\s*(?P<key>[A-Za-z0-9./_-]+)\s*(?P<sign>==|=|!=)\s*(?P<value>[A-Za-z0-9._-]*)\s*")
_NAME = re.compile(r"\s*[a-z]([-a-z0-9]*[a-z0-9])?\s*")
_encoder = msgspec.json.Encoder(order="deterministic")


def shares(layer: Layer) -> bool:
    """Whether the layer copies such Secrets."""
    return layer.kind == "secrets"


def refs(layer: Layer, share: str) -> list[ObjectRef]:
    """The Secrets that the layer asks for."""
    names = dict.fromkeys(str(one["from"]) for one in layer.spec["secrets"])
    return [ObjectRef("", "Secret", share, name) for name in names]


def held(ref: ObjectRef, live: Object | None, bundle: Bundle) -> dict[str, Any]:
    """The type and data of a Secret that the cluster may have. Raises Stalled(NotShared)."""
    document = bundle.document
    labels = document.cluster.metadata.labels if document is not None else {}
    if live is None or live.get("type") in _TYPES or not allowed(_allow(live), bundle.cluster, labels):
        hint = f"the operator makes it, or adds {bundle.cluster} to its annotation {ALLOW}"
        raise Stalled(f"no Secret {ref.name} is shared with {bundle.cluster}", reason="NotShared", hint=hint)
    return {"type": live.get("type", "Opaque"), "data": dict(live.get("data") or {})}


def allowed(annotation: str, cluster: str, labels: Mapping[str, str]) -> bool:
    """Whether the annotation names the cluster, or is a selector that its labels match. One that is neither allows nobody."""
    parts = _parts(annotation)
    if not parts:
        return False
    if all(_NAME.fullmatch(part) for part in parts):
        return cluster in (part.strip() for part in parts)
    return all(_matches(part, labels) for part in parts)


def to_render(layer: Layer, found: Mapping[str, Any]) -> Layer:
    """The layer with what its Secrets hold; its digest tells one content from another, so that rotation rolls out."""
    known = hashlib.sha256(_encoder.encode(found)).hexdigest()
    return replace(layer, spec={**layer.spec, "shared": dict(found)}, digest=f"{layer.digest}:{known}")


def _allow(live: Object) -> str:
    return str((live["metadata"].get("annotations") or {}).get(ALLOW, ""))[:4096]


def _parts(annotation: str) -> list[str]:
    """Split at commas outside parentheses."""
    return [part for part in re.split(r",(?![^()]*\))", annotation) if part.strip()]


def _matches(part: str, labels: Mapping[str, str]) -> bool:
    if (one := _EXPRESSION.fullmatch(part)) is not None:
        values = {value.strip() for value in one["values"].split(",")}
        return (labels.get(one["key"]) in values) == (one["sign"] == "in")
    if (one := _EQUAL.fullmatch(part)) is not None:
        return (labels.get(one["key"]) == one["value"]) == (one["sign"] != "!=")
    return False
