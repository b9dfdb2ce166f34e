"""The order of changes in a plan (A4): layers by dependency; in a layer first what others need; deletions last, in
reverse."""

from collections.abc import Iterable, Sequence

from reconciler.model import Change, Layer, ObjectRef

FIRST = frozenset({("", "Namespace"), ("apiextensions.k8s.io", "CustomResourceDefinition")})
LAST = frozenset(
    {
        ("apiregistration.k8s.io", "APIService"),
        ("admissionregistration.k8s.io", "MutatingWebhookConfiguration"),
        ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration"),
    }
)
"""Kinds by which others' requests go to a Service of the layer. While nothing answers there, what they cover is refused: they come
after the objects of their layer and go before them (as Helm orders them, pkg/release/util/kind_sorter.go)."""
HOST_LAYERS = {"namespace": 0, "policies": 1, "engine": 2}  # of a tombstone too, which has no layers left
POST_DELETE = "post-delete"
RBAC = "rbac.authorization.k8s.io"


def arranged(wanted: Iterable[Change], pruned: Iterable[Change], layers: Sequence[Layer]) -> tuple[Change, ...]:
    """All changes in apply order, whatever order they came in. Hooks after a deletion come last."""
    at = HOST_LAYERS | {layer.name: index for index, layer in enumerate(layers)}
    last = len(at)

    def place(change: Change) -> tuple[int, int, int, str, ObjectRef]:
        return at.get(change.layer, last), change.turn, rank(change.ref), change.layer, change.ref

    made = sorted(wanted, key=place)
    first, last_of_all = ([one for one in made if (one.hook == POST_DELETE) is after] for after in (False, True))
    return (*first, *sorted(pruned, key=place, reverse=True), *last_of_all)


def defines(ref: ObjectRef) -> bool:
    """Whether it is a CustomResourceDefinition."""
    return (ref.group, ref.kind) == ("apiextensions.k8s.io", "CustomResourceDefinition")


def rank(ref: ObjectRef) -> int:
    """0 for kinds and namespaces, 1 for accounts and their rights, 3 for what others' requests go through, 2 for the rest."""
    if (ref.group, ref.kind) in FIRST:
        return 0
    if (ref.group, ref.kind) in LAST:
        return 3
    return 1 if ref.group == RBAC or (ref.group, ref.kind) == ("", "ServiceAccount") else 2
