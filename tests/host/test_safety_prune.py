"""Pruning on both sides of the object budget, and what an approval releases (AD3, P7, D3)."""

import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.host.field import Field
from tests.host.promises import digest, maps, nidus, standing, write_cluster, write_maps

pytestmark = pytest.mark.host
WHO = "/apis/authentication.k8s.io/v1/selfsubjectreviews"


@pytest.mark.long
def test_within_the_budget_exactly_its_objects_go(shared_field: Field) -> None:
    """Three objects of about twenty may go without a word; what shares their namespace stays as it is."""
    field = shared_field
    write_maps(field, "a1", "a2", profile="extra")
    write_maps(field, "kept")
    name = write_cluster(field, profiles=("web", "extra"))
    field.push()
    field.start()
    field.wait(name)
    inside = field.inside(name)
    before = maps(inside, name)
    assert set(before) == {"kept", "a1", "a2"}
    foreign = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "theirs", "namespace": f"{name}-web"}}
    inside.create(foreign)

    write_cluster(field, profiles=("web",))
    field.remove("profiles/extra.yaml")
    commit = field.push("without extra")
    field.wait_applied(name, commit)
    field.until("a1 and a2 are gone", lambda: set(maps(inside, name)) == {"kept", "theirs"})
    assert maps(inside, name)["kept"] == before["kept"]
    assert {"a1", "a2"}.isdisjoint(entry.ref.name for entry in field.entries(name))
    field.wait(name)


def test_beyond_the_budget_waits_for_its_approval(shared_field: Field) -> None:
    """Four are held with a digest, whatever else goes on; only an approval of this very set, in its time, lets them go."""
    field = shared_field
    names = ("kept", "b1", "b2", "b3", "b4")
    name, inside = standing(field, *names)
    write_maps(field, "kept", "new")
    field.push("four less, one more")
    held = digest(field, name)
    field.until("the new one is there, the old are held", lambda: set(maps(inside, name)) == {*names, "new"})
    field.wait(name, "Held")
    assert len(field.status(name)["plan"]["held"]) == 4

    assert "nothing held" in nidus(field, "approve", "0" * 64, code=1)
    _request(field, name, "other", consent="0" * 64, items=[f"local {name} other delete"])
    _request(field, name, "expired", consent=held, seconds=-1)
    _request(field, field.cluster("b"), "elsewhere", consent=held)
    field.quiet()
    assert set(maps(inside, name)) == {*names, "new"}
    assert digest(field, name) == held

    assert held[:12] in nidus(field, "approve", held)
    field.until("the four are gone", lambda: set(maps(inside, name)) == {"kept", "new"})
    field.wait(name)


@pytest.mark.long
def test_a_larger_set_than_approved_is_held_again(shared_field: Field) -> None:
    """An approval of four says nothing about a fifth; of five it covers any four of them (P7)."""
    field = shared_field
    names = ("kept", "b1", "b2", "b3", "b4", "b5")
    name, inside = standing(field, *names)
    write_maps(field, "kept", "b5")
    field.push("four less")
    four = digest(field, name)
    write_maps(field, "kept")
    field.push("five less")
    field.until("the digest is another", lambda: digest(field, name) != four)
    five = digest(field, name)
    _request(field, name, "four", consent=four)
    field.quiet()
    assert set(maps(inside, name)) == set(names)
    nidus(field, "approve", five)
    field.until("all five are gone", lambda: set(maps(inside, name)) == {"kept"})


@pytest.mark.long
@pytest.mark.parametrize("where", ["same commit", "later commit", "empty commit"])
def test_a_trailer_approves(shared_field: Field, where: str) -> None:
    """`Nidus-Approve: DIGEST` in the commit that removes (the digest from `nidus plan`), or in a later one."""
    field = shared_field
    name, inside = standing(field, "kept", "b1", "b2", "b3", "b4")
    write_maps(field, "kept")
    if where == "same commit":
        held = _planned(field)["consent"]["digest"]
    else:
        field.push("four less")
        held = digest(field, name)
    if where == "later commit":
        field.write("README.md", "the four are approved\n")
    field.push(f"approved\n\nNidus-Approve: {held}")
    field.until("the four are gone", lambda: set(maps(inside, name)) == {"kept"})
    field.wait(name)


@pytest.mark.long
def test_a_trailer_of_another_digest_releases_nothing(shared_field: Field) -> None:
    field = shared_field
    names = {"kept", "b1", "b2", "b3", "b4"}
    name, inside = standing(field, *sorted(names))
    write_maps(field, "kept")
    field.push(f"four less\n\nNidus-Approve: {'0' * 64}")
    digest(field, name)
    field.quiet()
    assert set(maps(inside, name)) == names


@pytest.mark.long
def test_a_namespace_always_needs_approval(shared_field: Field) -> None:
    """One namespace inside, within any number: held (AD3)."""
    field = shared_field
    write_maps(field, "kept")
    inner = [{"name": f"{field.cluster()}-extra"}]
    name = write_cluster(field, namespaces=inner)
    field.push()
    field.start()
    field.wait(name)
    inside = field.inside(name)
    write_cluster(field)
    field.push("without the namespace")
    held = digest(field, name)
    assert inside.get("v1", "Namespace", inner[0]["name"])
    (told,) = field.status(name)["plan"]["held"]
    assert told.startswith(f"Namespace/{inner[0]['name']}: ObjectBudget: ")
    nidus(field, "approve", held)
    field.until("the namespace goes", lambda: _going(inside.get("v1", "Namespace", inner[0]["name"])))


def _going(live: dict[str, Any] | None) -> bool:
    return live is None or "deletionTimestamp" in live["metadata"]


def _planned(field: Field) -> dict[str, Any]:
    words = ("plan", str(field.stage.repository.work), "--config", str(field.stage.config), "-o", "json")
    plans = json.loads(nidus(field, *words, kubeconfig=field.account.kubeconfig))["clusters"]
    assert len(plans) == 1
    return dict(plans[0])


def _request(field: Field, cluster: str, name: str, *, consent: str, items: Any = (), seconds: float = 3600.0) -> None:
    """An approval as somebody else could store it, of a content of the test's own."""
    expires = datetime.fromtimestamp(time.time() + seconds, UTC).isoformat()
    who = field.admin.request("POST", WHO, {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"})
    spec = {"kind": "approve", "who": who["status"]["userInfo"]["username"], "cluster": cluster, "expires": expires}
    metadata = {"name": f"approve-{name}", "namespace": field.account.namespace}
    head = {"apiVersion": "nidus.dev/v1alpha1", "kind": "Request", "metadata": metadata}
    field.admin.create({**head, "spec": {**spec, "consent": consent, "items": list(items)}})
