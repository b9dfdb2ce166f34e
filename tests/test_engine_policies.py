"""What we render beside the chart: quota with the engine's overhead, limits, network policies, role bindings."""

import json
from fractions import Fraction
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from reconciler.engine import overhead, policy_objects, quantity
from reconciler.engine.policies import host_namespace
from reconciler.model import (
    ClusterSpec,
    ControlPlane,
    EngineChart,
    Expose,
    HostFacts,
    Isolation,
    Metadata,
    NamespaceRef,
    NestedCluster,
    Quota,
    Resources,
    Rules,
    Scheduling,
    Store,
    Sync,
    ToHost,
    Toleration,
)
from reconciler.model.networks import PRIVATE, PRIVATE_6
from reconciler.spec import units
from tests import installed

CHART = EngineChart("0.36.1", "d", ())
RULES = Rules("vcluster-{name}", (CHART,), ("v1.36.0",))
FACTS = HostFacts("local", account="nidus-system:nidus")
NAMESPACE = "vcluster-a"
ETCD = ControlPlane(replicas=3, store=Store(type="etcd", size="8Gi"))
POLICY = "nidus-engine-networks"
LIMITED = Quota(cpu="6", memory="8Gi", storage="20Gi", pods=50, services=20, load_balancers=0, node_ports=0)


def objects(facts: HostFacts = FACTS, **fields: Any) -> dict[tuple[str, str], Any]:
    cluster = NestedCluster(
        api_version="nidus.dev/v1alpha1",
        kind="NestedCluster",
        metadata=Metadata(name="a"),
        spec=ClusterSpec(**fields),
    )
    found = policy_objects(cluster, NAMESPACE, RULES, facts)
    assert all(obj["metadata"]["namespace"] == NAMESPACE for obj in found)
    return {(obj["kind"], obj["metadata"]["name"]): obj for obj in found}


def hard(**fields: Any) -> dict[str, str]:
    found: dict[str, str] = objects(**fields)["ResourceQuota", "nidus"]["spec"]["hard"]
    return found


def test_the_tenant_gets_its_whole_share() -> None:
    assert hard(quota=LIMITED) == {
        "requests.cpu": "6240m",
        "requests.memory": "8576Mi",
        "limits.memory": "12628Mi",
        "requests.storage": "25Gi",
        "pods": "53",
        "services": "25",
        "services.loadbalancers": "0",
        "services.nodeports": "0",
    }


def test_etcd_members_surge_and_volumes_are_counted() -> None:
    found = hard(quota=LIMITED, control_plane=ETCD)
    assert found["pods"] == str(50 + 3 + 1 + 3 + 2)
    assert found["requests.storage"] == "44Gi"
    assert found["services"] == "26"
    assert found["requests.cpu"] == "7140m"


@pytest.mark.parametrize(
    ("kind", "balancers", "ports"), [("None", "0", "0"), ("LoadBalancer", "1", "1"), ("NodePort", "0", "1")]
)
def test_exposing_raises_what_its_service_needs(kind: str, balancers: str, ports: str) -> None:
    found = hard(quota=LIMITED, expose=Expose(type=kind))
    assert (found["services.loadbalancers"], found["services.nodeports"]) == (balancers, ports)


def test_the_clusters_own_resources_count() -> None:
    own = ControlPlane(resources=Resources(requests={"cpu": "1"}, limits={"memory": "1Gi"}))
    found = hard(quota=Quota(cpu="1", memory="1Gi"), control_plane=own)
    assert (found["requests.cpu"], found["limits.memory"]) == ("2040m", "2388Mi")


def test_ephemeral_storage_and_extended_resources() -> None:
    found = hard(quota=Quota(ephemeral_storage="50Gi", extended={"nvidia.com/gpu": 1}))
    assert found == {
        "limits.ephemeral-storage": "76Gi",
        "requests.ephemeral-storage": "53Gi",
        "requests.nvidia.com/gpu": "1",
    }


def test_nothing_limited_means_no_share_and_no_defaults() -> None:
    assert {kind for kind, _ in objects()} == {"NetworkPolicy", "RoleBinding", "ResourceQuota"}
    assert ("ResourceQuota", "nidus") not in objects()


def counted(**fields: Any) -> dict[str, int]:
    spec = objects(**fields)["ResourceQuota", "nidus-counts"]["spec"]
    assert spec.keys() == {"hard"}
    return {name.removeprefix("count/"): int(number) for name, number in spec["hard"].items()}


def test_everything_that_an_engine_may_make_is_counted() -> None:
    text = (Path(__file__).parents[1] / "deploy/rbac.yaml").read_text()
    roles = [one for one in yaml.safe_load_all(text) if one and one["kind"] == "ClusterRole"]
    made = {
        f"{kind}.{group}" if group else kind
        for role in roles
        if role["metadata"]["name"].startswith("nidus-engine")
        for rule in role["rules"]
        if "create" in rule["verbs"]
        for group in rule["apiGroups"]
        for kind in rule["resources"]
        if "/" not in kind
    }
    assert counted().keys() == made


def test_counts_follow_the_clusters_share() -> None:
    assert counted(quota=LIMITED) == {
        "pods": 2 * (50 + 3) + 20,
        "configmaps": 200,
        "secrets": 250,
        "persistentvolumeclaims": 123,
        "services": 25,
        "endpoints": 45,
        "endpointslices.discovery.k8s.io": 120,
        "leases.coordination.k8s.io": 20,
        "ingresses.networking.k8s.io": 20,
        "networkpolicies.networking.k8s.io": 20,
        "poddisruptionbudgets.policy": 20,
        "serviceaccounts": 20,
    }
    every = ToHost(ingresses=True, network_policies=True, pod_disruption_budgets=True, service_accounts=True)
    switched = counted(quota=LIMITED, sync=Sync(to_host=every))
    assert {kind: number for kind, number in switched.items() if number != counted(quota=LIMITED)[kind]} == {
        "ingresses.networking.k8s.io": 40,
        "networkpolicies.networking.k8s.io": 120,
        "poddisruptionbudgets.policy": 70,
        "serviceaccounts": 70,
    }


@given(st.builds(Quota, pods=st.integers(0, 10**30), services=st.integers(0, 10**30)))
def test_a_tenant_with_its_whole_share_is_never_refused_by_the_counts(share: Quota) -> None:
    found, few = counted(quota=share), (share.pods or 0, share.services or 0)
    assert all(0 < number < 2**63 for number in found.values())
    assert found["pods"] > min(few[0], 10**6) and found["services"] > min(few[1], 10**6)


@given(st.builds(Quota, cpu=st.sampled_from(["", "1"]), memory=st.sampled_from(["", "1Gi"]), pods=st.integers(0, 9)))
def test_there_is_never_a_cpu_limit(share: Quota) -> None:
    found = objects(quota=share)
    assert "limits.cpu" not in found["ResourceQuota", "nidus"]["spec"]["hard"]
    limits = found.get(("LimitRange", "nidus"), {"spec": {"limits": [{}]}})["spec"]["limits"][0]
    assert "cpu" not in limits.get("default", {})


def test_defaults_cover_exactly_what_the_quota_limits() -> None:
    (item,) = objects(quota=LIMITED)["LimitRange", "nidus"]["spec"]["limits"]
    assert item == {
        "type": "Container",
        "default": {"memory": "512Mi"},
        "defaultRequest": {"cpu": "100m", "memory": "128Mi"},
    }
    assert ("LimitRange", "nidus") not in objects(quota=Quota(pods=5))


def test_role_bindings_name_the_fixed_roles() -> None:
    found = objects()
    engine, tenant = found["RoleBinding", "nidus-engine"], found["RoleBinding", "nidus-tenant"]
    assert engine["roleRef"] == {
        "apiGroup": "rbac.authorization.k8s.io",
        "kind": "ClusterRole",
        "name": "nidus-engine",
    }
    assert engine["subjects"] == [{"kind": "ServiceAccount", "name": "vc-a", "namespace": NAMESPACE}]
    assert tenant["roleRef"]["name"] == "nidus-tenant"
    assert tenant["subjects"] == [{"kind": "ServiceAccount", "name": "nidus", "namespace": "nidus-system"}]


@pytest.mark.parametrize(
    ("switch", "kind"),
    [
        ("ingresses", "ingresses"),
        ("network_policies", "networkpolicies"),
        ("pod_disruption_budgets", "poddisruptionbudgets"),
        ("service_accounts", "serviceaccounts"),
    ],
)
def test_rights_on_a_kind_come_with_its_switch(switch: str, kind: str) -> None:
    on, off = objects(sync=Sync(to_host=ToHost(**{switch: True}))), objects()
    assert on.keys() - off.keys() == {("RoleBinding", f"nidus-engine-{kind}")}
    made = on["RoleBinding", f"nidus-engine-{kind}"]
    assert made["roleRef"]["name"] == f"nidus-engine-{kind}"
    assert made["subjects"] == off["RoleBinding", "nidus-engine"]["subjects"]


def test_a_controller_without_an_account_gets_no_binding() -> None:
    assert ("RoleBinding", "nidus-tenant") not in objects(HostFacts("local"))


# Network policies


def network(name: str, **fields: Any) -> dict[str, Any]:
    found: dict[str, Any] = objects(**fields)["NetworkPolicy", name]["spec"]
    return found


def test_everything_is_denied_by_default() -> None:
    assert network("nidus-default") == {
        "podSelector": {},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": None,
        "egress": None,
    }


def test_without_isolation_there_are_no_network_policies() -> None:
    assert not [kind for kind, _ in objects(isolation=Isolation(network_policy=False)) if kind == "NetworkPolicy"]


def test_a_tenants_labels_open_nothing() -> None:
    """The engine copies a tenant's labels to the host: `app: vcluster` on a tenant's pod must not make it a control plane."""
    ours = [{"key": "vcluster.loft.sh/managed-by", "operator": "DoesNotExist"}]
    for name in ("nidus-engine", "nidus-store"):
        assert network(name, control_plane=ETCD)["podSelector"]["matchExpressions"] == ours
    peers = [peer for rule in network("nidus-store", control_plane=ETCD)["ingress"] for peer in rule["from"]]
    assert [peer["podSelector"]["matchExpressions"] for peer in peers] == [ours] * 3


def test_the_inner_control_plane_answers_its_namespace_and_the_controller() -> None:
    (rule,) = network("nidus-engine")["ingress"]
    controller = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "nidus-system"}}}
    assert rule == {"from": [{"podSelector": {}}, controller], "ports": [{"port": 8443, "protocol": "TCP"}]}


@pytest.mark.parametrize("kind", ["LoadBalancer", "NodePort", "Ingress", "TLSRoute"])
def test_an_exposed_control_plane_answers_everybody(kind: str) -> None:
    (rule,) = network("nidus-engine", expose=Expose(type=kind, host="a.example.com"))["ingress"]
    assert rule == {"ports": [{"port": 8443, "protocol": "TCP"}]}


def test_ingress_from_opens_those_namespaces_only() -> None:
    isolation = Isolation(ingress_from=(NamespaceRef(namespace="ingress-nginx"),))
    edge = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress-nginx"}}}
    expose = Expose(type="Ingress", host="a.example.com")
    (rule,) = network("nidus-engine", isolation=isolation, expose=expose)["ingress"]
    assert edge in rule["from"]
    (workload,) = network("nidus-workload", isolation=isolation)["ingress"]
    assert edge in workload["from"]


METADATA = (
    *("169.254.169.254", "169.254.170.2", "169.254.170.23", "169.254.0.23", "169.254.42.42"),
    *("168.63.129.16", "100.100.100.200", "192.0.0.192"),
    *("fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "fd00:c1::a9fe:a9fe", "fd00:42::42", "fe80::a9fe:a9fe"),
    *("64:ff9b::a9fe:a9fe", "64:ff9b::a83f:8110", "64:ff9b::6464:64c8", "64:ff9b::c000:c0"),
    *("64:ff9b:1::a9fe:a9fe", "64:ff9b:1:fffe::1"),
)


def reaches(spec: dict[str, Any], address: str, port: int) -> bool:
    """Whether an egress rule of a NetworkPolicy lets TCP pass to this address outside the cluster."""
    return any(
        ("to" not in rule or any(_holds(peer, address) for peer in rule["to"]))
        and ("ports" not in rule or any(one["port"] == port and one["protocol"] == "TCP" for one in rule["ports"]))
        for rule in spec["egress"] or ()
    )


def _holds(peer: dict[str, Any], address: str) -> bool:
    blocks = [peer["ipBlock"]] if "ipBlock" in peer else []
    where = ip_address(address)
    return any(
        where in ip_network(block["cidr"]) and not any(where in ip_network(part) for part in block.get("except", ()))
        for block in blocks
    )


def shipped() -> dict[str, Any]:
    (found,) = [one["spec"] for one in installed.of("NetworkPolicy")]
    return dict(found)


@pytest.mark.parametrize("address", METADATA)
def test_nobody_reaches_a_metadata_service(address: str) -> None:
    for (kind, name), obj in objects(control_plane=ETCD).items():
        if kind == "NetworkPolicy":
            assert not reaches(obj["spec"], address, 80), name
    assert not reaches(network("nidus-workload"), address, 443)
    assert "Egress" in shipped()["policyTypes"]
    assert not reaches(shipped(), address, 80)


@pytest.mark.parametrize("address", ["203.0.113.1", "2001:db8::1", "64:ff9b::cb00:7101"])
def test_the_internet_is_reached(address: str) -> None:
    assert all(
        reaches(spec, address, port) for spec in (network("nidus-workload"), shipped()) for port in (22, 80, 443)
    )


@pytest.mark.parametrize(
    "address", ["10.1.2.3", "100.64.0.1", "172.31.0.1", "192.168.1.1", "127.0.0.1", "fd12::1", "64:ff9b::a01:203"]
)
def test_workloads_reach_no_private_address(address: str) -> None:
    assert not reaches(network("nidus-workload"), address, 80)


def test_every_exception_lies_in_its_block() -> None:
    """The API server refuses an exception that is not strictly inside its block."""
    specs = [network("nidus-workload"), shipped()]
    blocks = [
        peer["ipBlock"] for one in specs for rule in one["egress"] for peer in rule.get("to", ()) if "ipBlock" in peer
    ]
    for block in blocks:
        outer = ip_network(block["cidr"])
        for part in map(ip_network, block.get("except", ())):
            assert (part.version, part.prefixlen > outer.prefixlen) == (outer.version, True)


def test_the_store_talks_to_itself_and_its_control_plane() -> None:
    assert ("NetworkPolicy", "nidus-store") not in objects()
    store = network("nidus-store", control_plane=ETCD)
    assert [port["port"] for rule in store["ingress"] for port in rule["ports"]] == [2379, 2380]


# Quantities


@pytest.mark.parametrize(
    ("text", "number"),
    [("1", 1), ("250m", Fraction(1, 4)), ("1.5Gi", 3 << 29), ("1k", 1000), ("1e3", 1000), ("5M", 5_000_000), ("0", 0)],
)
def test_quantities_are_exact(text: str, number: Fraction | int) -> None:
    assert quantity.parse(text) == number


@pytest.mark.parametrize("text", ["", "1 Gi", "Gi", "1KI", "0x1", "1e", "--1", ".", "9" * 80])
def test_what_is_no_quantity(text: str) -> None:
    with pytest.raises(ValueError, match="not a quantity"):
        quantity.parse(text)


AMOUNT = json.loads((Path(__file__).parents[1] / "schemas/NestedCluster.schema.json").read_text())["definitions"][
    "quota"
]["properties"]["cpu"]


@given(st.from_regex(AMOUNT["pattern"].replace("$", r"\Z")).filter(lambda text: len(text) <= AMOUNT["maxLength"]))
@example(".5")
@example("9" * AMOUNT["maxLength"])
def test_every_amount_that_a_document_may_hold_is_read(text: str) -> None:
    assert quantity.parse(text) == min(units.quantity(text), quantity.MOST)


@given(st.fractions(min_value=0, max_value=quantity.MOST))
@example(Fraction(10**15) + Fraction(1, 3))
def test_printed_amounts_are_never_less(value: Fraction) -> None:
    assert 0 <= quantity.parse(quantity.cores(value)) - value < Fraction(1, 1000)
    assert 0 <= quantity.parse(quantity.size(value)) - value < 1


@given(st.integers(min_value=0))
def test_what_is_too_large_is_the_most_that_the_api_server_keeps(more: int) -> None:
    for text in (quantity.cores(Fraction(quantity.MOST + more)), quantity.size(Fraction(quantity.MOST + more))):
        assert text == "9223372036854775807"
        assert quantity.parse(text) == quantity.MOST


@given(st.integers(1, 7), st.sampled_from(["sqlite", "etcd"]))
def test_more_replicas_never_need_less(replicas: int, store: str) -> None:
    def of(count: int) -> overhead.Overhead:
        plane = ControlPlane(replicas=count, store=Store(type=store))
        spec = ClusterSpec(control_plane=plane)
        return overhead.of(NestedCluster(api_version="x", kind="y", metadata=Metadata(name="a"), spec=spec))

    less, more = of(replicas), of(replicas + 1)
    assert less.pods < more.pods
    assert all(more.requests[name] > less.requests[name] for name in less.requests)


# What admission reads of the namespace


def test_the_namespace_says_what_is_the_clusters_own() -> None:
    scheduling = Scheduling(
        tolerations=(
            Toleration(key="dedicated", value="a", effect="NoSchedule"),
            Toleration(key="spot", operator="Exists"),
        ),
        priority_class_name="tenants",
    )
    hosts = ("a.example.com", "b.example.org")
    assert notes(scheduling=scheduling, sync=Sync(to_host=ToHost(ingresses=True, ingress_hosts=hosts))) == {
        "nidus.dev/ingress-hosts": "a.example.com,b.example.org",
        "nidus.dev/tolerations": "dedicated=a:NoSchedule,spot:",
        "nidus.dev/priority-class": "tenants",
    }
    assert set(notes(sync=Sync(to_host=ToHost(ingress_hosts=hosts))).values()) == {""}


def notes(**fields: Any) -> Any:
    cluster = NestedCluster(
        api_version="nidus.dev/v1alpha1", kind="NestedCluster", metadata=Metadata(name="a"), spec=ClusterSpec(**fields)
    )
    return host_namespace(cluster, NAMESPACE, RULES)["metadata"].get("annotations")


def test_the_policy_for_networks_has_the_addresses_of_the_tenants_own() -> None:
    text = (Path(__file__).parents[1] / "deploy/rbac.yaml").read_text()
    (spec,) = [
        one["spec"]
        for one in yaml.safe_load_all(text)
        if one and one["metadata"]["name"] == POLICY and "variables" in one["spec"]
    ]
    lists = {one["name"]: one["expression"] for one in spec["variables"]}
    assert (json.loads(lists["private"]), json.loads(lists["private6"])) == (list(PRIVATE), list(PRIVATE_6))
