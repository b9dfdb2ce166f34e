"""The admission policies of deploy/rbac.yaml for the pods of engines: what would reach past the cluster's own namespace, stop others
or outlive the cluster (decision 0018)."""

import pytest

from devhost.api import ApiError, Client, path_of
from devhost.hosting import TestHost
from tests.host.test_admission import Body, account, almighty, made, refused, sent_until_refused, tenant
from tests.host.test_engines import PODS, engine, fenced, noted, pod

__all__ = ["account", "almighty", "engine", "fenced", "tenant"]
pytestmark = [pytest.mark.host, pytest.mark.xdist_group("empty_host")]


def limited(key: str, amount: str) -> Body:
    limits = {"resources": {"limits": {key: amount}}}
    return {"containers": [{**PODS, **limits}], "tolerations": [{"key": key, "operator": "Exists"}]}


def test_a_resource_of_nothing_tolerates_nothing(fenced: Client, tenant: str) -> None:
    for key in ("example.com/dedicated", "node-role.kubernetes.io/control-plane"):
        assert "what it tolerates" in refused(fenced, pod(tenant, **limited(key, "0")))
    fenced.create(pod(tenant, **limited("example.com/gpu", "1")))


EVERYWHERE = {"labelSelector": {}, "topologyKey": "kubernetes.io/os"}


@pytest.mark.parametrize("kind", ["podAffinity", "podAntiAffinity"])
def test_affinity_is_to_pods_of_its_own_namespace(fenced: Client, tenant: str, kind: str) -> None:
    """Required anti-affinity holds both ways: one pod would keep all others of the host from its domain."""
    for more in ({"namespaceSelector": {}}, {"namespaces": ["kube-system"]}, {"namespaces": [tenant, "default"]}):
        for asked in (
            {"requiredDuringSchedulingIgnoredDuringExecution": [EVERYWHERE | more]},
            {
                "preferredDuringSchedulingIgnoredDuringExecution": [
                    {"weight": 1, "podAffinityTerm": EVERYWHERE | more},
                ],
            },
        ):
            assert "own namespace" in refused(fenced, pod(tenant, affinity={kind: asked}))
    own = {"requiredDuringSchedulingIgnoredDuringExecution": [EVERYWHERE, EVERYWHERE | {"namespaces": [tenant]}]}
    fenced.create(pod(tenant, affinity={kind: own}))


MOUNTED: tuple[Body, ...] = (
    {"nfs": {"server": "10.0.0.5", "path": "/"}},
    {"iscsi": {"targetPortal": "10.0.0.5:3260", "iqn": "iqn.2001-04.com.example:a", "lun": 0}},
    {"csi": {"driver": "nfs.csi.k8s.io", "volumeAttributes": {"server": "10.0.0.5", "share": "/"}}},
    {"cephfs": {"monitors": ["10.0.0.5"]}},
    {"flexVolume": {"driver": "a/b"}},
    {"gitRepo": {"repository": "http://10.0.0.5/"}},
)


@pytest.mark.parametrize("volume", MOUNTED, ids=lambda one: next(iter(one)))
def test_the_node_mounts_nothing_of_the_network(fenced: Client, tenant: str, volume: Body) -> None:
    """A mount is made by the node, beside every network policy."""
    assert "no volume that its node mounts" in refused(fenced, pod(tenant, volumes=[{"name": "data", **volume}]))


def test_the_volumes_of_a_namespace_pass(fenced: Client, tenant: str) -> None:
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    sources: tuple[Body, ...] = (
        {"emptyDir": {}},
        {},
        {"configMap": {"name": "a"}},
        {"secret": {"secretName": "a"}},
        {"downwardAPI": {"items": [{"path": "a", "fieldRef": {"fieldPath": "metadata.name"}}]}},
        {"projected": {"sources": [{"configMap": {"name": "a"}}]}},
        {"ephemeral": {"volumeClaimTemplate": {"spec": claim}}},
        {"ephemeral": {"volumeClaimTemplate": {"spec": {**claim, "storageClassName": "fast"}}}},
    )
    fenced.create(pod(tenant, volumes=[{"name": f"v{index}", **one} for index, one in enumerate(sources)]))


BETA = "volume.beta.kubernetes.io/storage-class"
STANDING: tuple[tuple[Body, dict[str, str]], ...] = (
    ({"volumeName": "finance"}, {}),
    ({"selector": {"matchLabels": {"team": "finance"}}}, {}),
    ({"storageClassName": ""}, {}),
    ({"storageClassName": "fast"}, {BETA: ""}),
)


def test_a_claim_takes_no_volume_that_stands_already(fenced: Client, tenant: str) -> None:
    """A volume that somebody prepared is free until it is claimed, by whoever comes first."""
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    for more, notes in STANDING:
        body = noted(made("v1", "PersistentVolumeClaim", tenant, spec={**claim, **more}), **notes)
        assert "for a new volume" in refused(fenced, body, by="nidus-engine-claims")
        template = {"metadata": {"annotations": notes}, "spec": {**claim, **more}}
        volumes = [{"name": "data", "ephemeral": {"volumeClaimTemplate": template}}]
        assert "for a new volume" in refused(fenced, pod(tenant, volumes=volumes))
    fenced.create(made("v1", "PersistentVolumeClaim", tenant, spec={**claim, "storageClassName": "fast"}))
    with pytest.raises(ApiError, match="for a new volume"):
        fenced.patch("v1", "PersistentVolumeClaim", "one", tenant, {"spec": {"volumeName": "finance"}})
    made_by_class = {"spec": {"volumeName": "pvc-0c4f1f2a-6a5e-4a37-9a53-0d0b1f5f3c11"}}
    fenced.patch("v1", "PersistentVolumeClaim", "one", tenant, made_by_class)


def test_a_pod_ends(fenced: Client, tenant: str) -> None:
    assert "ends within an hour" in refused(fenced, pod(tenant, terminationGracePeriodSeconds=2**31))
    fenced.create(pod(tenant, terminationGracePeriodSeconds=3600))


def test_a_pod_is_deleted_within_an_hour(empty_host: TestHost, fenced: Client, tenant: str) -> None:
    """The deletion of a namespace waits for the grace period of a pod that is being deleted already."""
    fenced.create(pod(tenant, schedulerName="nobody"))
    target = {"apiVersion": "v1", "kind": "Node", "name": "node-nobody-has"}
    bound = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "one", "namespace": tenant}, "target": target}
    empty_host.client.request("POST", path_of("v1", "Pod", tenant, "one", "binding"), bound)
    with pytest.raises(ApiError, match="grace period of an hour"):
        fenced.delete("v1", "Pod", "one", tenant, grace=1 << 31)
    assert fenced.delete("v1", "Pod", "one", tenant, grace=3600)
    empty_host.client.delete("v1", "Pod", "one", tenant, grace=0)


def test_a_pod_asks_no_other_network(fenced: Client, tenant: str) -> None:
    for key in ("k8s.v1.cni.cncf.io/networks", "v1.multus-cni.io/default-network", "cni.projectcalico.org/ipAddrs"):
        assert "asks the network" in refused(fenced, noted(pod(tenant), **{key: "kube-system/host"}))
    fenced.create(noted(pod(tenant), **{"example.com/note": "a"}))


def test_a_pod_asks_the_runtime_of_its_node_for_nothing(fenced: Client, tenant: str) -> None:
    for key in (
        *("io.katacontainers.config.hypervisor.path", "io.kubernetes.cri-o.Devices", "run.oci.handler"),
        *("cdi.k8s.io/gpu", "devices.nri.io/container.one", "dev.gvisor.flag.network", "iam.amazonaws.com/role"),
    ):
        assert "asks the runtime" in refused(fenced, noted(pod(tenant), **{key: "a"}))


@pytest.mark.parametrize("subresource", ["status", "resize", "ephemeralcontainers"])
def test_a_subresource_changes_no_more_of_a_pod_than_the_pod(fenced: Client, tenant: str, subresource: str) -> None:
    """Whoever writes the status of a pod writes its annotations too, and grows the object."""
    fenced.create(pod(tenant, schedulerName="nobody"))
    key = "k8s.v1.cni.cncf.io/networks"
    try:
        told = {"metadata": {"annotations": {key: "kube-system/host"}}}
        after = fenced.patch("v1", "Pod", "one", tenant, told, subresource=subresource)
    except ApiError as error:
        assert "asks the network" in str(error)
    else:
        assert key not in after["metadata"].get("annotations", {})


LARGE = "x" * 300_000
GROWN = {
    "status": {"status": {"conditions": [{"type": "example.com/gate", "status": "True", "message": LARGE}]}},
    "ephemeralcontainers": {
        "spec": {"ephemeralContainers": [{"name": "two", "image": "a", "env": [{"name": "A", "value": LARGE}]}]}
    },
}


@pytest.mark.parametrize("subresource", GROWN)
def test_a_pod_does_not_grow_by_a_subresource(fenced: Client, tenant: str, subresource: str) -> None:
    fenced.create(pod(tenant, schedulerName="nobody"))
    path = path_of("v1", "Pod", tenant, "one", subresource)
    with pytest.raises(ApiError, match="no object of this size"):
        fenced.request("PATCH", path, GROWN[subresource], patch="strategic")


SAID: tuple[Body, ...] = (
    {"podIP": "168.63.129.16", "podIPs": [{"ip": "168.63.129.16"}]},
    {"hostIP": "10.0.0.1", "hostIPs": [{"ip": "10.0.0.1"}]},
    {"phase": "Succeeded"},
    {"nominatedNodeName": "node-1"},
    {"conditions": [{"type": "PodResizePending", "status": "True", "reason": "Infeasible"}]},
    {"containerStatuses": [{"name": "one", "ready": True, "restartCount": 0, "image": "a", "imageID": "b"}]},
)


def test_what_the_kubelet_says_of_a_pod_is_not_the_engines_to_say(fenced: Client, tenant: str) -> None:
    """Endpoints follow a pod's address, a quota counts nothing of a pod that is over, and neither does the scheduler."""
    fenced.create(pod(tenant, schedulerName="nobody", readinessGates=[{"conditionType": "example.com/gate"}]))
    path = path_of("v1", "Pod", tenant, "one") + "/status"
    said = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one", "namespace": tenant}}
    for status in SAID:
        assert "readiness gates" in sent_until_refused(fenced, "PATCH", path, {**said, "status": status})
    gate = {"status": {"conditions": [{"type": "example.com/gate", "status": "True"}]}}
    fenced.patch("v1", "Pod", "one", tenant, gate, subresource="status")


LABEL = "vcluster.loft.sh/managed-by"


def test_a_pod_has_the_label_of_its_engine(almighty: Client, fenced: Client, tenant: str) -> None:
    """Without it, a pod would run while its cluster sleeps, and nobody would be charged for it."""
    body = pod(tenant, schedulerName="nobody")
    for labels in (None, {"app": "vcluster"}, {LABEL: "other"}, {LABEL: ""}):
        odd = {**body, "metadata": {**body["metadata"], "labels": labels}}
        assert "is labelled vcluster.loft.sh/managed-by" in refused(fenced, odd)
    fenced.create(body)
    for subresource in ("", "status"):
        for value in (None, "other"):
            with pytest.raises(ApiError, match="by that it sleeps and is counted"):
                fenced.patch(
                    "v1", "Pod", "one", tenant, {"metadata": {"labels": {LABEL: value}}}, subresource=subresource
                )
    fenced.patch("v1", "Pod", "one", tenant, {"metadata": {"labels": {"a": "b"}}})
