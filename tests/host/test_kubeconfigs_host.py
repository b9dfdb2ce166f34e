"""Kubeconfigs that Nidus makes: they work inside, the one before works on, and none does once its entry left (O12)."""

import base64
import json
from typing import Any

import pytest

from devhost.api import ApiError, Client
from reconciler.model import replace
from tests.host.field import Field
from tests.host.promises import standing, write_cluster

pytestmark = [pytest.mark.host, pytest.mark.long]
SECRET = "nidus-kubeconfig-ci"


def test_a_kubeconfig_works_is_renewed_and_ends(shared_field: Field) -> None:
    field = shared_field
    entry = {"name": "ci", "role": "view", "ttl": "1h"}
    name, inside = standing(field, "kept", access={"kubeconfigs": [entry]})
    home = f"vcluster-{name}"
    first = field.until("its Secret is there", lambda: written(field, home))
    assert first["clusters"][0]["cluster"]["server"] == f"https://{name}.{home}.svc"
    with using(field, inside, first) as one:
        maps = one.list("v1", "ConfigMap", f"{name}-web")["items"]
        assert "kept" in {item["metadata"]["name"] for item in maps}
        assert status(one, name) == 403

        write_cluster(field, access={"kubeconfigs": [{**entry, "ttl": "2h"}]})
        field.push("another life")
        second = field.until("it has another token", lambda: other(written(field, home), first))
        with using(field, inside, second) as two:
            assert one.list("v1", "ConfigMap", f"{name}-web")["items"] and two.list("v1", "ConfigMap", f"{name}-web")

            write_cluster(field)
            field.push("nobody gets in")
            field.until("it is gone", lambda: written(field, home) is None)
            for client in (one, two):
                field.until("its token is refused", lambda each=client: status(each, name) == 401)


def written(field: Field, home: str) -> Any:
    found = field.admin.get("v1", "Secret", SECRET, home)
    return json.loads(base64.b64decode(found["data"]["config"])) if found else None


def other(found: Any, first: Any) -> Any:
    return found if found and found["users"] != first["users"] else None


def using(field: Field, inside: Client, config: Any) -> Client:
    """A client with the token of a kubeconfig and its certificate authority."""
    ca = field.stage.folder / "kubeconfig-ca.crt"
    ca.write_bytes(base64.b64decode(config["clusters"][0]["cluster"]["certificate-authority-data"]))
    token = config["users"][0]["user"]["token"]
    return Client(replace(inside.access, ca=ca, certificate=None, key=None, token=token))


def status(client: Client, name: str) -> int:
    """What the API server says to a write that this role may not do."""
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "mine", "namespace": f"{name}-web"}}
    try:
        client.create(body)
    except ApiError as error:
        return error.status
    return 201
