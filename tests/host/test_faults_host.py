"""The host away, rights away, definitions away, sources away: nothing is lost, and it says so (D5, F1, F6, F11, F34)."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from devhost import faults
from devhost.account import Account, open_account
from devhost.api import ApiError
from devhost.hosting import AUDITED, TestHost
from tests import installed
from tests.host.field import Field, config_map, namespace, opened, profile
from tests.host.test_input_repository import deletes, drift_is_corrected, standing
from tests.host.test_process_life import deliver, greeting, one_cluster

pytestmark = pytest.mark.host


@pytest.fixture
def lone_field(fresh_host: Callable[..., TestHost], rbac_manifests: Path, tmp_path: Path) -> Iterator[Field]:
    """A field on a host of its own, to be broken."""
    account = open_account(fresh_host(nested="shared", audit=AUDITED), rbac_manifests)
    made = opened(account, tmp_path / "stage")
    yield made
    made.end()


@pytest.mark.long
def test_the_api_server_goes_and_comes_back(lone_field: Field) -> None:
    """Marks are refused with 503, the process ends rather than write without its Lease, and its successor goes on (H1, W3, F1)."""
    field = lone_field
    name = one_cluster(field)
    field.push()
    controller = field.start()
    field.wait(name)
    before = uids(field, name)
    host = field.account.hosted.host
    faults.kill(host, faults.SERVER)
    assert deliver(field, field.stage.webhook) == 503
    assert controller.process.wait(60) == 70
    field.controller = controller = start_only(field)
    field.until("the successor stores no mark either", lambda: deliver(field, field.stage.webhook) == 503)
    one_cluster(field, text="two")
    commit = field.push("while the host is away")
    faults.restart(host, faults.SERVER)
    field.until("it is applied", lambda: kept_running(field) and commit in str(field.status(name)["revision"]), 120)
    field.until("inside too", lambda: greeting(field, name) == "two")
    assert uids(field, name) == before
    assert deletes(field) == []


def kept_running(field: Field) -> bool:
    """Start the controller again where it ended, as Kubernetes does; a server that is just starting refuses even who may."""
    if field.controller is None or field.controller.process.poll() is not None:
        field.controller = start_only(field)
    return True


def uids(field: Field, name: str) -> dict[str, str]:
    return {str(entry.ref): entry.uid for entry in field.entries(name)}


def start_only(field: Field) -> Any:
    """The controller, started and not waited for."""
    from devhost import stage

    return stage.start(field.stage, field.account.kubeconfig, namespace=field.account.namespace)


@pytest.mark.long
def test_definitions_removed_and_installed_again(lone_field: Field) -> None:
    """Removing our CRDs takes the reports and nothing else; installing them again brings the reports back (D5)."""
    field = lone_field
    name = one_cluster(field)
    field.push()
    controller = field.start()
    field.wait(name)
    before = uids(field, name)
    with pytest.raises(ApiError, match="nidus-kept"):
        field.admin.delete("apiextensions.k8s.io/v1", "CustomResourceDefinition", "sources.nidus.dev")
    admission = "admissionregistration.k8s.io/v1"
    field.admin.delete(admission, "ValidatingAdmissionPolicyBinding", f"nidus-kept-{field.account.name}")
    for crd in ("nestedclusters.nidus.dev", "sources.nidus.dev"):
        field.until(f"{crd} may go", lambda crd=crd: deleted(field, crd))
        field.until(f"{crd} is gone", lambda crd=crd: not definition(field, crd))
    field.quiet()
    assert controller.process.poll() is None
    for one in installed.kinds():
        field.admin.apply(one)
    field.until("they are served", lambda: served(field))
    one_cluster(field, text="two")
    commit = field.push("afterwards")
    field.wait_applied(name, commit)
    assert uids(field, name) == before
    assert deletes(field) == []


def deleted(field: Field, crd: str) -> bool:
    """False while the API server still knows the policy that keeps it."""
    try:
        field.admin.delete("apiextensions.k8s.io/v1", "CustomResourceDefinition", crd)
    except ApiError:
        return False
    return True


def definition(field: Field, name: str) -> Any:
    return field.admin.get("apiextensions.k8s.io/v1", "CustomResourceDefinition", name)


def served(field: Field) -> bool:
    try:
        field.admin.list("nidus.dev/v1alpha1", "NestedCluster")
    except ApiError:
        return False
    return True


@pytest.mark.long
def test_a_source_removed_from_the_configuration_deletes_nothing(shared_field: Field) -> None:
    """Its clusters stay as they are; put back, they go on (D5)."""
    field = shared_field
    (name,) = standing(field, "a")
    assert field.controller
    field.controller.stop()
    before = uids(field, name)
    text = field.stage.config.read_text()
    field.stage.config.write_text(text.replace("name: platform", "name: other"))
    field.start()
    field.quiet()
    assert uids(field, name) == before
    assert set(deletes(field)) <= {"sources/platform"}  # its status object speaks of a source that nobody follows
    field.controller.stop()
    field.stage.config.write_text(text)
    field.start()
    field.wait(name)
    drift_is_corrected(field, name)
    assert uids(field, name) == before
    assert set(deletes(field)) <= {"sources/platform", "sources/other"}


def test_rights_revoked_and_given_back(shared_field: Field) -> None:
    """403 is never absence: what cannot be looked at is told, nothing is deleted, and it goes on by itself (F6)."""
    field = shared_field
    (name,) = standing(field, "a")
    account = field.account
    kind, api = "ClusterRoleBinding", "rbac.authorization.k8s.io/v1"
    bindings = [one for one in field.admin.list(api, kind)["items"] if one["metadata"]["name"].endswith(account.name)]
    assert bindings
    for one in bindings:
        field.admin.delete(api, kind, one["metadata"]["name"])
    field.admin.delete(api, "RoleBinding", "nidus-tenant", f"vcluster-{name}")
    pack = {"name": "web", "manifests": {"objects": [namespace(), config_map("greeting", text="two")]}}
    field.write("profiles/web.yaml", profile("web", "1.0.0", [pack]))
    commit = field.push("without rights")
    field.until("it is told", lambda: field.word(name) == "Degraded" or "forbidden" in str(field.status(name)))
    assert deletes(field) == []
    for one in bindings:
        metadata = {"name": one["metadata"]["name"]}
        field.admin.create(
            {
                "apiVersion": api,
                "kind": kind,
                "metadata": metadata,
                "roleRef": one["roleRef"],
                "subjects": one["subjects"],
            }
        )
    field.wait_applied(name, commit, 90)
    assert greeting(field, name) == "two"
    assert deletes(field) == []


@pytest.mark.long
def test_a_token_nobody_knows(shared_field: Field) -> None:
    """The process ends with one clear sentence and writes nothing."""
    field = shared_field
    account: Account = field.account
    folder = field.stage.folder
    kubeconfig = yaml.safe_load(account.kubeconfig.read_text())
    for user in kubeconfig["users"]:
        user["user"] = {"token": "nobody-knows-this"}
    (folder / "stranger").write_text(yaml.safe_dump(kubeconfig))
    from devhost import stage

    controller = stage.start(field.stage, folder / "stranger", namespace=account.namespace)
    assert controller.process.wait(30) == 1
    said = controller.log.read_text()
    assert "error: " in said and "Traceback" not in said and "nobody-knows-this" not in said
