"""The table of rights in docs/security.md, asked of a real API server and tried: what it says is allowed, and nothing else is."""

import itertools
from collections.abc import Iterator
from functools import partial

import pytest

from devhost.account import Account
from devhost.api import ApiError, Client
from devhost.hosting import TestHost
from tests.host.test_admission import account
from tests.host.test_rbac import acting, bind, may, tenant, wait_until
from tests.house.documents import marked, rows

__all__ = ["account", "tenant"]
pytestmark = [pytest.mark.host, pytest.mark.xdist_group("empty_host")]
VERBS = (
    *("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"),
    *("bind", "escalate", "impersonate", "approve", "suspend", "resume"),
)
ATTEMPTS = {
    **{
        "get": "GET",
        "list": "GET",
        "watch": "GET",
        "create": "POST",
        "update": "PUT",
        "patch": "PATCH",
        "delete": "DELETE",
    },
    "deletecollection": "DELETE",
}
NOBODY = "nobody-has-this-name"
VERSIONS = {"nidus.dev": "v1alpha1", "autoscaling": "v2"}
CLUSTER_WIDE = {"nodes", "persistentvolumes", "clusterroles", "tokenreviews", "subjectaccessreviews"}
MORE = {"nodes", "persistentvolumes", "users", "serviceaccounts/token", "pods/exec", "jobs.batch", "daemonsets.apps"}
REVIEWS = "authorization.k8s.io/v1"
EVERYBODY = {
    ("create", "authorization.k8s.io", "selfsubjectaccessreviews"),
    ("create", "authorization.k8s.io", "selfsubjectrulesreviews"),
    ("create", "authentication.k8s.io", "selfsubjectreviews"),
}
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


def cases(rights: Rights) -> Iterator[tuple[str, str, str, bool]]:
    """(kind, name, verb, whether it is allowed): every verb of every kind that any line names."""
    kinds = {kind for *_, part in TABLE for kind in part.partition(" named ")[0].split(", ")} | MORE
    for kind, name in sorted({(kind, "") for kind in kinds} | rights.keys()):
        allowed = rights.get((kind, name), frozenset()) | rights.get((kind, ""), frozenset())
        yield from ((kind, name, verb, verb in allowed) for verb in VERBS)


def otherwise(client: Client, namespace: str, rights: Rights) -> list[str]:
    """The rights that are otherwise than the table: what is a request is tried, the rest is asked of the server."""
    told = (
        attempted(client, namespace, *case) if is_request(*case) else asked(client, namespace, *case)
        for case in cases(rights)
    )
    return [wrong for wrong in told if wrong]


def is_request(kind: str, name: str, verb: str, is_allowed: bool) -> bool:
    """Whether the verb is a request that ends by itself."""
    if verb not in ATTEMPTS or kind == "users" or (verb == "watch" and is_allowed):
        return False
    return not (is_whole(kind, verb) and (name or "/" in kind))


def is_whole(kind: str, verb: str) -> bool:
    """Whether it is asked of all objects of the kind."""
    return verb in ("list", "watch", "deletecollection") or (verb == "create" and "/" not in kind)


def granted(client: Client, namespace: str) -> set[tuple[str, str, str]]:
    """(verb, group, resource) of everything that the server would allow in the namespace and cluster-wide, of every kind there is; the
    right of everybody to ask about themselves apart."""
    body = {"apiVersion": REVIEWS, "kind": "SelfSubjectRulesReview", "spec": {"namespace": namespace}}
    status = client.request("POST", f"/apis/{REVIEWS}/selfsubjectrulesreviews", body)["status"]
    assert not status["incomplete"], status
    found = {
        one
        for rule in status["resourceRules"]
        for one in itertools.product(rule["verbs"], rule["apiGroups"], rule["resources"])
    }
    return found - EVERYBODY


def asked(client: Client, namespace: str, kind: str, name: str, verb: str, is_allowed: bool) -> str:
    """What is wrong with the server's own answer; "" = nothing."""
    resource, _, group = kind.partition(".")
    found = may(client, namespace, group, resource, verb, name)
    return "" if found is is_allowed else f"{verb} {kind} {name}: {'not ' if is_allowed else ''}allowed"


def attempted(client: Client, namespace: str, kind: str, name: str, verb: str, is_allowed: bool) -> str:
    """It is sent, as a dry run and to a name that nobody has: RBAC refuses it, or it fails later or not at all. What is wrong with
    that; "" = nothing."""
    where = place(client, kind, namespace, "" if is_whole(kind, verb) else name or NOBODY)
    found = not refuses(client, ATTEMPTS[verb], verb, where)
    return "" if found is is_allowed else f"{verb} {kind} {name}: {'refused' if is_allowed else 'not refused'}"


def place(client: Client, kind: str, namespace: str, name: str) -> str:
    """The path of the resource, `pods/log` for instance, of that name."""
    resource, _, group = kind.partition(".")
    plural, _, sub = resource.partition("/")
    root = f"/apis/{group}/{VERSIONS.get(group, 'v1')}" if group else "/api/v1"
    space = f"/namespaces/{namespace}" if namespace and plural not in CLUSTER_WIDE else ""
    return "/".join(part for part in (f"{root}{space}/{plural}", name, sub) if part)


def refuses(client: Client, method: str, verb: str, path: str) -> bool:
    """Whether RBAC refuses it; policies and everything behind them do not count."""
    query = {"watch": {"watch": "1", "timeoutSeconds": "1"}, "get": {}, "list": {"limit": "1"}}.get(
        verb, {"dryRun": "All"}
    )
    body = {} if method in ("POST", "PUT", "PATCH") else None
    try:
        client.request(method, path, body, query=query, patch="merge" if method == "PATCH" else "")
    except ApiError as error:
        return error.status == 403 and f" cannot {verb} resource " in str(error)
    return False


def test_the_controller(account: Account, tenant: str) -> None:
    host = ("controller", "the whole host")
    assert otherwise(account.client, "kube-system", told(host)) == []
    assert otherwise(account.client, account.namespace, told(host, ("controller", "its own namespace"))) == []
    assert otherwise(account.client, tenant, told(host, ("controller", "the host namespace of a cluster"))) == []


@pytest.mark.parametrize(
    "user", ["system:serviceaccount:{}:default", "system:serviceaccount:{}:theirs", "kubernetes-super-admin"]
)
def test_a_tenant_has_no_right_on_the_host(account: Account, tenant: str, user: str) -> None:
    """Neither an account its pods run as there nor the name it has inside its cluster."""
    client = acting(account, user.format(tenant))
    for namespace in (tenant, account.namespace, "kube-system"):
        assert granted(client, namespace) == set()


def test_what_a_tenant_tries_on_the_host_is_refused(account: Account, tenant: str) -> None:
    client = acting(account, f"system:serviceaccount:{tenant}:default")
    for namespace in (tenant, account.namespace):
        assert otherwise(client, namespace, {}) == []


SWITCHES = ("ingresses", "networkPolicies", "podDisruptionBudgets", "serviceAccounts")


@pytest.mark.parametrize("who", ["engine", "engine with every switch", "operator", "reviewer"])
def test_an_engine_an_operator_and_a_reviewer(empty_host: TestHost, account: Account, tenant: str, who: str) -> None:
    if engine := who.startswith("engine"):
        on = SWITCHES if who == "engine with every switch" else ()
        user, home, lines = f"system:serviceaccount:{tenant}:vc-a", tenant, [("engine", "its host namespace")]
        lines += [("engine", f"its host namespace, with sync.toHost.{switch}") for switch in on]
        account.client.create(
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "vc-a", "namespace": tenant}}
        )
        for role in ("nidus-engine", *(f"nidus-engine-{switch.lower()}" for switch in on)):
            bind(account, tenant, role, tenant, "vc-a")
    else:
        user, home, lines = f"ada-{who}", account.namespace, [(who, "the controller's namespace")]
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": f"nidus-{who}"}
        subjects = [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}]
        meta = {"name": user, "namespace": home}
        made = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": meta}
        empty_host.client.create({**made, "roleRef": role, "subjects": subjects})
    client = acting(account, user)
    rights = told(*lines)
    for (first, name), verbs in rights.items():
        resource, _, group = first.partition(".")
        wait_until(partial(may, client, home, group, resource, min(verbs), name))
    assert otherwise(client, home, rights) == []
    for elsewhere in ("kube-system", account.namespace if engine else tenant):
        assert granted(client, elsewhere) == set()
