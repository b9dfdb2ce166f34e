"""Renders every layer of a cluster: objects with their namespaces settled and with our labels."""

from collections.abc import Iterable, Iterator
from functools import partial

from msgspec import Struct

from reconciler.engine import availability
from reconciler.errors import ApiError, Fetching, NidusError, Retry, Stalled
from reconciler.gather import scope
from reconciler.gather.reader import Reader
from reconciler.gather.scope import Scopes
from reconciler.inventory.packing import State
from reconciler.model import Bundle, Desired, Layer, Object, ObjectRef, Observed, Request, replace
from reconciler.plan import frozen, hooks, kinds, leaving, mark, sharing
from reconciler.plan.frozen import Kept

Rendered = list[tuple[Layer, tuple[Object, ...]]]
ROUTE = ("gateway.networking.k8s.io", "TLSRoute")


class Private(Struct, frozen=True):
    """What layers are rendered with besides what Git says: what charts made up before (K8), and Secrets of namespace `share` (K11).
    `requests` are those of the cluster; `kept`, what is to be stored of each layer, grows; `now` in seconds since the epoch. `state`
    and `salt` tell which Secrets are ours."""

    bundle: Bundle
    state: State
    salt: bytes
    requests: tuple[Request, ...]
    share: str
    kept: dict[str, Kept]
    now: float

    def render(self, layer: Layer, reader: Reader) -> tuple[Object, ...]:
        """Raises as `reader.render`; Fetching where a Secret cannot be read: nothing is made up in its place."""
        if sharing.copies(layer):
            refs = sharing.refs(layer, self.share)
            held = {ref.name: sharing.held(ref, _read(ref, layer, reader), self.bundle) for ref in refs}
            return reader.render(sharing.to_render(layer, held))
        if sharing.shares(layer):
            return sharing.filled(reader.render(layer), partial(self._value, layer, reader, {}))
        if not frozen.freezes(layer):
            return reader.render(layer)
        known = frozen.due(frozen.read(self._stored(layer, reader), self.now), layer, self.requests)
        objects, values = frozen.parted(reader.render(frozen.to_render(layer, known)))
        self.kept[layer.name] = Kept(values, known.rotated)
        return objects

    def _stored(self, layer: Layer, reader: Reader) -> Object | None:
        """The Secret with what the layer's chart made up; None where that is not what we stored. The plan then holds it, and the layer
        with it, or writes it anew."""
        host, ref = replace(layer.target, nested=""), frozen.ref(self.bundle, layer)
        live = _read(ref, layer, reader)
        entry = next((one for one in self.state.entries if (one.target, one.ref) == (host, ref)), None)
        seen, nonce = Observed(host, ref, live), self.state.record.nonce
        return live if frozen.is_believed(entry, seen, self.bundle.cluster, nonce, self.salt) else None

    def _value(self, layer: Layer, reader: Reader, known: dict[str, Object | None], name: str, key: str) -> bytes:
        """A key of a shared Secret, each Secret read once. Raises Stalled(NotShared)."""
        if name not in known:
            known[name] = _read(ObjectRef("", "Secret", self.share, name), layer, reader)
        return sharing.key_of(known[name], name, key, self.bundle)


def _read(ref: ObjectRef, layer: Layer, reader: Reader) -> Object | None:
    """A Secret of the host. Raises Fetching where it cannot be read now: the layer waits."""
    try:
        return reader.client(replace(layer.target, nested="")).get(ref)
    except ApiError as error:
        raise Fetching(f"a Secret of the host cannot be read yet: {error.message}") from None


def render(bundle: Bundle, reader: Reader, private: Private) -> tuple[Rendered, dict[str, str], dict[str, str]]:
    """The rendered objects of every layer, why other layers could not be rendered, and for what content others wait (K3)."""
    rendered: Rendered = []
    broken: dict[str, str] = {}
    fetching: dict[str, str] = {}
    for layer in bundle.layers:
        try:
            objects = _spelled(private.render(layer, reader), layer, reader)
            rendered.append((layer, (*objects, *_beside(layer, bundle))))
        except Fetching as error:
            fetching[layer.name] = error.message
        except (Stalled, Retry) as error:
            broken[layer.name] = f"{error.reason}: {error.told}"
    return rendered, broken, fetching


def _spelled(objects: tuple[Object, ...], layer: Layer, reader: Reader) -> tuple[Object, ...]:
    """The engine's objects, a route at the version that its host prefers: charts write one version, hosts serve others (Gateway API
    v1alpha2, v1alpha3, v1: what is written is the same in all)."""
    if layer.role != "engine" or not any(_is_route(one) for one in objects):
        return objects
    try:
        version = reader.client(layer.target).resource(*ROUTE).api_version
    except NidusError:
        return objects  # it waits for its kind, and what cannot be read is told there
    return tuple({**one, "apiVersion": version} if _is_route(one) else one for one in objects)


def _is_route(item: Object) -> bool:
    ref = mark.ref_of(item)
    return (ref.group, ref.kind) == ROUTE


def _beside(layer: Layer, bundle: Bundle) -> tuple[Object, ...]:
    """What is applied with the engine's chart and is none of it."""
    if layer.role != "engine" or bundle.document is None:
        return ()
    return availability.budgets(bundle.document.cluster, bundle.namespace)


def scopes(rendered: Rendered, reader: Reader) -> Scopes:
    """The scopes of this pass: asked of the targets, or declared by the CRDs among what was rendered."""
    declared = scope.declared((layer.target, objects) for layer, objects in rendered)
    return Scopes(lambda target, group, kind: reader.client(target).namespaced(group, kind), declared)


def distinct(rendered: Rendered, known: Scopes) -> tuple[Rendered, dict[str, str]]:
    """The layers whose objects are all different ones, and why the others are broken: what their kinds' scope makes one object is named
    twice. Kinds of Kubernetes are judged when they are rendered."""
    found = {layer.name: _twice(layer, objects, known) for layer, objects in rendered}
    broken = {
        name: f"ObjectClaimedTwice: {ref} is named twice: {kinds.shared(ref.kind)}"
        for name, ref in found.items()
        if ref is not None
    }
    return [(layer, objects) for layer, objects in rendered if layer.name not in broken], broken


def _twice(layer: Layer, objects: Iterable[Object], known: Scopes) -> ObjectRef | None:
    """The first object of a cluster-scoped kind, none of Kubernetes' own, that the layer names a second time."""
    met: set[ObjectRef] = set()
    for ref in map(mark.ref_of, objects):
        kind = (ref.group, ref.kind)
        if kind in kinds.NAMESPACED or known.namespaced(layer.target, kind) is not False:
            continue
        ref = replace(ref, namespace="")
        if ref in met:
            return ref
        met.add(ref)
    return None


def desired(bundle: Bundle, rendered: Rendered, known: Scopes, nonce: str) -> tuple[Desired, ...]:
    """The layers as they will be sent. Objects whose scope is not known yet are listed apart and wait."""
    return tuple(_desired(bundle, layer, objects, known, nonce) for layer, objects in rendered)


def stored(bundle: Bundle, found: Iterable[Desired], nonce: str, private: Private) -> Iterator[Desired]:
    """The Secrets with what the layers' charts made up, and with the hooks that run when they leave."""
    for one in found:
        if one.layer.name in private.kept:
            yield frozen.desired(bundle, one.layer, private.kept[one.layer.name], nonce)
        if one.hooks and (hooked := leaving.desired(bundle, one, nonce, private.salt)):
            yield hooked


def _desired(bundle: Bundle, layer: Layer, objects: tuple[Object, ...], known: Scopes, nonce: str) -> Desired:
    home = layer.namespace or ("" if layer.target.nested else bundle.namespace)
    placed, unplaced = [], []
    plain, hooked = hooks.split(layer, objects)
    for item in plain:
        ref = mark.ref_of(item)
        namespaced = known.namespaced(layer.target, (ref.group, ref.kind))
        if namespaced is None:
            unplaced.append(item)
        else:
            placed.append(_marked(scope.placed(item, home, namespaced), bundle, layer, nonce))
    return Desired(layer, tuple(placed), tuple(unplaced), tuple(_hooks(hooked, home, bundle, layer, known, nonce)))


def _hooks(
    objects: Iterable[Object], home: str, bundle: Bundle, layer: Layer, known: Scopes, nonce: str
) -> Iterator[Object]:
    """The hooks, in their places. One of a kind that is not served keeps its turn: it is refused then, and waited for."""
    for item in objects:
        ref = mark.ref_of(item)
        namespaced = known.namespaced(layer.target, (ref.group, ref.kind)) is not False
        yield _marked(scope.placed(item, home, namespaced), bundle, layer, nonce)


def _marked(item: Object, bundle: Bundle, layer: Layer, nonce: str) -> Object:
    return mark.mark(item, cluster=bundle.cluster, layer=layer.name, nonce=nonce, nested=bool(layer.target.nested))
