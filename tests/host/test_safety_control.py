"""Suspend and resume, a hostile Secret of the engine, and a layer that waits for its kind to be established."""

import base64
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any

import pytest

from devhost.api import ApiError, Client
from devhost.certs import authority
from tests.host.field import Field, nested_cluster, profile
from tests.host.promises import condition, maps, nidus, standing, write_cluster, write_maps

pytestmark = pytest.mark.host


def test_suspended_by_a_request(shared_field: Field) -> None:
    """Nothing is applied and no drift corrected until `nidus resume`; the reason and the word are said."""
    field = shared_field
    name, inside = standing(field, "kept")
    policy = _policy(field, name)
    nidus(field, "suspend", name, "--reason", "migration of team a")
    field.wait(name, "Suspended")
    write_maps(field, "kept", "new")
    commit = field.push("not now")
    field.wait_read(commit)
    field.admin.delete(*policy)
    field.quiet()
    assert set(maps(inside, name)) == {"kept"}
    assert field.admin.get(*policy) is None
    assert "migration of team a" in json.dumps(field.status(name)["conditions"])
    nidus(field, "resume", name)
    field.wait(name)
    field.until("the commit is applied", lambda: set(maps(inside, name)) == {"kept", "new"})
    field.until("drift is corrected", lambda: field.admin.get(*policy))


@pytest.mark.long
def test_a_suspension_ends_by_itself(shared_field: Field) -> None:
    field = shared_field
    name, _ = standing(field, "kept")
    nidus(field, "suspend", name, "--for", "15s")
    field.wait(name, "Suspended")
    field.wait(name, "Ready")


@pytest.mark.long
def test_suspended_in_git(shared_field: Field) -> None:
    """`nidus resume` cannot lift it; a commit can."""
    field = shared_field
    name, inside = standing(field, "kept")
    write_cluster(field, suspend={"reason": "frozen"})
    write_maps(field, "kept", "new")
    field.push("frozen")
    field.wait(name, "Suspended")
    assert "ends by a commit" in nidus(field, "resume", name, code=1)
    field.quiet()
    assert set(maps(inside, name)) == {"kept"}
    write_cluster(field)
    field.push("thawed")
    field.wait(name)
    field.until("the commit is applied", lambda: set(maps(inside, name)) == {"kept", "new"})


def test_a_hostile_secret_is_an_error_and_no_more(shared_field: Field) -> None:
    """No program is run, no other server asked, nothing written inside; the host part goes on (A8, M15). A cluster for each Secret."""
    field = shared_field
    write_maps(field, "kept")
    names = {title: write_cluster(field, f"h{number}") for number, title in enumerate(HOSTILE)}
    field.push()
    controller = field.start()
    for name in names.values():
        field.wait(name)
    inside = {name: field.inside(name) for name in names.values()}
    controller.stop()
    good = {name: _secret(field, name)["data"] for name in names.values()}
    policies = {name: _policy(field, name) for name in names.values()}
    for title, name in names.items():
        inside[name].delete("v1", "ConfigMap", "kept", f"{name}-web")
        _pour(field, name, HOSTILE[title](good[name]))
        field.admin.delete(*policies[name])
    field.start()
    for title, name in names.items():
        field.until(f"{title}: the host part goes on", lambda at=policies[name]: field.admin.get(*at))
        field.until(f"{title}: it is said", lambda name=name: condition(field, name)["status"] != "True")
        assert maps(inside[name], name) == {}, title
        assert field.admin.get("apps/v1", "StatefulSet", name, f"vcluster-{name}")
    for name in names.values():
        _pour(field, name, good[name])
    nidus(field, "sync")
    for name in names.values():
        field.until(
            "with the right Secret all is well", lambda name=name: set(maps(inside[name], name)) == {"kept"}, 90
        )
        field.wait(name)


@pytest.mark.long
def test_the_kubeconfig_of_the_secret_is_never_loaded(shared_field: Field) -> None:
    """Its `config` may name programs and servers as it likes: nobody reads it (M15)."""
    field = shared_field
    name, inside = standing(field, "kept")
    controller, ran = field.controller, field.stage.folder / "ran"
    assert controller
    with _listening() as (port, called):
        controller.stop()
        run = {"apiVersion": "client.authentication.k8s.io/v1", "command": "/bin/touch", "args": [str(ran)]}
        user = {"name": "x", "user": {"exec": {**run, "interactiveMode": "Never"}}}
        cluster = {"name": "x", "cluster": {"server": f"https://127.0.0.1:{port}"}}
        hostile = {"apiVersion": "v1", "kind": "Config", "users": [user], "clusters": [cluster]}
        _pour(field, name, {**_secret(field, name)["data"], "config": _encoded(json.dumps(hostile).encode())})
        write_maps(field, "kept", "new")
        field.push("one more")
        field.start()
        field.until("it is applied all the same", lambda: set(maps(inside, name)) == {"kept", "new"})
        assert not ran.exists()
        assert not called.is_set()


def test_a_layer_starts_on_its_kind_being_established(own_field: Field, record_property: Any) -> None:
    """The custom resource follows its definition by an event, not by a timer; the time between is printed (A4)."""
    field = own_field
    definition = _definition()
    check = {"ready": {"checks": [{"crd": definition["metadata"]["name"]}], "timeout": "1m"}}
    resource = {
        "apiVersion": "example.nidus.test/v1",
        "kind": "Gem",
        "metadata": {"name": "ruby", "namespace": "default"},
    }
    packs = [
        {"name": "kind", "manifests": {"objects": [definition]}, **check},
        {"name": "gem", "manifests": {"objects": [resource]}},
    ]
    name = field.cluster()
    field.write("clusters/a.yaml", nested_cluster(name))
    field.push()
    field.start()
    field.wait(name)
    inside = field.inside(name)
    established = _when_established(inside, definition["metadata"]["name"])
    field.write("profiles/gems.yaml", profile("gems", "1.0.0", packs))
    field.write("clusters/a.yaml", nested_cluster(name, profiles=[{"name": "gems", "version": "1.x"}]))
    field.push("gems")
    field.until("the profile is applied", lambda: len(field.status(name).get("layers", ())) == 5)
    field.wait(name)
    seen = established()
    created = [line for line in _lines(field) if line["event"] == "Created" and "Gem" in line["object"]]
    late = datetime.fromisoformat(created[0]["time"]).timestamp() - seen
    record_property("established_to_created_seconds", late)
    print(f"\nfrom the kind's Established to the layer applied: {late * 1000:.0f} ms")
    assert created


def _lines(field: Field) -> list[dict[str, Any]]:
    assert field.controller
    return field.controller.lines()


def _when_established(inside: Client, name: str) -> Any:
    """Watches from now on; a function that returns when (seconds since the epoch) the definition was seen Established."""
    api, kind = "apiextensions.k8s.io/v1", "CustomResourceDefinition"
    version = inside.list(api, kind)["metadata"]["resourceVersion"]
    seen: list[float] = []
    done = threading.Event()

    def follow() -> None:
        with suppress(ApiError):  # the plane ends before the watch
            for _, item in inside.watch(api, kind, version, seconds=60):
                said = item.get("status", {}).get("conditions") or ()
                established = any(one["type"] == "Established" and one["status"] == "True" for one in said)
                if item["metadata"].get("name") == name and established:
                    seen.append(time.time())
                    done.set()
                    return

    threading.Thread(target=follow, daemon=True).start()

    def when() -> float:
        assert done.wait(30)
        return seen[0]

    return when


def _definition() -> dict[str, Any]:
    names = {"plural": "gems", "singular": "gem", "kind": "Gem", "listKind": "GemList"}
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    version = {"name": "v1", "served": True, "storage": True, "schema": schema}
    spec = {"group": "example.nidus.test", "scope": "Namespaced", "names": names, "versions": [version]}
    api = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition"}
    return {**api, "metadata": {"name": "gems.example.nidus.test"}, "spec": spec}


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


Data = dict[str, str]
HOSTILE: dict[str, Callable[[Data], Data]] = {
    "wrong authority": lambda good: {**good, "certificate-authority": _encoded(authority("somebody-else").certificate)},
    "no authority": lambda good: {key: value for key, value in good.items() if key != "certificate-authority"},
    "no credentials": lambda good: {key: good[key] for key in ("config", "certificate-authority")},
    "noise": lambda good: dict.fromkeys(good, _encoded(b"\x00\xff noise")),
    "huge": lambda good: {**good, "certificate-authority": _encoded(b"-----BEGIN CERTIFICATE-----\n" + b"A" * 900_000)},
}
"""What a tenant, or a broken engine, could leave in the Secret."""


def _secret(field: Field, name: str) -> dict[str, Any]:
    found = field.admin.get("v1", "Secret", f"vc-{name}", f"vcluster-{name}")
    assert found
    return found


def _pour(field: Field, name: str, data: dict[str, str]) -> None:
    live = _secret(field, name)
    field.admin.replace({**live, "data": data})


def _policy(field: Field, name: str) -> tuple[str, str, str, str]:
    """One network policy of the cluster: what to look at to see whether the host part is reconciled."""
    api, kind, home = "networking.k8s.io/v1", "NetworkPolicy", f"vcluster-{name}"
    return api, kind, field.admin.list(api, kind, home)["items"][0]["metadata"]["name"], home


@contextmanager
def _listening() -> Iterator[tuple[int, threading.Event]]:
    """A port that must not be called, and the event that says that it was."""
    called = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            with suppress(OSError):
                server.accept()
                called.set()

        threading.Thread(target=accept, daemon=True).start()
        yield int(server.getsockname()[1]), called
