"""The hooks of a pack that leaves (K7): kept while it is there, run when it goes. Pure.

Helm keeps the hooks of a release with it and runs those at `helm uninstall` (pkg/action/uninstall.go). When a pack has left Git, its
chart is not rendered any more; so its delete hooks are kept in a Secret of the cluster's host namespace, as they were applied last.
Whoever controls the engine may write that Secret: it holds a keyed digest, and what we did not write is not run.
"""

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from reconciler import decoding
from reconciler.errors import UNREADABLE, Stalled
from reconciler.model import Bundle, Desired, InventoryEntry, Layer, Object, ObjectRef, Ran, Record, Role, replace
from reconciler.plan import hooks, mark, stored

PREFIX = "nidus-hooks-"
KEY, PROOF = "hooks", "proof"
BEFORE, AFTER = "pre-delete", "post-delete"
EVENTS = frozenset({BEFORE, AFTER})
ROLE: Role = "leaving"
EVENT = "delete"
LARGEST = 1 << 20  # bytes, as a Secret has at most
_encoder = msgspec.json.Encoder(order="deterministic")


class Kept(Struct, frozen=True):
    """What is stored of a layer: its delete hooks as they are applied, how long each may take in seconds, and what it depends on."""

    layer: str
    timeout: float
    depends_on: tuple[str, ...]
    hooks: tuple[dict[str, Any], ...]


_decoder = decoding.decoder(Kept)


def desired(bundle: Bundle, one: Desired, nonce: str, salt: bytes) -> Desired | None:
    """The Secret with the delete hooks of a layer, None for a layer that has none. `salt` keys its digest."""
    found = [dict(each) for each in one.hooks if hooks.events(each) & EVENTS]
    if not found or one.layer.role == ROLE:
        return None
    layer = one.layer
    data = _encoder.encode(Kept(layer.name, layer.timeout, layer.depends_on, tuple(found)))
    proof = _proof(data, bundle.cluster, nonce, salt)
    name = stored.ref(bundle, PREFIX, layer.name)
    return stored.desired(bundle, layer, name, {KEY: data, PROOF: proof.encode()}, nonce, {})


def is_kept(one: ObjectRef) -> bool:
    """Whether it is such a Secret."""
    return stored.is_named(one, PREFIX)


def left(bundle: Bundle, entries: Iterable[InventoryEntry]) -> list[InventoryEntry]:
    """The inventory entries of such Secrets whose layers the bundle does not have."""
    found = [one for one in entries if not one.target.nested and is_kept(one.ref) and one.state != "retained"]
    names = {layer.name for layer in bundle.layers} if found else ()
    return [one for one in found if one.layer not in names]


def due(bundle: Bundle, record: Record, now: float) -> bool:
    """Whether hooks may run when something leaves. Of a removed cluster they run only where everything goes with it (`Delete`), once
    its grace period is over, and while its control plane runs: a cluster is not woken for them. What `Retain` and `Orphan` leave is
    meant to be used again."""
    tombstone = bundle.tombstone
    if tombstone is None:
        return True
    return tombstone.policy == "Delete" and not tombstone.protect and now >= tombstone.due and record.slept is None


def read(live: Object, entry: InventoryEntry, bundle: Bundle, nonce: str, salt: bytes) -> Desired:
    """The layer that left, with the hooks that are to run. Of a cluster that goes whole only those before: after it there is
    no cluster to run others in. Raises Stalled(BadHooks) for a Secret that is not as we wrote it."""
    name = str(live["metadata"]["name"])
    try:
        data, proof = (_value(live, key) for key in (KEY, PROOF))
        if not hmac.compare_digest(proof, _proof(data, bundle.cluster, nonce, salt).encode()):
            raise ValueError("not ours")
        kept = _decoder.decode(data)
        if kept.layer != entry.layer:
            raise ValueError("of another layer")
    except (KeyError, TypeError, *UNREADABLE) as error:
        hint = "delete the Secret, and the pack leaves without its hooks; or put the pack back, and it is written anew"
        told = f"Secret {name} with the hooks of a pack that leaves is not as it was written ({type(error).__name__})"
        raise Stalled(told, reason="BadHooks", hint=hint) from None
    digest = hashlib.sha256(data).hexdigest()
    run = EVENTS if bundle.tombstone is None else {BEFORE}
    found = tuple(each for each in kept.hooks if hooks.events(each) & run)
    after, timeout = kept.depends_on, kept.timeout
    target = replace(entry.target, nested=bundle.cluster)
    layer = Layer(kept.layer, target, "helm", {"hooks": "Run"}, digest, depends_on=after, timeout=timeout, role=ROLE)
    return Desired(layer, (), hooks=found)


def unread(entry: InventoryEntry, bundle: Bundle) -> Desired:
    """The layer that left, where its hooks are not known now."""
    target = replace(entry.target, nested=bundle.cluster)
    return Desired(Layer(entry.layer, target, "helm", {"hooks": "Run"}, "", role=ROLE), ())


def moved(one: Desired, desired: Sequence[Desired]) -> bool:
    """Whether another layer has a hook of it now: the pack was renamed, and does not leave."""
    mine = {mark.ref_of(each) for each in one.hooks}
    there = (
        each for other in desired if other.layer.target == one.layer.target for each in (*other.objects, *other.hooks)
    )
    return any(mark.ref_of(each) in mine for each in there)


def layers(desired: Iterable[Desired]) -> list[Desired]:
    """Those that leave with hooks."""
    return [one for one in desired if one.layer.role == ROLE]


def ahead(layer: Layer, desired: Iterable[Desired], known: Mapping[str, Ran]) -> list[str]:
    """The layers that leave before this one: those that depend on it, until their hooks are over. None where each waits for another, which
    Secrets of different times may say."""
    open_ = {name for name, ran in known.items() if not ran.over}
    going = [one.layer for one in layers(desired) if one.layer.name in open_]
    if all(_dependents(one, going) for one in going):
        return []
    return _dependents(layer, going)


def _dependents(layer: Layer, among: Iterable[Layer]) -> list[str]:
    return [one.name for one in among if layer.name in one.depends_on]


def _value(live: Object, key: str) -> bytes:
    text = str(live["data"][key])
    if len(text) > 2 * LARGEST:
        raise ValueError("too large")
    return base64.b64decode(text, validate=True)


def _proof(data: bytes, cluster: str, nonce: str, salt: bytes) -> str:
    """A digest that only this installation can make."""
    return hmac.new(
        salt, b"\0".join([b"delete hooks", cluster.encode(), nonce.encode(), data]), hashlib.sha256
    ).hexdigest()
