"""Names, labels and values between a nested cluster and the host; pure."""

import pytest

from devhost.nested import contract, real, translate
from devhost.nested.contract import Engine
from devhost.nested.syncer import shown_status
from devhost.nested.translate import Tenancy

ENGINE = Engine("vcluster-team-a", "team-a")
SERVICE = {
    "metadata": {"uid": "u1"},
    "spec": {"clusterIP": "10.96.0.7"},
    "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}},
}


def pod(**spec: object) -> dict[str, object]:
    meta = {"name": "web", "namespace": "shop", "uid": "u2", "labels": {"app": "web"}}
    return {"metadata": meta, "spec": {"containers": [{"name": "web", "image": "web"}], **spec}}


def test_long_names_are_cut_to_52_and_a_hash() -> None:
    assert translate.host_name("web", "shop", "team-a") == "web-x-shop-x-team-a"
    long = translate.host_name("w" * 40, "shop", "team-a-of-a-large-company")
    assert len(long) == 63 and long[52] == "-" and long.startswith("w" * 40 + "-x-shop-x-")
    assert long != translate.host_name("w" * 40, "shop", "team-b-of-a-large-company")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("pool=tenants:NoSchedule", {"key": "pool", "operator": "Equal", "value": "tenants", "effect": "NoSchedule"}),
        ("pool:NoExecute", {"key": "pool", "operator": "Exists", "effect": "NoExecute"}),
        ("pool", {"key": "pool", "operator": "Exists"}),
        ("*", {"operator": "Exists"}),
    ],
)
def test_tolerations_are_read_as_the_engine_does(text: str, wanted: dict[str, str]) -> None:
    assert translate.toleration(text) == wanted


@pytest.mark.parametrize(
    ("named", "labels", "rules"),
    [
        ({}, {"vcluster.loft.sh/namespace": "shop"}, []),
        ({"namespaceSelector": {}}, {}, []),
        ({"namespaces": ["a"]}, {}, [{"key": "vcluster.loft.sh/namespace", "operator": "In", "values": ["a"]}]),
        ({"namespaces": ["a"], "namespaceSelector": {}}, {}, []),
    ],
)
def test_affinity_is_to_pods_of_the_tenant_and_names_no_namespace_of_the_host(
    named: dict[str, object], labels: dict[str, str], rules: list[dict[str, object]]
) -> None:
    """As translatePodAffinityTerm of the engine: its host's policies refuse what names a namespace."""
    term = {"topologyKey": "zone", "labelSelector": {"matchLabels": {"app": "web"}}, **named}
    required = "requiredDuringSchedulingIgnoredDuringExecution"
    preferred = "preferredDuringSchedulingIgnoredDuringExecution"
    affinity = {"podAntiAffinity": {required: [term], preferred: [{"weight": 1, "podAffinityTerm": term}]}}
    found = translate.pod(pod(affinity=affinity), Tenancy(ENGINE, {}, SERVICE))["spec"]["affinity"]["podAntiAffinity"]
    selector: dict[str, object] = {"matchLabels": {"app": "web", "vcluster.loft.sh/managed-by": "team-a", **labels}}
    wanted = {"topologyKey": "zone", "labelSelector": selector | ({"matchExpressions": rules} if rules else {})}
    assert found == {required: [wanted], preferred: [{"weight": 1, "podAffinityTerm": wanted}]}


def test_pods_lose_their_token_and_gain_the_policies() -> None:
    config = {
        "sync": {
            "toHost": {"pods": {"priorityClassName": "low", "enforceTolerations": ["pool=tenants:NoSchedule"]}},
            "fromHost": {"nodes": {"selector": {"labels": {"pool": "tenants"}}}},
        }
    }
    volumes = [
        {"name": "token", "projected": {"sources": []}},
        {"name": "data", "persistentVolumeClaim": {"claimName": "data"}},
    ]
    inner = pod(volumes=volumes, nodeName="n", serviceAccountName="web", priority=5, nodeSelector={"disk": "ssd"})
    outer = translate.pod(inner, Tenancy(ENGINE, config, SERVICE))
    spec, meta = outer["spec"], outer["metadata"]
    assert spec["volumes"] == [
        {"name": "token", "emptyDir": {}},
        {"name": "data", "persistentVolumeClaim": {"claimName": "data-x-shop-x-team-a"}},
    ]
    assert spec["serviceAccountName"] == "vc-workload-team-a" and spec["automountServiceAccountToken"] is False
    assert spec["nodeSelector"] == {"disk": "ssd", "pool": "tenants"} and spec["priorityClassName"] == "low"
    assert [one["key"] for one in spec["tolerations"]] == ["pool"]
    assert "nodeName" not in spec and "priority" not in spec
    assert meta["labels"] == {
        "app": "web",
        "vcluster.loft.sh/managed-by": "team-a",
        "vcluster.loft.sh/namespace": "shop",
    }
    assert translate.origin(outer) == ("shop", "web")


def test_certificate_names_follow_values_and_service() -> None:
    config = {"controlPlane": {"proxy": {"extraSANs": ["a.example.com", "198.51.100.9"]}, "ingress": {"host": ""}}}
    names, addresses = contract.certificate_names(ENGINE, config, SERVICE)
    assert {"team-a", "team-a.vcluster-team-a", "localhost", "a.example.com"} <= set(names) and "" not in names
    assert set(addresses) == {"10.96.0.7", "192.0.2.1", "127.0.0.1", "198.51.100.9"}


def test_only_the_engine_own_pods_are_engines() -> None:
    labels = {"app": "vcluster", "release": "team-a"}
    meta = {"namespace": "vcluster-team-a", "labels": labels}
    assert contract.engine_of({"metadata": meta}) == ENGINE
    forged = meta | {"labels": labels | {"vcluster.loft.sh/managed-by": "team-a"}}
    assert contract.engine_of({"metadata": forged}) is None
    assert contract.engine_of({"metadata": {"namespace": "vcluster-team-a"}}) is None


def test_a_deployed_etcd_has_another_claim() -> None:
    etcd = {"controlPlane": {"backingStore": {"etcd": {"deploy": {"enabled": True}}}}}
    assert (contract.claim_of(ENGINE, {}), contract.store_of({})) == ("data-team-a-0", "embedded-database")
    memory = {"controlPlane": {"statefulSet": {"persistence": {"volumeClaim": {"enabled": False}}}}}
    assert contract.claim_of(ENGINE, memory) is None
    assert (contract.claim_of(ENGINE, etcd), contract.store_of(etcd)) == ("data-team-a-etcd-0", "deployed-etcd")


def test_the_real_engine_is_kept_on_loopback() -> None:
    config = {"controlPlane": {"proxy": {"extraSANs": ["a"]}, "coredns": {}}, "telemetry": {"enabled": True}}
    adjusted = real.adjusted(config, 4711)
    assert adjusted["controlPlane"]["proxy"] == {"extraSANs": ["a"], "bindAddress": "127.0.0.1", "port": 4711}
    assert adjusted["telemetry"] == {"enabled": False} and "coredns" in adjusted["controlPlane"]
    assert config["telemetry"] == {"enabled": True}


def test_22_a_pod_keeps_the_class_of_its_own_resources() -> None:
    """A LimitRange of the host gives requests to a pod that has none, and the server refuses another class inside."""
    outer = {"status": {"phase": "Running", "qosClass": "Burstable"}}
    assert shown_status({"status": {"qosClass": "BestEffort"}}, outer) == {"phase": "Running", "qosClass": "BestEffort"}
    assert shown_status({"status": {}}, outer) == outer["status"]
    assert shown_status({"status": {"qosClass": "BestEffort"}}, {}) == {}
