"""Secrets of ours in a cluster's host namespace, in which we keep what a layer needs later. Pure.

A layer is applied only after its Secrets are stored. The engine of the cluster may write there: what is read is hostile input.
"""

import base64
from collections.abc import Iterable, Mapping
from typing import Any

from reconciler.model import Bundle, Desired, Layer, ObjectRef, Target, replace
from reconciler.plan import mark


def ref(bundle: Bundle, prefix: str, layer: str) -> ObjectRef:
    """The Secret of a layer, by its name."""
    return ObjectRef("", "Secret", bundle.namespace, prefix + mark.label(layer).lower())


def is_named(one: ObjectRef, prefix: str) -> bool:
    """Whether it is such a Secret."""
    return one.kind == "Secret" and one.group == "" and one.name.startswith(prefix)


def desired(
    bundle: Bundle, layer: Layer, name: ObjectRef, data: Mapping[str, bytes], nonce: str, notes: Mapping[str, str]
) -> Desired:
    """The Secret as an object of the host. `notes`: its annotations."""
    metadata: dict[str, Any] = {"name": name.name, "namespace": name.namespace}
    if notes:
        metadata["annotations"] = dict(notes)
    encoded = {key: base64.b64encode(value).decode() for key, value in data.items()}
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "data": encoded}
    marked = mark.mark(body, cluster=bundle.cluster, layer=layer.name, nonce=nonce, nested=False)
    host = replace(layer.target, nested="")
    return Desired(replace(layer, target=host, ignore=(), drift="correct", gates=()), (marked,))


def is_kept(one: Desired) -> bool:
    """Whether it is what is stored of a layer, and not the layer itself."""
    return one.layer.role == "pack" and not one.layer.target.nested


def keeps(desired: Iterable[Desired], layer: Layer) -> bool:
    """Whether anything is stored of a layer."""
    return any(is_kept(one) and one.layer.name == layer.name for one in desired)


def host_side(layer: Layer, target: Target) -> bool:
    """Whether an object of a nested layer on this target has to be stored before the layer is applied."""
    return bool(layer.target.nested) and not target.nested
