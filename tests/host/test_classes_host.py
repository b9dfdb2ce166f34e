"""The rights to look for classes of a host, as the shipped account: a class that is not there is named, and one that is, is used."""

from typing import Any

import pytest
import yaml

from tests import gateways
from tests.host.field import Field
from tests.host.promises import condition, nidus, write_cluster, write_maps

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


def test_a_gateway_that_the_host_lacks_is_named_and_one_that_passes_tls_through_is_used(shared_field: Field) -> None:
    """The controller starts on a host without the Gateway API; its right to read Gateways and to write routes is that of the roles."""
    field, name = shared_field, shared_field.cluster()
    write_maps(field, "kept")
    host, edge = f"{name}.example.com", gateways.gateway(name, "default", gateways.listener("Terminate"))
    write_cluster(field, expose=routed(name))
    field.push()
    field.start()
    missing = "waits until the API server serves kind TLSRoute"
    field.until("the kind is named", lambda: missing in str(field.status(name).get("layers")))
    assert condition(field, name, "Exposed")["reason"] == "GatewayMissing"
    try:
        for one in gateways.definitions("v1alpha2", "v1alpha3"):
            field.admin.create(one)
        field.wait(name, seconds=120)
        route = field.admin.get(f"{gateways.GROUP}/v1alpha3", "TLSRoute", name, f"vcluster-{name}")
        assert route and route["spec"]["hostnames"] == [host]
        assert [one["apiVersion"] for one in route["metadata"]["managedFields"]] == [f"{gateways.GROUP}/v1alpha3"]
        field.admin.create(edge)
        said(field, name, "NoPassthrough", "a Gateway that ends TLS")
        assert f"exposure of {name}" in nidus(field, "check", code=1)
        edge["spec"]["listeners"] = [gateways.listener(hostname="*.example.com")]
        field.admin.patch(edge["apiVersion"], "Gateway", name, "default", {"spec": edge["spec"]})
        said(field, name, "NameUnresolved", "a name that leads nowhere")
        assert field.status(name)["endpoint"] == f"https://{host}"
    finally:
        for one in gateways.definitions():
            field.admin.delete(one["apiVersion"], one["kind"], one["metadata"]["name"])


def said(field: Field, name: str, reason: str, why: str) -> None:
    """Look at everything again, until the condition has this reason."""
    nidus(field, "sync")
    field.until(why, lambda: condition(field, name, "Exposed")["reason"] == reason, 90)


def routed(name: str) -> dict[str, Any]:
    return {"type": "TLSRoute", "host": f"{name}.example.com", "gateway": {"name": name, "namespace": "default"}}


def allow(field: Field, **ceilings: Any) -> None:
    """What authors may ask for besides, from the next start on."""
    config = yaml.safe_load(field.stage.config.read_text())
    config["spec"]["ceilings"] |= ceilings
    field.stage.config.write_text(yaml.safe_dump(config))
