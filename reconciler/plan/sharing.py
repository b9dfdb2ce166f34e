"""Which Secrets of the host's share namespace a cluster may have (K11). Pure.

A Secret says itself by its annotation `nidus.dev/allow`: names of clusters, or a label selector that the labels of their documents
match. One that is not there and one that is not allowed are one and the same error, so that nobody finds out what there is.
"""

import base64
import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from reconciler.errors import Stalled
from reconciler.model import Bundle, Layer, Object, ObjectRef, replace
from reconciler.patterns import lazy
from reconciler.plan import secretdata, sensitive
from reconciler.plan.mark import HOST

ALLOW = f"{HOST}/allow"
_TYPES = frozenset({"bootstrap.kubernetes.io/token", "kubernetes.io/service-account-token"})
_EXPRESSION = lazy(r"(?P<key>[A-Za-z0-9./_-]+)\s+(?P<sign>in|notin)\s*\((?P<values>[A-Za-z0-9._,\s-]*)\)")
_EQUAL = lazy(r"(?P<key>[A-Za-z0-9./_-]+)\s*(?P<sign>==|=|!=)\s*(?P<value>[A-Za-z0-9._-]*)")
_NAME = lazy(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_encoder = msgspec.json.Encoder(order="deterministic")


def shares(layer: Layer) -> bool:
    """Whether the layer holds something of such Secrets."""
    return copies(layer) or "sensitive" in layer.spec


def copies(layer: Layer) -> bool:
    """Whether the layer is copies of such Secrets."""
    return layer.kind == "secrets"


def refs(layer: Layer, share: str) -> list[ObjectRef]:
    """The Secrets that the layer asks for."""
    names = dict.fromkeys(str(one["from"]) for one in layer.spec["secrets"])
    return [ObjectRef("", "Secret", share, name) for name in names]


def held(ref: ObjectRef, live: Object | None, bundle: Bundle) -> dict[str, Any]:
    """The type and data of a Secret that the cluster may have. Raises Stalled(NotShared)."""
    if live is None or not _shared(live, bundle):
        raise _refused(f"no Secret {ref.name} is shared with {bundle.cluster}", bundle)
    return {"type": live.get("type", "Opaque"), "data": dict(live.get("data") or {})}


def key_of(live: Object | None, name: str, key: str, bundle: Bundle) -> bytes:
    """What a Secret holds at a key, if the cluster may have it. Raises Stalled(NotShared), alike for whatever is missing."""
    text = (live.get("data") or {}).get(key) if live is not None and _shared(live, bundle) else None
    if not isinstance(text, str):
        raise _refused(f"no Secret {name} with key {key} is shared with {bundle.cluster}", bundle)
    return base64.b64decode(text)


def _shared(live: Object, bundle: Bundle) -> bool:
    labels = bundle.document.cluster.metadata.labels if bundle.document is not None else {}
    return live.get("type") not in _TYPES and allowed(_allow(live), bundle.cluster, labels)


def _refused(message: str, bundle: Bundle) -> Stalled:
    hint = f"the operator makes it, or adds {bundle.cluster} to its annotation {ALLOW}"
    return Stalled(message, reason="NotShared", hint=hint)


def allowed(annotation: str, cluster: str, labels: Mapping[str, str]) -> bool:
    """Whether the annotation names the cluster, or is a selector that its labels match. One that is neither allows nobody."""
    parts = _parts(annotation)
    if not parts:
        return False
    if all(_NAME.fullmatch(part) for part in parts):
        return cluster in parts
    return all(_matches(part, labels) for part in parts)


def to_render(layer: Layer, found: Mapping[str, Any]) -> Layer:
    """The layer with what its Secrets hold; its digest tells one content from another, so that rotation rolls out."""
    known = hashlib.sha256(_encoder.encode(found)).hexdigest()
    return replace(layer, spec={**layer.spec, "shared": dict(found)}, digest=f"{layer.digest}:{known}")


def filled(objects: tuple[Object, ...], value: Callable[[str, str], bytes]) -> tuple[Object, ...]:
    """The objects with what their marks stand for, in the data of Secrets alone. `value` gives a key of a Secret."""
    return tuple(_filled(one, value) if _holds(one) else one for one in objects)


def _holds(one: Object) -> bool:
    if not secretdata.is_secret(one):
        return False
    return sensitive.outside([one.get("data"), one.get("stringData")])


def _filled(one: Object, value: Callable[[str, str], bytes]) -> Object:
    data = {
        name: text if sensitive.OPEN not in str(text) else base64.b64encode(_text(str(text), value)).decode()
        for name, text in (one.get("data") or {}).items()
    }
    for name, text in (one.get("stringData") or {}).items():
        data[name] = base64.b64encode(_text(str(text), value)).decode()
    return {**{key: part for key, part in one.items() if key != "stringData"}, "data": data}


def _text(text: str, value: Callable[[str, str], bytes]) -> bytes:
    """The text as bytes, with what its marks stand for."""
    parts = sensitive.MARK.split(text)
    found = b""
    for at in range(0, len(parts) - 1, 3):
        found += parts[at].encode() + value(parts[at + 1], parts[at + 2])
    return found + parts[-1].encode()


def _allow(live: Object) -> str:
    return str((live["metadata"].get("annotations") or {}).get(ALLOW, ""))[:4096]


def _parts(annotation: str) -> list[str]:
    """Split at commas outside parentheses, without the spaces around."""
    parts, depth = [""], 0
    for one in annotation:
        depth += (one == "(") - (one == ")")
        if one == "," and not depth:
            parts.append("")
        else:
            parts[-1] += one
    return [part.strip() for part in parts if part.strip()]


def _matches(part: str, labels: Mapping[str, str]) -> bool:
    if (one := _EXPRESSION.fullmatch(part)) is not None:
        values = {value.strip() for value in one["values"].split(",")}
        return (labels.get(one["key"]) in values) == (one["sign"] == "in")
    if (one := _EQUAL.fullmatch(part)) is not None:
        return (labels.get(one["key"]) == one["value"]) == (one["sign"] != "!=")
    return False
