"""The controller's account for one test: the shipped RBAC manifests, moved to namespaces of the test's own.

Whatever the manifests put into the controller's namespaces goes into the test's; bindings of the whole cluster, and admission
policies that name these namespaces, are made once more under a name of the test's own; everything else of the cluster (roles, the
policies for engines) is made once a host and stays.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from devhost import certs
from devhost.api import Access, ApiError, Client, Object
from devhost.audit import Audit
from devhost.certs import Pair
from devhost.errors import HostError
from devhost.hosting import TestHost

SYSTEM: Final = "nidus-system"
SHARED: Final = "nidus-shared"
TOKEN_SECONDS: Final = 3600
FORBIDDEN: Final = 403
LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_PER_TEST: Final = ("ClusterRoleBinding", "ValidatingAdmissionPolicyBinding", "ValidatingAdmissionPolicy")


@dataclass(frozen=True, slots=True)
class Account:
    """The controller's service account in the test's own namespaces.

    `name` is short and unique: begin the test's nested clusters with it, so that close() finds their namespaces.
    """

    hosted: TestHost
    name: str
    namespace: str
    shared: str
    user: str
    kubeconfig: Path
    client: Client
    audit: Audit

    def close(self) -> None:
        """Delete the test's bindings and namespaces, its clusters' included; the host does the rest by itself."""
        admin = self.hosted.client
        for kind in _PER_TEST:
            for one in admin.list(_API[kind], kind)["items"]:
                if one["metadata"]["name"].endswith(f"-{self.name}"):
                    admin.delete(_API[kind], kind, one["metadata"]["name"])
        for one in admin.list("v1", "Namespace")["items"]:
            name = one["metadata"]["name"]
            if name in (self.namespace, self.shared) or name.startswith(f"vcluster-{self.name}"):
                self._delete(name)
        self.client.close()

    def _delete(self, namespace: str) -> None:
        """The API server forgets a policy that is gone a moment later: until then it keeps the namespace."""
        for _ in range(100):
            try:
                self.hosted.client.delete("v1", "Namespace", namespace)
            except ApiError as error:
                if error.status != FORBIDDEN:
                    raise
                time.sleep(0.05)
            else:
                return
        raise HostError(f"namespace {namespace} is still kept")


_INSTALLED: Final = set[tuple[int, str]]()
"""The supervisors of the hosts, and the manifests whose objects for all tests this process installed there."""


def open_account(hosted: TestHost, manifests: Path) -> Account:
    """Install the RBAC of `manifests` for one test and return its account, signed in by a token of an hour."""
    name = f"t{secrets.token_hex(3)}"
    moved = {SYSTEM: f"{SYSTEM}-{name}", SHARED: f"{SHARED}-{name}"}
    objects = list(personal(manifests.read_text(), name, moved))
    for namespace in moved.values():
        hosted.client.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    common = (hosted.host.supervisor, manifests.read_text())
    for one in objects:
        if common not in _INSTALLED or _is_own(one, name, moved):
            hosted.client.apply(one)
    _INSTALLED.add(common)
    accounts = [one["metadata"] for one in objects if one["kind"] == "ServiceAccount"]
    names = [meta["name"] for meta in accounts if meta.get("namespace") == moved[SYSTEM]]
    if len(names) != 1:
        raise HostError(f"{manifests} must hold one ServiceAccount in namespace {SYSTEM}, not {len(names)}")
    return _signed_in(hosted, name, names[0], moved)


def _is_own(one: Object, name: str, moved: dict[str, str]) -> bool:
    """Whether the object is for this test alone."""
    return one["metadata"]["name"].endswith(f"-{name}") or one["metadata"].get("namespace") in moved.values()


def personal(text: str, name: str, moved: dict[str, str]) -> Iterator[Object]:
    """Return the objects of the manifests in `text` for the test `name`, with the controller's namespaces `moved`."""
    manifests = [one for one in yaml.load_all(text, LOADER) if one]
    common = {
        one["metadata"]["name"]
        for one in manifests
        if one["kind"] == "ValidatingAdmissionPolicy" and not any(old in json.dumps(one) for old in moved)
    }
    for before in manifests:
        policy = before.get("spec", {}).get("policyName", before["metadata"]["name"])
        own = before["kind"] in _PER_TEST and policy not in common
        if own or before["metadata"].get("namespace") in moved:
            yield _moved(before, name if own else "", moved)
        elif before["kind"] != "Namespace":
            yield before


def _moved(manifest: Object, name: str, moved: dict[str, str]) -> Object:
    text = json.dumps(manifest)
    for old, new in moved.items():
        text = text.replace(old, new)
    one: Object = json.loads(text)
    if name:
        one["metadata"]["name"] += f"-{name}"
        if "policyName" in one.get("spec", {}):
            one["spec"]["policyName"] += f"-{name}"
    return one


_API: Final = {
    "ClusterRoleBinding": "rbac.authorization.k8s.io/v1",
    "ValidatingAdmissionPolicyBinding": "admissionregistration.k8s.io/v1",
    "ValidatingAdmissionPolicy": "admissionregistration.k8s.io/v1",
}


def _signed_in(hosted: TestHost, name: str, account: str, moved: dict[str, str]) -> Account:
    namespace = moved[SYSTEM]
    spec = {"expirationSeconds": TOKEN_SECONDS}
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
    token = hosted.client.request("POST", path, asked)["status"]["token"]
    ca = hosted.host.pki / "ca.crt"
    folder = hosted.folder / "accounts"
    folder.mkdir(mode=0o700, exist_ok=True)
    kubeconfig = folder / f"{name}.kubeconfig"
    kubeconfig.touch(mode=0o600)
    kubeconfig.write_text(token_kubeconfig(hosted.host.server, ca.read_bytes(), token))
    client = Client(Access(hosted.host.server, ca, token=token, agent="test"))
    user = f"system:serviceaccount:{namespace}:{account}"
    return Account(hosted, name, namespace, moved[SHARED], user, kubeconfig, client, hosted.audit)


def token_kubeconfig(server: str, ca: bytes, token: str) -> str:
    body = json.loads(certs.kubeconfig(server, ca, Pair(b"", b""), token))
    body["users"] = [one for one in body["users"] if one["name"] == "host-token"]
    body["contexts"] = [one for one in body["contexts"] if one["name"] == "host-token"]
    body["current-context"] = "host-token"
    return json.dumps(body, indent=1) + "\n"
