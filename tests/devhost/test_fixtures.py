"""The fixtures that other tests use: the controller's account, its audit log, one host for all workers."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from devhost.account import Account, open_account, personal
from devhost.api import ApiError
from devhost.audit import Audit
from devhost.hosting import TestHost

RBAC = """
apiVersion: v1
kind: Namespace
metadata: {name: nidus-system}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: nidus, namespace: nidus-system}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: fixture-reader}
rules: [{apiGroups: [""], resources: [namespaces], verbs: [get, list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: fixture-reader}
subjects: [{kind: ServiceAccount, name: nidus, namespace: nidus-system}]
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: fixture-reader}
"""


@pytest.fixture
def rbac_manifests(tmp_path: Path) -> Path:
    path = tmp_path / "rbac.yaml"
    path.write_text(RBAC)
    return path


@pytest.mark.host
def test_account_may_what_the_manifests_say_and_no_more(empty_host: TestHost, account: Account, audit: Audit) -> None:
    assert account.client.get("v1", "Namespace", account.namespace) is not None
    with pytest.raises(ApiError) as refused:
        account.client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "mine"}})
    assert refused.value.status == 403
    seen = [(one["verb"], one["responseStatus"]["code"]) for one in audit.events(account.user, resource="namespaces")]
    assert seen == [("get", 200), ("create", 403)]
    assert [one["objectRef"]["resource"] for one in audit.writes(account.user)] == ["namespaces"]
    kubectl = [
        empty_host.kubectl,
        f"--kubeconfig={account.kubeconfig}",
        "auth",
        "whoami",
        "-o",
        "jsonpath={..username}",
    ]
    assert subprocess.run(kubectl, capture_output=True, text=True, timeout=30, check=True).stdout == account.user


@pytest.mark.host
def test_accounts_do_not_meet_and_leave_nothing(empty_host: TestHost, rbac_manifests: Path) -> None:
    one, other = (open_account(empty_host, rbac_manifests) for _ in range(2))
    assert one.namespace != other.namespace and one.user != other.user
    other.close()
    with pytest.raises(ApiError):
        other.client.list("v1", "Namespace")
    assert one.client.list("v1", "Namespace")["items"]
    one.close()
    kind = ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding")
    names = [each["metadata"]["name"] for each in empty_host.client.list(*kind)["items"]]
    assert not [name for name in names if name.endswith((one.name, other.name))]


def test_bindings_are_moved_and_roles_are_not() -> None:
    moved = {"nidus-system": "nidus-system-t1", "nidus-shared": "nidus-shared-t1"}
    account, role, binding = personal(RBAC, "t1", moved)
    assert account["metadata"]["namespace"] == "nidus-system-t1"
    assert role["metadata"]["name"] == "fixture-reader"
    assert binding["metadata"]["name"] == "fixture-reader-t1"
    assert binding["subjects"][0]["namespace"] == "nidus-system-t1"


@pytest.mark.long
@pytest.mark.host
def test_workers_share_one_host_which_ends_with_the_run(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["devhost.fixtures"]\n')
    (tmp_path / "test_it.py").write_text(
        "import os, pathlib, pytest\n"
        "@pytest.mark.parametrize('n', range(4))\n"
        "def test_it(empty_host, n):\n"
        "    assert empty_host.client.ready()\n"
        f"    path = pathlib.Path({str(tmp_path)!r}) / f'seen-{{os.getpid()}}'\n"
        "    path.write_text(f'{empty_host.host.supervisor} {empty_host.folder}')\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-n2", "--dist=each", "-p", "no:cacheprovider"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    for name in [name for name in environment if name.startswith("PYTEST_")]:
        del environment[name]
    ran = subprocess.run([*command, str(tmp_path)], capture_output=True, text=True, timeout=120, env=environment)
    assert ran.returncode == 0, ran.stdout[-3000:]
    seen = {path.read_text() for path in tmp_path.glob("seen-*")}
    assert len(list(tmp_path.glob("seen-*"))) == 2 and len(seen) == 1
    supervisor, folder = seen.pop().split()
    assert not Path("/proc", supervisor).exists() and not Path(folder).exists()
