"""Who gets into a nested cluster (O12): the bindings that its document names, as a layer inside. Pure.

A binding's name says its role, which Kubernetes never changes; of one role in one place there is one binding, with all its subjects. An
entry that leaves the document is no object of the layer any more, so its binding goes.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from reconciler.model import Access, AccessRole, AccessSubject, NestedCluster, ObjectRef, RbacEntry
from reconciler.spec import units
from reconciler.spec.codes import Code

RBAC = "rbac.authorization.k8s.io"
LAYER = "access"
SHORTEST, LONGEST = 600.0, 365 * 86400.0  # seconds a token may live; the server gives none for less
_HOME = "kube-system"  # of the accounts: who may make tokens there may do anything already


def objects(asks: Access) -> list[dict[str, Any]]:
    """The bindings, and the accounts of kubeconfigs with theirs."""
    accounts = [account(one.name) for one in asks.kubeconfigs]
    entries = [
        RbacEntry(AccessRole(one.role), (AccessSubject("ServiceAccount", ref.name, ref.namespace),))
        for one, ref in zip(asks.kubeconfigs, accounts, strict=True)
    ]
    return [*map(_account, accounts), *bindings([*asks.rbac, *entries])]


def account(name: str) -> ObjectRef:
    """The account inside of a kubeconfig."""
    return ObjectRef("", "ServiceAccount", _HOME, f"nidus-kubeconfig-{name}")


def _account(ref: ObjectRef) -> dict[str, Any]:
    metadata = {"name": ref.name, "namespace": ref.namespace}
    return {"apiVersion": "v1", "kind": ref.kind, "metadata": metadata, "automountServiceAccountToken": False}


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
    yield from _kubeconfigs(cluster)


def _kubeconfigs(cluster: NestedCluster) -> Iterator[tuple[str, Code, str, str]]:
    seen: set[str] = set()
    for index, one in enumerate(cluster.spec.access.kubeconfigs):
        place = f"/spec/access/kubeconfigs/{index}"
        if one.name in seen:
            yield f"{place}/name", Code.DUPLICATE_ITEM, f"kubeconfig {one.name} stands twice", "remove one of the two"
        seen.add(one.name)
        if one.server == "external" and cluster.spec.expose.type == "None":
            told = "the cluster has no address outside (expose.type: None)"
            yield f"{place}/server", Code.ACCESS, told, "write internal, or expose the cluster"
        if not SHORTEST <= units.duration(one.ttl) <= LONGEST:
            yield f"{place}/ttl", Code.ACCESS, f"no token lives {one.ttl}", "between 10m and 365d"


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
