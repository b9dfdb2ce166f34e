"""A cluster that somebody lends to the demo: what is made there, what is left alone, and what goes again."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from devhost import assets
from reconciler.__main__ import main
from reconciler.errors import Stalled
from reconciler.kube import edge
from reconciler.kube.client import Client
from reconciler.model import HostConfig
from reconciler.verbs import lent
from reconciler.verbs.lent import Lent
from tests import installed
from tests.answering import kubeconfig
from tests.memory.http import Front
from tests.memory.server import Server

SHIPPED = assets.folder("deploy")
FEW = ("Namespace nidus-system", "ServiceAccount nidus", "ClusterRole nidus", "ValidatingAdmissionPolicy nidus-marks",
       "ValidatingAdmissionPolicyBinding nidus-marks", "ValidatingAdmissionPolicyBinding nidus-kept")  # fmt: skip
"""Of what is shipped, so that a test is short; the whole is made on the embedded host (tests/host/test_lent_host.py)."""
SPACES = ("vcluster-a", "vcluster-b")
OURS = {"app.kubernetes.io/managed-by": "nidus", "nidus.dev/cluster": "a"}
Open = Callable[..., Lent]
KINDS = (
    "Namespace",
    "CustomResourceDefinition",
    "ClusterRole",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
)
GROUPS = ("", "apiextensions.k8s.io", "rbac.authorization.k8s.io", *["admissionregistration.k8s.io"] * 2)


@pytest.fixture
def server() -> Server:
    made = Server()
    made.put(space("default", {}))
    made.put(space("vcluster-theirs", OURS))  # of an installation that is gone
    return made


@pytest.fixture
def config(server: Server, tmp_path: Path) -> Iterator[Path]:
    with Front(server) as front:
        yield kubeconfig(tmp_path, front.url)


@pytest.fixture
def client(config: Path) -> Iterator[Client]:
    made = edge.host(HostConfig(kubeconfig=str(config)))
    yield made
    made.close()


@pytest.fixture(scope="module")
def manifests(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("deploy")
    (made / "crds").mkdir()
    shutil.copy(SHIPPED / "crds" / "requests.nidus.dev.yaml", made / "crds")
    found = installed.read((SHIPPED / "rbac.yaml").read_text())
    kept = [one for one in found if f"{one['kind']} {one['metadata']['name']}" in FEW]
    (made / "rbac.yaml").write_text(yaml.safe_dump_all(kept))
    return made


@pytest.fixture
def opened(client: Client, tmp_path: Path, manifests: Path) -> Open:
    return lambda folder="", by=client: lent.opened(by, tmp_path / folder, manifests, SPACES)


def space(name: str, labels: dict[str, str]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def there(server: Server) -> list[str]:
    found = [one for group, kind in zip(GROUPS, KINDS, strict=True) for one in server.objects(group, kind)]
    return sorted(f"{one['kind']} {one['metadata']['name']}" for one in found)


def nothing(told: str) -> None:
    """Nobody is told."""


def test_everything_that_was_made_goes_and_nothing_else(server: Server, opened: Open) -> None:
    before = there(server)
    one = opened()
    lent.check(one)
    lent.install(one)
    server.put(space("vcluster-a", OURS))
    assert len(there(server)) == len(before) + 6
    lent.end(one, nothing)
    assert there(server) == before
    assert not one.note.exists()


def test_what_is_made_is_named_before(opened: Open) -> None:
    one = opened()
    told = lent.listing(one)
    lent.check(one)
    lent.install(one)
    names = [f"{each['metadata'].get('namespace', '')}/{each['metadata']['name']}".lstrip("/") for each in one.objects]
    assert {*names, *SPACES} == set(told.replace(":", "").split()) - {each["kind"] for each in one.objects}


def test_where_a_name_is_taken_nothing_is_made(server: Server, opened: Open) -> None:
    server.put(space("vcluster-b", {}))
    before = there(server)
    with pytest.raises(Stalled, match=r"1 of what the demo would make is there already: .*vcluster-b"):
        lent.check(opened())
    assert there(server) == before


def test_what_a_killed_demo_left_goes_with_the_next_one(server: Server, opened: Open) -> None:
    before = there(server)
    lent.install(opened())
    again = opened()
    lent.end(again, nothing)
    lent.check(again)
    assert there(server) == before


def test_what_another_demo_made_is_not_touched(server: Server, opened: Open, tmp_path: Path) -> None:
    lent.install(opened())
    (tmp_path / "other").mkdir()
    other = opened("other")
    before = there(server)
    lent.end(other, nothing)
    assert there(server) == before
    with pytest.raises(Stalled, match="is there already"):
        lent.check(other)


def test_an_object_of_the_same_name_that_somebody_else_made_stays(server: Server, opened: Open) -> None:
    one = opened()
    lent.install(one)
    role = server.get("rbac.authorization.k8s.io", "ClusterRole", "", "nidus")
    assert role is not None
    server.delete("rbac.authorization.k8s.io", "ClusterRole", "", "nidus")
    server.put({key: role[key] for key in ("apiVersion", "kind", "rules")} | {"metadata": {"name": "nidus"}})
    lent.end(one, nothing)
    assert [one for one in there(server) if "nidus" in one] == ["ClusterRole nidus"]


def test_what_does_not_go_is_named(server: Server, opened: Open) -> None:
    one = opened()
    lent.install(one)
    held = space("vcluster-a", OURS)
    held["metadata"]["finalizers"] = ["example.com/held"]
    server.put(held)
    with pytest.raises(Stalled, match=r"not gone after 0 s: .*vcluster-a"):
        lent.end(one, nothing, 0.0)
    assert one.note.exists()  # the next demo goes on with it


def test_another_cluster_waits_for_what_was_left(opened: Open, tmp_path: Path) -> None:
    lent.install(opened())
    with Front(Server()) as elsewhere:
        (tmp_path / "b").mkdir()
        other = edge.host(HostConfig(kubeconfig=str(kubeconfig(tmp_path / "b", elsewhere.url))))
        with pytest.raises(Stalled, match="a demo before left something on http://127"):
            opened(by=other)
        other.close()


def test_another_cluster_at_the_same_address_is_told_from_it(server: Server, opened: Open) -> None:
    """As those of kind are, which are made again at the same port."""
    server.put(space("kube-system", {}))
    lent.install(opened())
    server.delete("", "Namespace", "", "kube-system")
    server.put(space("kube-system", {}))
    with pytest.raises(Stalled, match="another cluster, which was at http://127"):
        opened()


def test_what_came_after_a_killed_demo_was_cleaned_by_hand_is_not_the_next_ones(server: Server, opened: Open) -> None:
    """Nidus was installed there meanwhile, and its namespaces were retained."""
    lent.install(opened())
    server.delete("", "Namespace", "", "nidus-system")
    server.put(space("vcluster-later", OURS))
    one = lent.cleared(opened(), nothing)
    lent.install(one)
    server.put(space("vcluster-a", OURS))
    lent.end(one, nothing)
    assert [name for name in there(server) if "vcluster-" in name] == [
        "Namespace vcluster-later",
        "Namespace vcluster-theirs",
    ]


def test_a_namespace_that_is_older_than_the_demo_is_not_removed(server: Server, opened: Open) -> None:
    one, clock = opened(), server.core.clock
    server.core.clock = lambda: clock() - 60
    server.put(space("vcluster-a", OURS))
    server.core.clock = clock
    lent.install(one)
    lent.end(one, nothing)
    assert "Namespace vcluster-a" in there(server)


def test_a_damaged_note_is_told(opened: Open, tmp_path: Path) -> None:
    (tmp_path / lent.NOTE).write_text("{")
    with pytest.raises(Stalled, match="does not say what a demo before made"):
        opened()


def test_where_nobody_agrees_nothing_is_made(
    server: Server, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = there(server)
    assert main(["demo", "--context", "x", "--kubeconfig", str(config), "--dir", str(tmp_path / "d")]) == 64
    told = capsys.readouterr()
    assert "the demo makes, and removes at its end:" in told.out and "vcluster-team-a-dev" in told.out
    assert "nothing was made: nobody is there to agree" in told.err
    assert there(server) == before


def test_flags_of_a_cluster_need_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--yes"]) == 64
    assert "name its --context" in capsys.readouterr().err
