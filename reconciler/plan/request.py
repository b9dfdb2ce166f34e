"""The object as it is sent (A1, R2): without fields that belong to somebody else."""

from collections.abc import Mapping, Sequence
from typing import Any

from reconciler.model import MISSING, IgnoreRule, Layer, Object, ObjectRef
from reconciler.plan import paths
from reconciler.plan.diff import parts, position, without
from reconciler.plan.fields import SERVER_METADATA, left_out, managed
from reconciler.plan.mark import ref_of
from reconciler.plan.scale import kept
from reconciler.plan.shapes import Keyed, Shape, keys_of, shape, table

IDENTITY = (("apiVersion",), ("kind",), ("metadata", "name"), ("metadata", "namespace"))


_COPIED = SERVER_METADATA - {"name", "namespace"}
_NOTE = "/metadata/annotations/"
_CONTROLLERS: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("apps", "Deployment"): (f"{_NOTE}deployment.kubernetes.io~1revision",),
    ("apps", "DaemonSet"): (f"{_NOTE}deprecated.daemonset.template.generation",),
    ("", "Endpoints"): (f"{_NOTE}endpoints.kubernetes.io~1last-change-trigger-time",),
    ("", "Namespace"): ("/spec/finalizers",),
    ("", "PersistentVolumeClaim"): (
        f"{_NOTE}pv.kubernetes.io~1bind-completed",
        f"{_NOTE}pv.kubernetes.io~1bound-by-controller",
        f"{_NOTE}volume.beta.kubernetes.io~1storage-provisioner",
        f"{_NOTE}volume.kubernetes.io~1selected-node",
        f"{_NOTE}volume.kubernetes.io~1storage-provisioner",
    ),
}
"""(group, kind) -> JSON pointers of fields that Kubernetes' own controllers write. They come with exported objects and are never
sent: each side would put its value back for ever."""


_ENGINES: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("", "Namespace"): tuple(
        f"/metadata/labels/pod-security.kubernetes.io~1{name}"
        for name in ("enforce", "enforce-version", "warn", "warn-version")
    ),
    ("", "Service"): ("/spec/clusterIP", "/spec/clusterIPs"),
}
"""(group, kind) -> JSON pointers of fields that the engine sets inside a nested cluster, whatever they were (R4): the pod security level
of the cluster, and the address that the host gave a Service's copy there (vCluster 0.36.1, pkg/controllers/podsecurity and
resources/services). They are never sent."""
HEADLESS = ("None", ["None"], "", [""])
"""What a manifest says of addresses that the engine leaves as it is."""


_BUNDLES: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("admissionregistration.k8s.io", "MutatingWebhookConfiguration"): ("webhooks", "*", "clientConfig", "caBundle"),
    ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration"): ("webhooks", "*", "clientConfig", "caBundle"),
    ("apiextensions.k8s.io", "CustomResourceDefinition"): ("spec", "conversion", "webhook", "clientConfig", "caBundle"),
    ("apiregistration.k8s.io", "APIService"): ("spec", "caBundle"),
}
"""(group, kind) -> where the certificates stand by which Kubernetes knows a Service; "*" is every item of a list."""
_NO_BUNDLE = ("", "Cg==")
"""What manifests hold there until somebody writes the certificates (an empty line is what generators of CRDs put)."""


def request(obj: Object, layer: Layer, live: Object | None, driven: str = "") -> Object:
    """The object to apply over `live`. A create is sent whole. Later, where an autoscaler sets the replicas (`driven`
    names it), fields last written through a subresource are left out, and so are ignored fields that are not ours any
    more. A field that is left to somebody else but still ours is sent with its live value, because the server would
    remove it otherwise.
    """
    if not _COPIED.isdisjoint(obj["metadata"]):  # an exported object: its version of long ago would refuse every apply
        obj = without(obj, [f"/metadata/{name}" for name in sorted(_COPIED)])
    if "aggregationRule" in obj and "rules" in obj:
        obj = without(obj, ("/rules",))  # a ClusterRole whose rules the server aggregates: they are never sent
    group = str(obj["apiVersion"]).rpartition("/")[0]
    kind = group, str(obj["kind"])
    obj = without(obj, (*_CONTROLLERS.get(kind, ()), *engines(obj, layer)))
    obj = _unfilled(obj, _BUNDLES[kind]) if kind in _BUNDLES else obj
    if live is None:
        return obj
    for pointer in ignored(layer.ignore, ref_of(obj)) if layer.ignore else ():
        obj = _as_live(obj, live, pointer)
    if not driven:
        return obj
    scaled = tuple(one for one in left_out(live, obj) if not names_it(one))
    return without(obj, scaled) if scaled else kept(obj, live)


def engines(obj: Object, layer: Layer) -> tuple[str, ...]:
    """The pointers of the fields in this manifest that the engine of a nested cluster sets, sorted; of ours they are never (R4)."""
    if not layer.target.nested:
        return ()
    pointers = _ENGINES.get((str(obj["apiVersion"]).rpartition("/")[0], str(obj["kind"])), ())
    found = ((pointer, paths.get(obj, path_of(obj, pointer))) for pointer in pointers)
    return tuple(pointer for pointer, value in found if value is not MISSING and value not in HEADLESS)


def left(obj: Object, layer: Layer) -> tuple[str, ...]:
    """Flags for fields of this manifest that are left to the engine."""
    return tuple(f"{path_of(obj, one)} is left to the engine, which sets it" for one in engines(obj, layer))


def _unfilled(value: Any, names: Sequence[str]) -> Any:
    """The object without a place for certificates that holds none: it would be emptied again whenever somebody fills it."""
    head, rest = names[0], names[1:]
    if isinstance(value, list) and head == "*":
        return [_unfilled(item, rest) for item in value]
    if not isinstance(value, dict) or head not in value:
        return value
    if rest:
        return {**value, head: _unfilled(value[head], rest)}
    return {name: below for name, below in value.items() if name != head or below not in _NO_BUNDLE}


def ignored(rules: Sequence[IgnoreRule], ref: ObjectRef) -> tuple[str, ...]:
    """The pointers of `ignoreDifferences` that apply to this object; a rule without name or namespace applies to
    all. What an object is called is never ignored."""
    return tuple(
        pointer
        for rule in rules
        if rule.kind == ref.kind and rule.name in ("", ref.name) and rule.namespace in ("", ref.namespace)
        for pointer in rule.pointers
        if not names_it(pointer)
    )


def names_it(pointer: str) -> bool:
    """Whether a JSON pointer means what an object is called, or something that contains it."""
    found = tuple(parts(pointer))
    return any(one[: len(found)] == found for one in IDENTITY)


def path_of(obj: Object, pointer: str) -> str:
    """The field path a JSON pointer means in this object: positions in keyed lists become keys, so that it means the same
    item elsewhere."""
    rows, path, above, name = table(obj["apiVersion"]), "", "", ""
    value: Any = obj
    for part in parts(pointer):
        if not isinstance(value, list):
            value, path, above, name = _below(value, part), paths.child(path, part), name, part
            continue
        at = position(part, value)
        if at is None:
            return f"{path}[{len(value)}]"
        path = _item_path(path, value, at, shape(rows, above, name))
        value = value[at]
    return path


def _item_path(path: str, items: list[Any], at: int, form: Shape | None) -> str:
    keys = keys_of(items, form) if isinstance(form, Keyed) else None
    if keys is None or not isinstance(form, Keyed):
        return f"{path}[{at}]"
    return paths.item(path, zip(form.keys, keys[at], strict=True))


def _below(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None


def _as_live(obj: Object, live: Object, pointer: str) -> Object:
    path = path_of(obj, pointer)
    if not path or paths.get(obj, path) is MISSING:
        return obj
    there = paths.get(live, path)
    mine = any(paths.covers(path, one) or paths.covers(one, path) for one in managed(live))
    if there is MISSING or not mine:
        return without(obj, (pointer,))
    return _put(obj, parts(pointer), there)  # type: ignore[no-any-return]


def _put(value: Any, names: list[str], there: Any) -> Any:
    if not names:
        return there
    if isinstance(value, list):
        at = int(names[0])
        return [*value[:at], _put(value[at], names[1:], there), *value[at + 1 :]]
    return {**value, names[0]: _put(value[names[0]], names[1:], there)}
