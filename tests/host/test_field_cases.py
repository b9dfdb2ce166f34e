"""Field cases about the ownership of fields, each played as people met it: commits, edits by hand, and what stands afterwards.

The repositories lie outside this one (`NIDUS_SHARED_DATA`, else ../shared/data); without them these tests say why they skip.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from devhost.api import Client, Object
from tests.host.field import Field
from tests.host.promises import nidus
from tests.waiting import eventually

CASES = Path(os.environ.get("NIDUS_SHARED_DATA", "../shared/data")) / "field"
pytestmark = [
    pytest.mark.host,
    pytest.mark.skipif(not CASES.is_dir(), reason=f"the field cases are not here ({CASES})"),
]
SERVICE, DEPLOYMENT, MAP = ("v1", "Service"), ("apps/v1", "Deployment"), ("v1", "ConfigMap")


def lay(field: Field, case: str, number: int) -> str:
    """Write one revision of a case over the last one, its cluster under a name of the test's own; returns the commit."""
    (folder,) = CASES.glob(f"{case}-*")
    for file in sorted(one for one in (folder / str(number)).rglob("*") if one.is_file()):
        field.write(str(file.relative_to(folder / str(number))), _named(field, file))
    return field.push(f"revision {number}")


def _named(field: Field, file: Path) -> Any:
    text = file.read_text()
    if file.name != "cluster.yaml":
        return text
    return {**yaml.safe_load(text), "metadata": {"name": field.cluster()}}


def standing(field: Field, case: str) -> Client:
    """The first revision, carried out; an administrator's client of the nested cluster."""
    lay(field, case, 1)
    field.start()
    field.wait(field.cluster())
    return field.inside(field.cluster())


def follow(field: Field, case: str, number: int, word: str = "Ready") -> None:
    """The next revision, carried out."""
    commit = lay(field, case, number)
    field.wait_applied(field.cluster(), commit)
    field.wait(field.cluster(), word)


def edit(inside: Client, what: tuple[str, str], name: str, change: Callable[[Object], object]) -> None:
    """An object changed in place and written back whole, as `kubectl edit` does."""
    live = seen(inside, what, name)
    change(live)
    inside.replace(live)


def seen(inside: Client, what: tuple[str, str], name: str, namespace: str = "app") -> Object:
    """The object, once it is there: the engine makes Services anew, and for a moment there is none."""
    found: Object | None = None

    def there() -> bool:
        nonlocal found
        found = inside.get(*what, name, namespace)
        return found is not None

    eventually(there)
    assert found is not None
    return found


def ports(obj: Object) -> list[tuple[str, int]]:
    inner = obj["spec"].get("ports")
    if inner is None:
        inner = obj["spec"]["template"]["spec"]["containers"][0]["ports"]
    return sorted((one["name"], one.get("port") or one["containerPort"]) for one in inner)


def looked_again(field: Field) -> None:
    """`nidus sync`, and nothing more to write."""
    nidus(field, "sync")
    field.quiet()


def test_61_an_object_made_with_its_kind_stays_ours(own_field: Field) -> None:
    inside = standing(own_field, "61")
    kind = ("shop.example.com/v1", "Widget")
    uid = seen(inside, kind, "one", "")["metadata"]["uid"]
    own_field.remove("chart/templates/w.yaml")
    follow(own_field, "61", 2)
    looked_again(own_field)
    assert seen(inside, kind, "one", "")["metadata"]["uid"] == uid
    assert not own_field.status(own_field.cluster()).get("plan", {}).get("held")


@pytest.mark.long
def test_62_a_count_scaled_by_hand_is_put_back(own_field: Field) -> None:
    inside = standing(own_field, "62")
    at = (*DEPLOYMENT, "scale", "app")
    inside.patch(*at, {"spec": {"replicas": 7}}, subresource="scale")
    looked_again(own_field)
    assert seen(inside, DEPLOYMENT, "scale")["spec"]["replicas"] == 3
    follow(own_field, "62", 2)
    assert seen(inside, DEPLOYMENT, "scale")["spec"]["replicas"] == 5


@pytest.mark.long
def test_63_a_renamed_release_takes_its_port_over(own_field: Field) -> None:
    inside = standing(own_field, "63")
    # the engine makes Services anew, with a port of its own until it is put right
    eventually(lambda: seen(inside, SERVICE, "edge-proxy")["spec"]["ports"][0]["nodePort"] == 30080)
    follow(own_field, "63", 2)
    eventually(lambda: seen(inside, SERVICE, "ingress-edge-proxy")["spec"]["ports"][0]["nodePort"] == 30080)
    assert inside.get(*SERVICE, "edge-proxy", "app") is None and inside.get(*MAP, "edge-proxy", "app") is None


def edit_ports(inside: Client) -> None:
    edit(inside, SERVICE, "stream", lambda live: live["spec"]["ports"][0].update(port=1940))
    metrics = next(
        one
        for one in seen(inside, DEPLOYMENT, "resolver")["spec"]["template"]["spec"]["containers"][0]["ports"]
        if one["name"] == "metrics"
    )
    assert metrics["containerPort"] == 9153

    def other(live: Object) -> None:
        for one in live["spec"]["template"]["spec"]["containers"][0]["ports"]:
            one.update(containerPort=9154 if one["name"] == "metrics" else one["containerPort"])

    edit(inside, DEPLOYMENT, "resolver", other)


@pytest.mark.long
@pytest.mark.parametrize("looks_between", [True, False])
def test_64_an_edited_port_is_corrected(own_field: Field, looks_between: bool) -> None:
    inside = standing(own_field, "64")
    edit_ports(inside)
    if looks_between:
        looked_again(own_field)
        assert ports(seen(inside, SERVICE, "stream")) == [("ingest", 1935)]
        assert ports(seen(inside, DEPLOYMENT, "resolver")) == [("metrics", 9153), ("tcp", 53), ("udp", 53)]
    follow(own_field, "64", 2)
    assert ports(seen(inside, SERVICE, "stream")) == [("ingest", 1936)]
    assert ports(seen(inside, DEPLOYMENT, "resolver")) == [("metrics", 9153), ("udp", 53)]


@pytest.mark.long
def test_65_a_key_added_by_hand_becomes_ours_with_git(own_field: Field) -> None:
    inside = standing(own_field, "65")
    edit(inside, MAP, "conf", lambda live: live["data"].update(same="x", other="y"))
    follow(own_field, "65", 2)
    own_field.write(
        "m/cm.yaml", {**yaml.safe_load(_latest("65", "m/cm.yaml", 2)), "data": {"a": "1", "same": "x", "other": "z"}}
    )
    commit = own_field.push("another value of a key of theirs")
    own_field.wait_applied(own_field.cluster(), commit)
    own_field.wait(own_field.cluster())
    assert seen(inside, MAP, "conf")["data"] == {"a": "1", "same": "x", "other": "z"}
    follow(own_field, "65", 3)
    assert seen(inside, MAP, "conf")["data"] == {"a": "1"}


def _latest(case: str, path: str, number: int) -> str:
    (folder,) = CASES.glob(f"{case}-*")
    return (folder / str(number) / path).read_text()


@pytest.mark.long
@pytest.mark.parametrize("null", [False, True])
def test_67_a_default_block_goes_with_its_type(own_field: Field, null: bool) -> None:
    inside = standing(own_field, "67")
    lay(own_field, "67", 2)
    if null:
        wanted = yaml.safe_load(_latest("67", "m/strategy.yaml", 2))
        wanted["spec"]["strategy"]["rollingUpdate"] = None
        own_field.write("m/strategy.yaml", wanted)
        own_field.push("said with a null")
    done = own_field.until("it is Recreate", lambda: _recreates(inside))
    assert done["spec"]["strategy"] == {"type": "Recreate"}
    assert seen(inside, DEPLOYMENT, "scale")["spec"]["replicas"] == 5
    assert seen(inside, ("v1", "PersistentVolumeClaim"), "kept")


def _recreates(inside: Client) -> Object | None:
    live = seen(inside, DEPLOYMENT, "strategy")
    return live if live["spec"]["strategy"]["type"] == "Recreate" else None


@pytest.mark.long
def test_71_replicas_stay_where_an_autoscaler_takes_over(own_field: Field) -> None:
    inside = standing(own_field, "71")
    commit = lay(own_field, "71", 2)
    own_field.wait_applied(own_field.cluster(), commit)
    looked_again(own_field)
    assert seen(inside, ("autoscaling/v2", "HorizontalPodAutoscaler"), "web")
    assert seen(inside, DEPLOYMENT, "web")["spec"]["replicas"] == 6
    inside.patch(*DEPLOYMENT, "web", "app", {"spec": {"replicas": 9}}, subresource="scale")
    looked_again(own_field)
    assert seen(inside, DEPLOYMENT, "web")["spec"]["replicas"] == 9
