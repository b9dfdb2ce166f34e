"""What a chart made up at its first rendering, kept in a Secret of the cluster's host namespace (K8). Pure.

One Secret a layer, made, changed and removed by the ordinary pass like any object of ours (`plan.stored`). What it holds is what runs.
"""

import base64
import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec import Struct, field

from reconciler import decoding
from reconciler.errors import Stalled
from reconciler.model import (
    Bundle,
    Desired,
    InventoryEntry,
    Layer,
    Object,
    ObjectRef,
    Observed,
    Request,
    replace,
)
from reconciler.plan import mark, stored
from reconciler.plan.redact import mask

PREFIX = "nidus-frozen-"
KEY = "values"
ROTATED = f"{mark.HOST}/rotated"
LARGEST = 1 << 20  # bytes
DOCUMENT = {"apiVersion": "nidus.dev/frozen", "kind": "Frozen"}
"""The last document of a frozen render holds what was made up, in `values`; it is no object."""
Values = Mapping[str, Any]
_values = decoding.decoder(dict[str, str | list[str] | int | float | bool | None])
_encoder = msgspec.json.Encoder(order="deterministic")


class Kept(Struct, frozen=True):
    """What is stored of a layer, and for which request to rotate (its time in seconds since the epoch)."""

    values: Values = field(default_factory=dict)
    rotated: float = 0.0


def freezes(layer: Layer) -> bool:
    """Whether what the layer's chart makes up is kept."""
    return layer.kind == "helm" and layer.spec.get("random") == "Freeze"


def ref(bundle: Bundle, layer: Layer) -> ObjectRef:
    return stored.ref(bundle, PREFIX, layer.name)


def is_kept(one: ObjectRef) -> bool:
    """Whether it is such a Secret."""
    return stored.is_named(one, PREFIX)


def proof(obj: Object | None, salt: bytes) -> str:
    """What the inventory keeps of such a Secret before it is made, so that it is known again; "" for every other object."""
    if obj is None or not is_kept(mark.ref_of(obj)):
        return ""
    return str(mask(obj.get("data"), salt))


def is_believed(entry: InventoryEntry | None, seen: Observed, cluster: str, nonce: str, salt: bytes) -> bool:
    """Whether what a Secret holds is what we stored (A3): whoever made another would choose passwords. Our marks can be read and
    written by the engine, so one whose UID was never confirmed is known by what was to be in it; marks count alone where the inventory
    came from a backup (`ledger.united`)."""
    if entry is None or seen.live is None or not mark.ours(entry, seen, cluster, nonce):
        return False
    restored = not entry.uid and bool(entry.fields)
    return entry.uid == seen.uid or restored or entry.once == proof(seen.live, salt)


def read(live: Object | None, now: float) -> Kept:
    """What a Secret holds, nothing where there is none; a rotation of later than `now` is none. Raises Stalled where it cannot be read:
    nothing is made up in its place."""
    if live is None:
        return Kept()
    name = live["metadata"]["name"]
    try:
        text = str(live["data"][KEY])
        if len(text) > 2 * LARGEST:
            raise ValueError("too large")
        values = _values.decode(base64.b64decode(text, validate=True))
        rotated = float((live["metadata"].get("annotations") or {}).get(ROTATED, 0))
    except (KeyError, TypeError, ValueError, msgspec.MsgspecError) as error:
        hint = "nidus rotate makes everything anew once the Secret is deleted"
        raise Stalled(f"Secret {name} cannot be read ({type(error).__name__})", reason="BadFrozen", hint=hint) from None
    return Kept(values, rotated if 0.0 <= rotated <= now else 0.0)


def due(kept: Kept, layer: Layer, requests: Iterable[Request]) -> Kept:
    """What is to be reused: nothing, where somebody asked to rotate the layer after what is stored was made. `requests` are those of its
    cluster."""
    asked = [one.created for one in requests if one.kind == "rotate" and layer.name in one.items]
    newest = max(asked, default=0.0)
    return Kept({}, newest) if newest > kept.rotated else kept


def to_render(layer: Layer, kept: Kept) -> Layer:
    """The layer with what its render reuses; its digest tells renders apart."""
    known = hashlib.sha256(_encoder.encode([kept.values, kept.rotated])).hexdigest()
    return replace(layer, spec={**layer.spec, "frozen": kept.values}, digest=f"{layer.digest}:{known}")


def parted(objects: tuple[Object, ...]) -> tuple[tuple[Object, ...], Values]:
    """The objects of a frozen render, and what was made up."""
    return objects[:-1], objects[-1]["values"]


def desired(bundle: Bundle, layer: Layer, kept: Kept, nonce: str) -> Desired:
    """The Secret of a layer, as an object of the host."""
    notes = {ROTATED: f"{kept.rotated:.0f}"} if kept.rotated else {}
    return stored.desired(bundle, layer, ref(bundle, layer), {KEY: _encoder.encode(kept.values)}, nonce, notes)
