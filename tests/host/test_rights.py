"""The table of rights in docs/security.md, asked of a real API server: what it says is allowed, and nothing else is."""

import itertools

import pytest

from devhost.account import Account
from devhost.api import Client
from devhost.hosting import TestHost
from tests.host.test_rbac import acting, bind, may, tenant, wait_until
from tests.house.documents import marked, rows

__all__ = ["tenant"]
pytestmark = [pytest.mark.host, pytest.mark.xdist_group("empty_host")]
VERBS = (
    *("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"),
    *("bind", "escalate", "impersonate", "approve", "suspend", "resume"),
)
MORE = {"nodes", "persistentvolumes", "users", "serviceaccounts/token", "pods/exec", "jobs.batch", "daemonsets.apps"}
Rights = dict[tuple[str, str], frozenset[str]]  # (resource, name) -> verbs
TABLE = rows(marked("docs/security.md", "rights"))


def told(*accounts: tuple[str, str]) -> Rights:
    """What the table gives these, together."""
    found: Rights = {}
    for who, where, verbs, kinds in TABLE:
        if (who, where) in accounts:
            kind_part, _, names = kinds.partition(" named ")
            for kind, name in itertools.product(kind_part.split(", "), names.split(", ")):
                found[kind, name] = found.get((kind, name), frozenset()) | frozenset(verbs.split())
    return found


def unlike(client: Client, namespace: str, rights: Rights) -> list[str]:
    """Every right that the server sees otherwise than the table; over every kind that any line names."""
    wrong = []
    kinds = {kind for *_, part in TABLE for kind in part.partition(" named ")[0].split(", ")} | MORE
    for kind, name in sorted({(kind, "") for kind in kinds} | rights.keys()):
        allowed = rights.get((kind, name), frozenset()) | rights.get((kind, ""), frozenset())
        resource, _, group = kind.partition(".")
        for verb in VERBS:
            if may(client, namespace, group, resource, verb, name) is not (verb in allowed):
                wrong.append(f"{verb} {kind} {name}: {'not ' if verb in allowed else ''}allowed")
    return wrong


def test_the_controller(account: Account, tenant: str) -> None:
    host = ("controller", "the whole host")
    assert unlike(account.client, "kube-system", told(host)) == []
    assert unlike(account.client, account.namespace, told(host, ("controller", "its own namespace"))) == []
    assert unlike(account.client, tenant, told(host, ("controller", "the host namespace of a cluster"))) == []


@pytest.mark.parametrize("who", ["engine", "operator"])
def test_an_engine_and_an_operator(empty_host: TestHost, account: Account, tenant: str, who: str) -> None:
    if who == "engine":
        user, home, line = f"system:serviceaccount:{tenant}:vc-a", tenant, ("engine", "its host namespace")
        account.client.create(
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "vc-a", "namespace": tenant}}
        )
        bind(account, tenant, "nidus-engine", tenant, "vc-a")
    else:
        user, home, line = "ada", account.namespace, ("operator", "the controller's namespace")
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "nidus-operator"}
        subjects = [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}]
        meta = {"name": user, "namespace": home}
        made = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": meta}
        empty_host.client.create({**made, "roleRef": role, "subjects": subjects})
    client = acting(account, user)
    rights = told(line)
    (first, _), verbs = next(iter(rights.items()))
    resource, _, group = first.partition(".")
    wait_until(lambda: may(client, home, group, resource, next(iter(verbs))))
    assert unlike(client, home, rights) == []
    for elsewhere in ("", "kube-system", account.namespace if who == "engine" else tenant):
        assert unlike(client, elsewhere, {}) == []
