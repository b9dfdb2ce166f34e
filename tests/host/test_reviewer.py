"""A reviewer runs `status`, `why`, `wait`, `check`, `events` and `plan` with Role nidus-reviewer alone, and changes nothing (A9): every
refusal is tried."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import schemas
from devhost.account import token_kubeconfig
from tests.host.field import Field
from tests.host.promises import nidus, standing, write_cluster

pytestmark = pytest.mark.host
WHO = "reviewer"


@pytest.fixture
def kubeconfig(shared_field: Field, tmp_path: Path) -> Path:
    """Of a service account that is bound to Role nidus-reviewer and to nothing else."""
    account, admin = shared_field.account, shared_field.admin
    home = {"name": WHO, "namespace": account.namespace}
    admin.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": home})
    binding: dict[str, Any] = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": home}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "nidus-reviewer"}
    admin.apply({**binding, "roleRef": role, "subjects": [{"kind": "ServiceAccount", **home}]})
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}}
    answer = admin.request("POST", f"/api/v1/namespaces/{account.namespace}/serviceaccounts/{WHO}/token", asked)
    ca = account.hosted.host.pki / "ca.crt"
    file = tmp_path / "reviewer.kubeconfig"
    file.write_text(token_kubeconfig(account.hosted.host.server, ca.read_bytes(), answer["status"]["token"]))
    return file


def test_a_reviewer_reads_and_changes_nothing(shared_field: Field, kubeconfig: Path) -> None:
    """`status` whole; of `plan` the clusters, and of live objects that they may not be read. What operators ask for is refused, and so is
    the Secret that opens a cluster."""
    field = shared_field
    name, _ = standing(field, "kept")
    write_cluster(field, "z", profiles=())
    told = nidus(field, "status", kubeconfig=kubeconfig)
    assert name in told and "Ready" in told and "leads since" in told
    for words in (("why", name), ("wait", name), ("events",), ("check",)):
        assert nidus(field, *words, kubeconfig=kubeconfig)
    planned = ("plan", str(field.stage.repository.work), "--config", str(field.stage.config), "--all")
    shown = nidus(field, *planned, code=1, kubeconfig=kubeconfig)
    assert field.cluster("z") in shown
    assert shown.count('cannot get resource "namespaces"') == 2, shown  # once for each cluster
    last = shown.splitlines()[-1]
    assert last.startswith("Plan (incomplete): ") and "layers unknown" in last and "0 to create" not in last
    found = json.loads(nidus(field, *planned, "-o", "json", code=1, kubeconfig=kubeconfig))
    jsonschema.validate(found, schemas.load("Plan"))
    assert not found["complete"] and found["summary"]["unknownLayers"] >= 6
    markdown = nidus(field, *planned, "-o", "markdown", code=1, kubeconfig=kubeconfig)
    assert markdown.splitlines()[0] == f"### `{last}`"
    for words in (("suspend", name), ("resume", name), ("approve", "d" * 64), ("sync",), ("kubeconfig", name)):
        nidus(field, *words, code=1, kubeconfig=kubeconfig)
    assert field.admin.list("nidus.dev/v1alpha1", "Request", field.account.namespace)["items"] == []
    (source,) = field.admin.list("nidus.dev/v1alpha1", "Source", field.account.namespace)["items"]
    assert "nidus.dev/resync" not in source["metadata"].get("annotations", {})
    assert field.word(name) == "Ready"
