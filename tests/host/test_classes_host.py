"""The rights to look for classes of a host, as the shipped account: a class that is not there is named, and one that is, is used."""

from typing import Any

import pytest
import yaml

from tests.host.field import Field
from tests.host.promises import condition, write_cluster, write_maps

pytestmark = [pytest.mark.host, pytest.mark.long]


def test_classes_that_the_host_lacks_are_named_and_those_it_has_are_used(shared_field: Field) -> None:
    field, name = shared_field, shared_field.cluster()
    allow(field, runtimeClasses=[name])
    write_maps(field, "kept")
    host = f"{name}.example.com"
    exposed = {"type": "Ingress", "host": host, "ingressClassName": name}
    write_cluster(field, isolation={"runtimeClass": name}, expose=exposed)
    field.push()
    field.start()
    lacks = f"the host has no RuntimeClass {name} (spec.isolation.runtimeClass)"
    field.until(
        "the RuntimeClass is named",
        lambda: lacks in [one.get("message") for one in field.status(name).get("layers", [])],
    )
    assert condition(field, name, "Exposed")["reason"] == "ClassMissing"

    made = [
        {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": name}, "handler": "runsc"},
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "IngressClass",
            "metadata": {"name": name},
            "spec": {"controller": "traefik.io/ingress-controller"},
        },
    ]
    try:
        for one in made:
            field.admin.create(one)
        field.wait(name, seconds=120)
        field.until(
            "what its class does is named", lambda: condition(field, name, "Exposed")["reason"] == "NoPassthrough"
        )
        config = field.admin.get("v1", "Secret", f"vc-config-{name}", f"vcluster-{name}")
        assert config is not None
    finally:
        for one in made:
            field.admin.delete(str(one["apiVersion"]), str(one["kind"]), name)


def allow(field: Field, **ceilings: Any) -> None:
    """What authors may ask for besides, from the next start on."""
    config = yaml.safe_load(field.stage.config.read_text())
    config["spec"]["ceilings"] |= ceilings
    field.stage.config.write_text(yaml.safe_dump(config))
