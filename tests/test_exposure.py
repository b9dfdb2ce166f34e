"""Condition Exposed: whether people outside reach a cluster, tried on real sockets, and each thing that can be in the way."""

from __future__ import annotations

import errno
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from devhost import certs
from reconciler import outside
from reconciler.controller import probes as probing
from reconciler.controller.probes import Probes
from reconciler.kube import discovery
from reconciler.model import Expose, Exposure, Gateway, ObjectRef, Outside, Tried, replace
from reconciler.operations import exposure
from reconciler.verbs import check
from tests import shell
from tests.gateways import definitions, gateway, listener
from tests.memory.failures import answer, on
from tests.passes import HOME, START, Fleet, cluster, config_map, pack, profile
from tests.waiting import eventually

NAME = "localhost"
Run = Callable[[Exposure, str], Tried]


def attempt(one: Exposure, source: str = "") -> Tried:
    """Addresses of this machine too, which the product never tries."""
    return outside.attempt(one, source, outside.Lookups(), lambda address: True)


BEGUN: list[Probes] = []


def _begun(woken: Callable[[str], None], run: Run, clock: Callable[[], float] = time.monotonic) -> Probes:
    """Probes that end with the test: they would try again, and write to the log, in the middle of another."""
    BEGUN.append(Probes(woken, run, clock))
    return BEGUN[-1]


@pytest.fixture(autouse=True)
def _ended() -> Iterator[None]:
    yield
    while BEGUN:
        BEGUN.pop().close()


class Served:
    """An API server as far as a handshake goes: a certificate for these names by this authority, at a port of the loopback."""

    def __init__(self, folder: Path, authority: certs.Pair, dns: tuple[str, ...], port: int = 0) -> None:
        pair = certs.issue(authority, "kube-apiserver", dns=dns, ips=())
        file = folder / f"{dns[0]}.pem"
        file.write_bytes(pair.certificate + pair.key)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(file)
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(10.0)
                try:
                    self._context.wrap_socket(connection, server_side=True).close()
                except OSError:
                    continue

    def close(self) -> None:
        self._listener.close()


@pytest.fixture(scope="module")
def own() -> certs.Pair:
    return certs.authority("own")


@pytest.fixture(scope="module")
def foreign() -> certs.Pair:
    return certs.authority("ingress controller")


def wanted(authority: certs.Pair, port: int, host: str = NAME) -> Exposure:
    return Exposure(host, port, authority.certificate.decode())


@pytest.fixture
def served(tmp_path: Path, own: certs.Pair) -> Iterator[Served]:
    made = Served(tmp_path, own, (NAME,))
    yield made
    made.close()


def test_its_own_certificate_under_its_name_is_what_people_need(served: Served, own: certs.Pair) -> None:
    assert attempt(wanted(own, served.port)).found == ""


def test_another_certificate_is_told_from_another_name(
    served: Served, own: certs.Pair, foreign: certs.Pair, tmp_path: Path
) -> None:
    assert attempt(wanted(foreign, served.port)).found == "ForeignCertificate"
    other = Served(tmp_path, own, ("elsewhere.example.com",))
    try:
        assert attempt(wanted(own, other.port)).found == "NameNotInCertificate"
    finally:
        other.close()


def test_a_name_that_leads_nowhere_and_a_port_where_nobody_listens(own: certs.Pair) -> None:
    with socket.create_server(("127.0.0.1", 0)) as one:
        port = one.getsockname()[1]
    found = attempt(wanted(own, port))
    assert (found.found, found.detail) == ("NotReached", f"127.0.0.1: {os.strerror(errno.ECONNREFUSED)}")
    assert attempt(wanted(own, port, "a..b")).found == "NameUnresolved"


def test_what_speaks_no_tls_is_named(own: certs.Pair) -> None:
    with socket.create_server(("127.0.0.1", 0)) as one:

        def talk() -> None:
            connection, _ = one.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        threading.Thread(target=talk, daemon=True).start()
        assert attempt(wanted(own, one.getsockname()[1])).found == "NotTls"


def test_addresses_of_the_machine_itself_are_none(served: Served, own: certs.Pair) -> None:
    """Names come from documents: nothing of the controller's own is connected to."""
    found = outside.attempt(wanted(own, served.port), "", outside.Lookups())
    assert (found.found, "nobody outside" in found.detail) == ("NameUnresolved", True)
    wrapped = (
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::7f00:1",
        "64:ff9b:1::7f00:1",
        "2002:7f00:1::",
        "::127.0.0.1",
    )
    for address in ("127.0.0.1", "::1", "169.254.169.254", "fe80::1", "0.0.0.0", "224.0.0.1", *wrapped):
        assert not outside.public(address)
    for address in ("192.0.2.1", "10.1.2.3", "::ffff:192.0.2.1", "64:ff9b::c000:201", "2001:db8::1"):
        assert outside.public(address)


# What the host says


SERVICE: dict[str, Any] = {
    "spec": {"ports": [{"name": "https", "nodePort": 30443}]},
    "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}},
}


@pytest.mark.parametrize(
    ("expose", "service", "found"),
    [
        (Expose("LoadBalancer"), SERVICE, ("192.0.2.1", 443)),
        (Expose("LoadBalancer", host="a.example.com"), SERVICE, ("a.example.com", 443)),
        (Expose("LoadBalancer", host="a.example.com"), {"spec": {}}, ("", 0)),
        (Expose("LoadBalancer"), None, ("", 0)),
        (Expose("Ingress", host="a.example.com"), None, ("a.example.com", 443)),
        (Expose("NodePort", host="a.example.com"), SERVICE, ("a.example.com", 30443)),
        (Expose("NodePort", extra_sans=("192.0.2.7",)), SERVICE, ("192.0.2.7", 30443)),
        (Expose("NodePort"), SERVICE, ("", 0)),
        (Expose("NodePort", host="a.example.com"), None, ("", 0)),
        (Expose("TLSRoute", host="a.example.com"), None, ("a.example.com", 0)),
    ],
)
def test_where_people_go(expose: Expose, service: Any, found: tuple[str, int]) -> None:
    assert exposure.target(expose, service) == found


def of(controller: str) -> dict[str, Any]:
    return {"spec": {"controller": controller}}


NGINX = "nginx.ingress.kubernetes.io/ssl-passthrough"


@pytest.mark.parametrize(
    ("found", "ingress", "reason"),
    [
        (None, None, "ClassMissing"),
        (of("traefik.io/ingress-controller"), None, "NoPassthrough"),
        (of("k8s.io/ingress-nginx"), {"metadata": {}}, "NoPassthrough"),
        (of("k8s.io/ingress-nginx"), {"metadata": {"annotations": {NGINX: "true"}}}, ""),
        (of("haproxy.org/ingress-controller/haproxy"), {"metadata": {"annotations": {NGINX: "true"}}}, "NoPassthrough"),
        (of("example.com/another"), {"metadata": {}}, ""),
        ({"spec": "odd"}, {"metadata": {}}, ""),
    ],
)
def test_what_a_class_says(found: Any, ingress: Any, reason: str) -> None:
    asks = Expose("Ingress", host="a.example.com", ingress_class_name="tls")
    assert exposure.of_class(asks, found, ingress)[0] == reason


ROUTED = Expose("TLSRoute", host="a.example.com", gateway=Gateway("edge", "gateways"))


def routed(status: str, generation: int = 1) -> dict[str, Any]:
    said = {"type": "Accepted", "status": status, "reason": "NotAllowedByListeners", "observedGeneration": generation}
    return {"metadata": {"generation": 1}, "status": {"parents": [{"conditions": [said]}]}}


@pytest.mark.parametrize(
    ("found", "route", "reason", "port"),
    [
        (None, None, "GatewayMissing", 0),
        (gateway("edge", "gateways"), None, "ListenerMissing", 0),
        (gateway("edge", "gateways", listener("Terminate")), None, "NoPassthrough", 0),
        (gateway("edge", "gateways", listener() | {"protocol": "HTTPS"}), None, "NoPassthrough", 0),
        (gateway("edge", "gateways", listener(hostname="*.other.example")), None, "ListenerMissing", 0),
        (gateway("edge", "gateways", listener(hostname="*.Example.com")), None, "", 443),
        (gateway("edge", "gateways", listener(hostname="a.example.com", port=8443)), None, "", 8443),
        (gateway("edge", "gateways", listener("Terminate"), listener(port=6443)), None, "", 6443),
        (gateway("edge", "gateways", listener()), routed("False"), "RouteRefused", 443),
        (gateway("edge", "gateways", listener()), routed("True"), "", 443),
        (gateway("edge", "gateways", listener()), routed("False", 0), "", 443),
        ({"spec": {"listeners": "odd"}}, {"status": {"parents": [{"conditions": "odd"}]}}, "ListenerMissing", 0),
    ],
)
def test_what_a_gateway_says(found: Any, route: Any, reason: str, port: int) -> None:
    told = exposure.of_gateway(ROUTED, found, route)
    assert (told[0], told[2]) == (reason, port)


def test_only_the_named_listener_of_a_gateway_counts() -> None:
    asks = replace(ROUTED, gateway=Gateway("edge", "gateways", "second"))
    plain, second = listener(), listener("Terminate", name="second")
    assert exposure.of_gateway(asks, gateway("edge", "gateways", plain), None)[0] == "ListenerMissing"
    assert exposure.of_gateway(asks, gateway("edge", "gateways", plain, second), None)[0] == "NoPassthrough"


def test_the_condition_of_each_answer() -> None:
    one = Exposure("a.example.com", 443, "")
    there = Outside(one)

    def told(tried: Tried | None, outside: Outside | None = there, asleep: str = "") -> tuple[str, str] | None:
        found = exposure.condition(outside, tried, asleep)
        return (found.status, found.reason) if found is not None else None

    assert told(None, None) is None
    assert told(Tried(one, "")) == ("True", "Exposed")
    assert told(None) == ("Unknown", "NotTried")
    assert told(Tried(Exposure("b.example.com", 443, ""), "")) == ("Unknown", "NotTried"), "of another address"
    assert told(Tried(one, "NotReached", "x")) == ("Unknown", "NotReached")
    for word in ("NameUnresolved", "NotTls", "ForeignCertificate", "NameNotInCertificate"):
        assert told(Tried(one, word)) == ("False", word)
    for word in ("NameUnresolved", "NotReached", "NotTls"):
        assert "10.0.0.1" not in str(exposure.condition(there, Tried(one, word, "10.0.0.1: timed out"), "")), word
    assert told(Tried(one, ""), Outside(unread="no right")) == ("Unknown", "NotTried")
    assert told(Tried(one, ""), Outside(reason="ClassMissing", message="x")) == ("False", "ClassMissing")
    assert told(Tried(one, ""), asleep="by its file") == ("Unknown", "Asleep")


# Whole passes


CLASS: dict[str, Any] = {"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": {"name": "tls"}}


def files(**expose: Any) -> dict[str, str]:
    packs = profile(pack("base", config_map("greeting", text="one")))
    return {"p.yaml": packs, "a.yaml": cluster("a", **({"expose": expose} if expose else {}))}


def credentials(fleet: Fleet, authority: certs.Pair) -> None:
    meta = {"name": "vc-a", "namespace": "vcluster-a"}
    data = {"certificate-authority": authority.certificate.decode(), "token": "admin"}
    fleet.host.put({"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": data}, manager="vcluster")


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    made = Fleet()
    made.probes = _begun(lambda name: made.queue.add(name), attempt)
    made.restart(git=False)
    yield made
    made.close()


def exposed(fleet: Fleet) -> tuple[str, str]:
    one = fleet.condition("a", "Exposed")
    return one.status, one.reason


def look(fleet: Fleet) -> None:
    fleet.queue.add("a")
    fleet.run()


def stored(fleet: Fleet) -> Any:
    """The status object as it is stored, once nothing is left to write."""
    assert fleet.reporter.statuses.settle(60.0)
    return fleet.host.get("nidus.dev", "NestedCluster", "nidus-system", "a")


def port_of_a_node() -> int:
    for port in range(30100, 32767):
        try:
            with socket.create_server(("127.0.0.1", port)):
                return port
        except OSError:
            continue
    raise AssertionError("no port is free")


def test_a_port_of_a_node_that_answers_is_exposed(fleet: Fleet, tmp_path: Path, own: certs.Pair) -> None:
    port = port_of_a_node()
    fleet.push(files(type="NodePort", host=NAME, nodePort=port))
    fleet.run()
    credentials(fleet, own)
    look(fleet)
    assert fleet.probes is not None
    eventually(lambda: tried(fleet) == "NotReached")
    look(fleet)
    assert exposed(fleet) == ("Unknown", "NotReached")
    assert fleet.word("a") == "Ready", "who cannot be reached from outside runs all the same"
    made = Served(tmp_path, own, (NAME,), port)
    try:
        fleet.probes = _begun(lambda name: fleet.queue.add(name), attempt)
        fleet.restart()
        fleet.run()
        eventually(lambda: tried(fleet) == "")
        look(fleet)
        assert exposed(fleet) == ("True", "Exposed")
        look(fleet)
        version = stored(fleet)
        look(fleet)
        assert stored(fleet) == version
    finally:
        made.close()


def tried(fleet: Fleet) -> str | None:
    assert fleet.probes is not None
    found = fleet.probes.answer("a")
    return found.found if found is not None else None


def test_a_class_that_the_host_does_not_have_is_named(fleet: Fleet) -> None:
    fleet.push(files(type="Ingress", host="a.example.com", ingressClassName="tls"))
    fleet.run()
    assert exposed(fleet) == ("False", "ClassMissing")
    fleet.host.put({**CLASS, "spec": {"controller": "traefik.io/ingress-controller"}})
    look(fleet)
    assert exposed(fleet) == ("False", "NoPassthrough")


ROUTE = {"type": "TLSRoute", "host": NAME, "gateway": {"name": "edge", "namespace": "gateways"}}


def test_a_group_that_does_not_answer_says_nothing_of_a_gateway(
    fleet: Fleet, own: certs.Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("FRESH", "REFRESH_PAUSE"):
        monkeypatch.setattr(discovery, name, -1.0)
    for body in definitions():
        fleet.host.put(body)
    fleet.push(files(**ROUTE))
    fleet.run()
    credentials(fleet, own)
    look(fleet)
    assert exposed(fleet) == ("False", "GatewayMissing")
    fleet.host.stale.add("gateway.networking.k8s.io")
    fleet.restart()
    look(fleet)
    assert exposed(fleet)[0] == "Unknown" and "does not answer" in fleet.condition("a", "Exposed").message
    fleet.host.stale.clear()
    look(fleet)
    assert exposed(fleet) == ("False", "GatewayMissing") and fleet.word("a") == "Ready"


def test_each_thing_that_a_gateway_lacks_is_named_until_it_answers(
    fleet: Fleet, tmp_path: Path, own: certs.Pair
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as one:
        port = one.getsockname()[1]
    fleet.push(files(**ROUTE))
    fleet.run()
    assert exposed(fleet) == ("False", "GatewayMissing"), "the host has no Gateway API"
    assert "kind TLSRoute of gateway.networking.k8s.io" in fleet.layer("a", "engine").message
    for body in (*definitions(), {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "gateways"}}):
        fleet.host.put(body)
    fleet.restart()
    fleet.run()
    credentials(fleet, own)
    look(fleet)
    assert exposed(fleet) == ("False", "GatewayMissing") and fleet.word("a") == "Ready"
    wrong = ((listener("Terminate"), "NoPassthrough"), (listener(hostname="b.example"), "ListenerMissing"))
    for first, reason in wrong:
        written(fleet, gateway("edge", "gateways", first))
        look(fleet)
        assert exposed(fleet) == ("False", reason)
    written(fleet, gateway("edge", "gateways", listener(port=port)))
    made = Served(tmp_path, own, (NAME,), port)
    try:
        look(fleet)
        eventually(lambda: tried(fleet) == "")
        look(fleet)
        assert exposed(fleet) == ("True", "Exposed")
        assert fleet.reporter.clusters["a"].endpoint == f"https://{NAME}:{port}"
        fleet.host.fail(answer(500), on("get", kind="Gateway"), times=None)
        look(fleet)
        assert exposed(fleet) == ("True", "Exposed"), "a read that fails says nothing of the address"
        assert fleet.reporter.clusters["a"].endpoint == f"https://{NAME}:{port}"
    finally:
        made.close()


def written(fleet: Fleet, body: dict[str, Any]) -> None:
    """The Gateway as it is now."""
    live = fleet.host.get("gateway.networking.k8s.io", "Gateway", "gateways", "edge")
    fleet.host.put({**live, "spec": body["spec"]} if live else body)


@pytest.mark.parametrize("version", ["v1alpha2", "v1alpha3", "v1"])
def test_a_route_is_written_at_the_version_that_its_host_serves(fleet: Fleet, version: str) -> None:
    for one in definitions(version):
        fleet.host.put(one)
    fleet.push(files(**ROUTE))
    fleet.run()
    assert fleet.word("a") == "Ready"
    live = fleet.host.get("gateway.networking.k8s.io", "TLSRoute", "vcluster-a", "a")
    assert live is not None and live["apiVersion"].endswith(f"/{version}") and live["spec"]["hostnames"] == [NAME]
    writes = len(fleet.host.log)
    look(fleet)
    assert not [one for one in fleet.host.log[writes:] if one.kind == "TLSRoute" and one.verb not in ("get", "list")]
    fleet.push(files())
    fleet.run()
    assert fleet.host.get("gateway.networking.k8s.io", "TLSRoute", "vcluster-a", "a") is None


@pytest.mark.parametrize("policy", ["Retain", "Delete"])
def test_a_removal_says_what_it_cannot_prove(fleet: Fleet, policy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The host's Gateway API is removed before the cluster is: a kind that is not there says nothing of its objects. A namespace that is
    gone does."""
    monkeypatch.setattr(discovery, "REFRESH_PAUSE", -1.0)
    for one in definitions():
        fleet.host.put(one)
    both = {"p.yaml": files()["p.yaml"], "b.yaml": cluster("b")}
    fleet.push({**both, "a.yaml": cluster("a", expose=ROUTE, deletion={"policy": policy})})
    fleet.run()
    crd = ObjectRef("apiextensions.k8s.io", "CustomResourceDefinition", "", "tlsroutes.gateway.networking.k8s.io")
    shell.client(fleet.host).delete(crd, "")
    fleet.push(both)
    fleet.run()
    if policy == "Retain":
        assert fleet.word("a") == "Deleting"
        assert (
            "TLSRoute.gateway.networking.k8s.io/vcluster-a/a: NotProvenGone: KindMissing"
            in fleet.condition("a").message
        )
        for one in definitions():
            if one["spec"]["names"]["kind"] == "TLSRoute":
                fleet.host.put(one)
        look(fleet)
    assert "a" not in fleet.reporter.clusters


def named(fleet: Fleet) -> list[str]:
    """The reasons for which `nidus check` names the cluster."""
    found = check.gathered(shell.client(fleet.host), HOME, START + fleet.now)
    return [one.text.rpartition("(")[2].rstrip(")") for one in found if one.what == "exposure of a"]


class Fault(Struct, frozen=True):
    """What is wrong outside, and what is said of it."""

    name: str
    status: str
    reason: str


FAULTS = (
    Fault("none", "True", "Exposed"),
    Fault("dns", "False", "NameUnresolved"),
    Fault("certificate", "False", "ForeignCertificate"),
)
EXPOSURES: dict[str, dict[str, Any]] = {
    "LoadBalancer": {},
    "NodePort": {"nodePort": 30443},
    "Ingress": {"ingressClassName": "tls"},
    "TLSRoute": {"gateway": {"name": "edge", "namespace": "gateways"}},
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda one: one.name)
@pytest.mark.parametrize("kind", EXPOSURES)
def test_each_exposure_with_a_good_host_and_with_each_thing_that_is_wrong_outside(
    kind: str, fault: Fault, tmp_path: Path, own: certs.Pair, foreign: certs.Pair
) -> None:
    """Past a handshake on a real socket, at a port of the test's instead of the one that people use; `nidus check` says the same."""
    served = Served(tmp_path, foreign if fault.name == "certificate" else own, (NAME,))

    def resolve(host: str, port: int) -> list[str]:
        if fault.name == "dns":
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return ["127.0.0.1"]

    def run(one: Exposure, source: str) -> Tried:
        found = outside.attempt(replace(one, port=served.port), source, outside.Lookups(resolve), lambda address: True)
        return Tried(one, found.found, found.detail)

    fleet = Fleet()
    fleet.probes = _begun(lambda name: fleet.queue.add(name), run)
    fleet.restart(git=False)
    for body in (*definitions(), {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "gateways"}}):
        fleet.host.put(body)
    fleet.host.put({**CLASS, "spec": {"controller": "example.com/another"}})
    fleet.host.put(gateway("edge", "gateways", listener()))
    fleet.push(files(type=kind, host=NAME, **EXPOSURES[kind]))
    fleet.run()
    service = fleet.host.get("", "Service", "vcluster-a", "a")
    assert service is not None
    fleet.host.put(service | {"status": SERVICE["status"]}, manager="balancer", subresource="status")
    credentials(fleet, own)
    look(fleet)
    eventually(lambda: tried(fleet) is not None)
    look(fleet)
    assert (exposed(fleet), fleet.word("a")) == ((fault.status, fault.reason), "Ready")
    eventually(lambda: named(fleet) == ([fault.reason] if fault.name != "none" else []))
    fleet.close()
    served.close()


def test_a_load_balancer_that_gives_no_address_is_named(fleet: Fleet) -> None:
    fleet.push(files(type="LoadBalancer", loadBalancerClass="example.com/fast"))
    fleet.run()
    assert exposed(fleet) == ("False", "NoAddress")
    assert "of class example.com/fast" in fleet.condition("a", "Exposed").message


def test_a_port_of_a_node_without_a_host_is_named(fleet: Fleet) -> None:
    fleet.push(files(type="NodePort"))
    fleet.run()
    assert exposed(fleet) == ("False", "HostMissing")


def test_what_cannot_be_read_is_not_taken_for_absent(fleet: Fleet) -> None:
    fleet.host.fail(answer(403), on("get", kind="IngressClass"), times=None)
    fleet.push(files(type="Ingress", host="a.example.com", ingressClassName="tls"))
    fleet.run()
    assert exposed(fleet) == ("Unknown", "NotTried")


def test_a_cluster_that_is_not_exposed_has_no_such_condition_and_costs_nothing(fleet: Fleet) -> None:
    fleet.push(files())
    fleet.run()
    assert [one.type for one in fleet.reporter.clusters["a"].conditions] == ["Ready", "Reconciling", "Stalled"]
    assert not [one for one in fleet.host.log if one.kind == "IngressClass"]


def test_a_read_that_fails_once_says_nothing_of_the_address(own: certs.Pair) -> None:
    asked: list[Exposure] = []
    fleet = Fleet()
    fleet.probes = _begun(
        lambda name: fleet.queue.add(name), lambda one, source: (asked.append(one), Tried(one, ""))[1]
    )
    fleet.restart(git=False)
    fleet.host.put({**CLASS, "spec": {"controller": "example.com/another"}})
    fleet.push(files(type="Ingress", host="a.example.com", ingressClassName="tls"))
    fleet.run()
    credentials(fleet, own)
    look(fleet)
    eventually(lambda: tried(fleet) == "")
    look(fleet)
    assert exposed(fleet) == ("True", "Exposed")
    fleet.host.fail(answer(500), on("get", kind="IngressClass"), times=None)
    look(fleet)
    assert exposed(fleet) == ("True", "Exposed") and tried(fleet) == ""
    fleet.push(files(type="Ingress", host="b.example.com", ingressClassName="tls"))
    fleet.run()
    assert exposed(fleet) == ("Unknown", "NotTried"), "it leads elsewhere now"
    assert {one.host for one in asked} == {"a.example.com"}
    fleet.close()


# Beside the passes


def test_an_address_that_does_not_answer_is_tried_again_without_a_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "ILL", 0.01)
    done, woken = list[Exposure](), list[str]()

    def run(one: Exposure, source: str) -> Tried:
        done.append(one)
        return Tried(one, "" if len(done) > 2 else "NotReached", f"by address {len(done)}")

    probes = _begun(woken.append, run)
    probes.ask("a", Exposure("a", 1, ""))
    eventually(lambda: woken == ["a", "a"])
    assert len(done) == 3, "the second answer was the first one's, by another address"


def test_one_source_whose_names_hang_delays_no_other_and_no_cluster_is_tried_twice() -> None:
    woken, begun, free = list[str](), list[str](), threading.Event()

    def run(one: Exposure, source: str) -> Tried:
        begun.append(one.host)
        if one.host.startswith("slow"):
            assert free.wait(60)
        return Tried(one, "")

    probes = _begun(woken.append, run)
    for name in ("slow1", "slow2", "slow3", "slow4"):
        probes.ask(name, Exposure(name, 1, ""), "slow")
    eventually(lambda: len(begun) == 2)
    probes.ask("slow1", Exposure("slow1", 2, ""), "slow")
    probes.ask("b", Exposure("b", 1, ""), "other")
    eventually(lambda: woken == ["b"])
    assert sorted(begun) == ["b", "slow1", "slow2"]
    free.set()
    eventually(lambda: probes.answer("slow1") == Tried(Exposure("slow1", 2, ""), "") and len(begun) == 6)
    assert begun.count("slow1") == 2, "of the other address as well, after the first"


def test_after_its_end_nothing_is_tried_and_nobody_woken() -> None:
    woken, begun, free, before = list[str](), list[str](), threading.Event(), set(threading.enumerate())

    def run(one: Exposure, source: str) -> Tried:
        begun.append(one.host)
        assert free.wait(60)
        return Tried(one, "NotReached")

    probes = _begun(woken.append, run)
    for name in ("a", "b", "c"):
        probes.ask(name, Exposure(name, 1, ""), "one")
    eventually(lambda: len(begun) == 2)
    probes.close()
    free.set()
    eventually(lambda: not [one for one in set(threading.enumerate()) - before if one.name == "probe"])
    assert (sorted(begun), woken) == (["a", "b"], [])


def test_a_resolver_that_hangs_holds_no_other_cluster() -> None:
    """Nobody waits for it: of the same source and of others, names that have an answer are tried."""
    free, asked = threading.Event(), list[str]()

    def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        if host.startswith("slow"):
            assert free.wait(60)
        return ["127.0.0.1"]

    lookups = outside.Lookups(resolve, 0.01)
    hung = [f"slow{number}" for number in range(outside.HANGING)]
    for name in (*hung, *hung, "slow-more"):
        with pytest.raises(TimeoutError):
            lookups.addresses("slow", name, 443)
    assert asked == hung, "none twice, and no more than that"
    assert outside.Lookups(resolve).addresses("slow", "good", 443) == ["127.0.0.1"]
    woken, others = list[str](), outside.Lookups(resolve, 0.01)
    probes = _begun(woken.append, lambda one, source: outside.attempt(one, source, others))
    ca = certs.authority("own").certificate.decode()
    for name in ("slow1", "slow2", "slow3", "good"):
        probes.ask(name, Exposure(name, 443, ca), "one")
    eventually(lambda: sorted(woken) == ["good", "slow1", "slow2", "slow3"])
    found = probes.answer("good")
    assert found is not None and "which nobody outside reaches" in found.detail
    answer = probes.answer("slow1")
    assert answer is not None and (answer.found, answer.detail) == ("NameUnresolved", "no answer within 0 s")
    free.set()
    eventually(lambda: _found(lookups, hung[0]) == ["127.0.0.1"])


def _found(lookups: outside.Lookups, host: str) -> list[str]:
    try:
        return lookups.addresses("slow", host, 443)
    except TimeoutError:
        return []


def test_an_address_is_tried_once_until_its_time_and_another_at_once(own: certs.Pair) -> None:
    now, done, woken = [0.0], list[Exposure](), list[str]()
    lock = threading.Lock()

    def run(one: Exposure, source: str) -> Tried:
        with lock:
            done.append(one)
        return Tried(one, "NotReached" if one.port == 1 else "")

    probes = _begun(woken.append, run, lambda: now[0])
    first, second = Exposure("a", 1, ""), Exposure("a", 2, "")
    probes.ask("a", first)
    eventually(lambda: woken == ["a"])
    probes.ask("a", first)
    probes.ask("a", second)
    eventually(lambda: woken == ["a", "a"])
    assert done == [first, second]
    now[0] = 1000.0
    probes.ask("a", second)
    eventually(lambda: len(done) == 3)
    answered = probes.answer("a")
    assert answered is not None and answered.exposure == second
    probes.ask("a", None)
    assert probes.answer("a") is None
    assert woken == ["a", "a"], "the same answer wakes nobody"


def test_a_bug_in_a_try_is_that_ones_answer(capsys: pytest.CaptureFixture[str]) -> None:
    woken: list[str] = []

    def run(one: Exposure, source: str) -> Tried:
        if one.port == 1:
            raise RuntimeError("a bug")
        return Tried(one, "")

    probes = _begun(woken.append, run)
    probes.ask("a", Exposure("a", 1, ""))
    eventually(lambda: woken == ["a"])
    probes.ask("b", Exposure("b", 2, ""))
    eventually(lambda: woken == ["a", "b"])
    found = probes.answer("a")
    assert found is not None and "a bug" in found.detail
    assert "RuntimeError" in "".join(capsys.readouterr())
