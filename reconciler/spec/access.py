"""Who gets into a nested cluster (O12): the bindings that its document names, as a layer inside. Pure.

A binding's name says its role, which Kubernetes never changes; of one role in one place there is one binding, with all its subjects. An
entry that leaves the document is no object of the layer any more, so its binding goes.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from reconciler.model import AccessSubject, NestedCluster, RbacEntry
from reconciler.spec.codes import Code

RBAC = "rbac.authorization.k8s.io"
LAYER = "access"


def bindings(entries: Sequence[RbacEntry]) -> list[dict[str, Any]]:
    """RoleBindings, and ClusterRoleBindings of entries without a namespace, sorted."""
    found: dict[tuple[str, str, str], list[AccessSubject]] = {}
    for entry in entries:
        found.setdefault((entry.namespace, entry.role.kind, entry.role.name), []).extend(entry.subjects)
    return [_binding(*key, subjects) for key, subjects in sorted(found.items())]


def check(cluster: NestedCluster) -> Iterator[tuple[str, Code, str, str]]:
    """(pointer, code, message, hint) of every entry that Kubernetes would refuse."""
    for index, entry in enumerate(cluster.spec.access.rbac):
        place = f"/spec/access/rbac/{index}"
        if entry.role.kind == "Role" and not entry.namespace:
            told = f"Role {entry.role.name} is of a namespace, and none is named"
            yield f"{place}/role", Code.ACCESS, told, "name the namespace, or a ClusterRole"
        for at, one in enumerate(entry.subjects):
            if (one.kind == "ServiceAccount") != bool(one.namespace):
                told = f"{one.kind} {one.name} {'has no namespace' if one.namespace else 'is of a namespace, and none is named'}"
                yield f"{place}/subjects/{at}", Code.ACCESS, told, "a namespace is for accounts, and for them alone"


def _binding(namespace: str, kind: str, role: str, subjects: Sequence[AccessSubject]) -> dict[str, Any]:
    name = f"nidus-{kind.lower()}-{role}"
    each = {_key(one): _subject(one) for one in subjects}
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": "RoleBinding" if namespace else "ClusterRoleBinding",
        "metadata": {"name": name, **({"namespace": namespace} if namespace else {})},
        "roleRef": {"apiGroup": RBAC, "kind": kind, "name": role},
        "subjects": [each[key] for key in sorted(each)],
    }


def _key(one: AccessSubject) -> tuple[str, str, str]:
    return one.kind, one.namespace, one.name


def _subject(one: AccessSubject) -> Mapping[str, str]:
    if one.kind == "ServiceAccount":
        return {"kind": one.kind, "name": one.name, "namespace": one.namespace}
    return {"kind": one.kind, "name": one.name, "apiGroup": RBAC}
