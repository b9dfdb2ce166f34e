"""The admission policies of deploy/rbac.yaml for engines: in their own host namespace they write nothing that is ours, and take
nothing of the host that is not their cluster's (A9, decision 0018).

The engine here has every right in its namespace, more than Role nidus-engine: what is refused, the policy refuses.
"""

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from devhost.account import Account
from devhost.api import ApiError, Client
from devhost.hosting import TestHost
from reconciler.engine.counts import counts
from reconciler.model import Metadata, NestedCluster, Quota, replace
from reconciler.model.networks import PRIVATE
from tests.host.test_admission import (
    RBAC,
    SECONDS,
    Body,
    account,
    almighty,
    guard,
    made,
    refused,
    tenant,
    workload,
)
from tests.host.test_admission import ingress as to_service
from tests.host.test_people import until_allowed
from tests.host.test_rbac import wait_until

__all__ = ["account", "almighty", "tenant"]
pytestmark = [pytest.mark.host, pytest.mark.xdist_group("empty_host")]
OURS = {"app.kubernetes.io/managed-by": "nidus", "nidus.dev/cluster": "a"}
WHY = "labelled as an object of nidus"


@pytest.fixture
def engine(empty_host: TestHost, account: Account, tenant: str) -> Iterator[Client]:
    """The engine's account once it may do anything in its namespace and the policy is in force."""
    who = f"system:serviceaccount:{tenant}:vc-{account.name}-a"
    role = {"apiGroup": RBAC, "kind": "ClusterRole", "name": "cluster-admin"}
    binding = made(f"{RBAC}/v1", "RoleBinding", tenant, roleRef=role)
    binding["subjects"] = [{"kind": "User", "apiGroup": RBAC, "name": who}]
    empty_host.client.create(binding)
    with Client(replace(empty_host.client.access, act_as=who)) as client:
        until_allowed(client, made("v1", "ConfigMap", tenant))
        refused(client, labelled(made("v1", "ConfigMap", tenant)), by="nidus-engines")
        yield client


def labelled(body: Body) -> Body:
    changed = copy.deepcopy(body)
    changed["metadata"]["labels"] = dict(OURS)
    return changed


def test_what_guards_the_tenant_is_not_its_to_change(almighty: Client, engine: Client, tenant: str) -> None:
    body = labelled(guard(tenant))
    almighty.create(body)
    assert WHY in refused(engine, {**body, "spec": {**body["spec"], "policyTypes": ["Egress"]}}, "PATCH")
    assert WHY in refused(engine, labelled(made("v1", "ConfigMap", tenant)))
    assert WHY in refused(engine, body, "DELETE")
    bare: Any = copy.deepcopy(body)
    bare["metadata"]["labels"] = {"vcluster.loft.sh/managed-by": "a"}
    assert WHY in refused(engine, bare, "PATCH")


def test_it_keeps_what_it_keeps_itself(almighty: Client, engine: Client, tenant: str) -> None:
    service = labelled(made("v1", "Service", tenant, spec={"ports": [{"port": 443}]}))
    control_plane = labelled(workload(tenant))
    control_plane["spec"]["template"]["metadata"]["annotations"] = {"example.com/checksum": "a"}
    almighty.create(service)
    almighty.create(control_plane)
    note = {"metadata": {"annotations": {"vcluster.loft.sh/service-cidr": "10.0.0.0/16"}}}
    engine.patch("v1", "Service", "one", tenant, note)
    renewed = {"metadata": {"annotations": {"vcluster.loft.sh/cert-rotation-at": "now"}}}
    engine.patch("apps/v1", "StatefulSet", "one", tenant, {"spec": {"template": renewed}})
    engine.create(made("v1", "ConfigMap", tenant))
    wanted = {**service, "spec": {"ports": [{"port": 443}], "externalName": "a.example.com.", "type": "ExternalName"}}
    assert WHY in refused(engine, wanted, "PATCH")
    control_plane["spec"]["template"]["spec"]["containers"][0]["image"] = "b"
    assert WHY in refused(engine, control_plane, "PATCH")
    more: tuple[tuple[Body, Body], ...] = (
        (control_plane, {"spec": {"updateStrategy": {"type": "OnDelete", "rollingUpdate": None}}}),
        (control_plane, {"spec": {"minReadySeconds": 2147483647}}),
        (control_plane, {"spec": {"ordinals": {"start": 7}}}),
        (
            control_plane,
            {"spec": {"template": {"metadata": {"annotations": {"k8s.v1.cni.cncf.io/networks": "kube-system/host"}}}}},
        ),
        (control_plane, {"spec": {"template": {"metadata": {"annotations": None}}}}),
        (control_plane, {"metadata": {"annotations": {"nidus.dev/layer": "b"}}}),
        (service, {"metadata": {"annotations": {"external-dns.alpha.kubernetes.io/ttl": "1"}}}),
        (
            control_plane,
            {"spec": {"persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Delete", "whenScaled": "Retain"}}},
        ),
        (service, {"metadata": {"finalizers": ["example.com/never"]}}),
    )
    for body, change in more:
        with pytest.raises(ApiError, match=f"{WHY}|publishes host names"):  # the server tells one policy of several
            engine.patch(body["apiVersion"], body["kind"], "one", tenant, change)


def test_it_locks_no_secret_of_ours(almighty: Client, engine: Client, tenant: str) -> None:
    """An immutable Secret could not be changed by the next version of the control plane."""
    almighty.create(labelled(made("v1", "Secret", tenant, stringData={"a": "b"})))
    engine.patch("v1", "Secret", "one", tenant, {"metadata": {"annotations": {"vcluster.loft.sh/store": "a"}}})
    with pytest.raises(ApiError, match=WHY):
        engine.patch("v1", "Secret", "one", tenant, {"immutable": True})


def test_no_object_of_its_own_is_copied_to_another_namespace(engine: Client, tenant: str) -> None:
    """What the tools of a host copy by annotations would be written, and read, outside of its namespace."""
    for key in (
        *(
            "replicator.v1.mittwald.de/replicate-to",
            "replicator.v1.mittwald.de/replicate-from",
            "kubed.appscode.com/sync",
        ),
        *("reflector.v1.k8s.emberstack.com/reflection-auto-enabled", "reflector.v1.k8s.emberstack.com/reflects"),
    ):
        for kind in ("Secret", "ConfigMap"):
            assert "copied to no other" in refused(engine, noted(made("v1", kind, tenant), **{key: "kube-system/a"}))


def test_its_objects_are_bounded_in_bytes(empty_host: TestHost, engine: Client, tenant: str) -> None:
    """Counts alone bound no bytes of the host's etcd."""
    why = "no object of this size"
    for kind, field in (("ConfigMap", "data"), ("Secret", "stringData")):
        for number, characters in enumerate((900_000, 500_000)):
            body = made("v1", kind, tenant, **{field: {"a": "x" * characters}})
            if number == 0:
                assert why in refused(engine, body)
        engine.create(body)
    wide = made("v1", "ConfigMap", tenant, data={"a": "\N{GRINNING FACE}" * 200_000})  # of four bytes each
    wide["metadata"]["name"] = "wide"
    assert why in refused(engine, wide)
    large = made("v1", "ConfigMap", tenant, data={"a": "x" * 900_000})
    large["metadata"]["name"] = "large"
    empty_host.client.create(large)
    engine.patch("v1", "ConfigMap", "large", tenant, {"data": {"a": "x" * 899_000}})
    with pytest.raises(ApiError, match=why):
        engine.patch("v1", "ConfigMap", "large", tenant, {"data": {"b": "x" * 2000}})
    for body in (
        made("v1", "ServiceAccount", tenant, automountServiceAccountToken=False),
        made("v1", "Service", tenant, spec={"ports": [{"port": 443}]}),
        made("coordination.k8s.io/v1", "Lease", tenant, spec={"holderIdentity": "one"}),
    ):
        body["metadata"]["labels"] = {f"label-{number}": "x" * 60 for number in range(4000)}
        assert why in refused(engine, body)


def test_it_keeps_nothing_from_being_deleted(engine: Client, tenant: str) -> None:
    for kind in ("ConfigMap", "Secret", "ServiceAccount"):
        body = made("v1", kind, tenant)
        body["metadata"]["finalizers"] = ["example.com/never"]
        assert "adds no finalizer" in refused(engine, body)
    engine.create(made("v1", "ConfigMap", tenant))
    with pytest.raises(ApiError, match="adds no finalizer"):
        engine.patch("v1", "ConfigMap", "one", tenant, {"metadata": {"finalizers": ["kubernetes.io/never"]}})
    snapshots = "vcluster.loft.sh/snapshot-controller"  # of its requests for snapshots, which others make
    with pytest.raises(ApiError, match="adds no finalizer"):
        engine.patch("v1", "ConfigMap", "one", tenant, {"metadata": {"finalizers": [snapshots, "example.com/never"]}})
    with pytest.raises(ApiError, match="adds no finalizer"):
        engine.patch("v1", "ConfigMap", "one", tenant, {"metadata": {"finalizers": [snapshots]}})
    marked = {"vcluster.loft.sh/snapshot-request": ""}  # by which nidus finds it again
    engine.patch("v1", "ConfigMap", "one", tenant, {"metadata": {"finalizers": [snapshots], "labels": marked}})
    with pytest.raises(ApiError, match="adds no finalizer"):
        engine.patch("v1", "ConfigMap", "one", tenant, {"metadata": {"labels": dict.fromkeys(marked)}})
    engine.patch("v1", "ConfigMap", "one", tenant, {"metadata": {"finalizers": []}})
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    engine.create(made("v1", "PersistentVolumeClaim", tenant, spec=claim))  # the admission of Kubernetes adds one
    engine.patch("v1", "PersistentVolumeClaim", "one", tenant, {"metadata": {"labels": {"a": "b"}}})


# What an engine asks of its host. Each test refuses what would leave the cluster, and lets pass what the engine needs.

PODS = {"image": "registry.k8s.io/pause:3.10", "name": "one"}
MINE = {
    "nidus.dev/ingress-hosts": "a.example.com,b.example.org",
    "nidus.dev/tolerations": "dedicated=a:NoSchedule,spot:,gpu:NoSchedule",
    "nidus.dev/priority-class": "tenants",
}


@pytest.fixture
def fenced(empty_host: TestHost, account: Account, engine: Client, tenant: str) -> Client:
    """The engine with a namespace that says what is its cluster's own."""
    empty_host.client.patch("v1", "Namespace", tenant, "", {"metadata": {"annotations": MINE}})
    probes = {
        "pods": pod(tenant, nodeName="node"),
        "services": made("v1", "Service", tenant, spec={"ports": [{"port": 1}], "externalIPs": ["192.0.2.1"]}),
        "ingresses": ingress(tenant, "c.example.com"),
        "networks": egress(tenant, [{}]),
    }
    for name, body in probes.items():
        refused(engine, body, by=f"nidus-engine-{name}")
    until_allowed(engine, ingress(tenant, "a.example.com"))  # the annotations have arrived
    return engine


def pod(space: str, **spec: Any) -> Body:
    """A pod as the engine copies one to the host."""
    cluster = f"{space.removeprefix('vcluster-').rpartition('-')[0]}-a"
    labels = {"vcluster.loft.sh/managed-by": cluster, "vcluster.loft.sh/namespace": "default"}
    rest = {"containers": [PODS], "automountServiceAccountToken": False, "enableServiceLinks": False}
    body = made("v1", "Pod", space, spec={**rest, **spec})
    body["metadata"]["labels"] = labels
    return body


def ingress(space: str, *hosts: str, **spec: Any) -> Body:
    body = to_service(space, "one", *hosts)
    body["spec"] |= spec
    return body


def egress(space: str, rules: list[Body]) -> Body:
    spec = {"podSelector": {}, "policyTypes": ["Egress"], "egress": rules}
    return made("networking.k8s.io/v1", "NetworkPolicy", space, spec=spec)


def noted(body: Body, **annotations: str) -> Body:
    changed = copy.deepcopy(body)
    changed["metadata"]["annotations"] = annotations
    return changed


TOLERATED = [
    {"key": "dedicated", "operator": "Equal", "value": "a", "effect": "NoSchedule"},
    {"key": "spot", "operator": "Exists"},
    {"key": "spot", "operator": "Equal", "value": "x", "effect": "NoExecute"},
    {"key": "gpu", "operator": "Exists", "effect": "NoSchedule"},
]
# What the admission of tolerations and the DaemonSet controller add.
ADDED = [
    {"key": f"node.kubernetes.io/{name}", "operator": "Exists", "effect": effect}
    for name, effect in (
        ("not-ready", "NoExecute"),
        ("unreachable", "NoExecute"),
        ("disk-pressure", "NoSchedule"),
        ("memory-pressure", "NoSchedule"),
        ("pid-pressure", "NoSchedule"),
        ("unschedulable", "NoSchedule"),
    )
]
TERM = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["node-1"]}]}
SPREAD = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [TERM]}}}


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({"nodeName": "node-1"}, "chooses no node"),
        ({"priorityClassName": "system-node-critical"}, "own priority class"),
        ({"priorityClassName": "system-cluster-critical"}, "own priority class"),
        ({"tolerations": [{"operator": "Exists"}]}, "what it tolerates"),
        ({"tolerations": [{"operator": "Exists", "effect": "NoSchedule"}]}, "what it tolerates"),
        (
            {"tolerations": [{"key": "node-role.kubernetes.io/control-plane", "operator": "Exists"}]},
            "what it tolerates",
        ),
        ({"tolerations": [{"key": "dedicated", "operator": "Exists", "effect": "NoSchedule"}]}, "what it tolerates"),
        ({"tolerations": [{"key": "dedicated", "value": "b", "effect": "NoSchedule"}]}, "what it tolerates"),
        ({"tolerations": [{"key": "gpu", "operator": "Exists", "effect": "NoExecute"}]}, "what it tolerates"),
        ({"tolerations": [{"key": "gpu", "operator": "Exists"}]}, "what it tolerates"),
    ],
)
def test_a_pod_takes_no_more_of_the_nodes_than_its_cluster(fenced: Client, tenant: str, spec: Body, why: str) -> None:
    assert why in refused(fenced, pod(tenant, **spec))


def test_no_class_but_the_clusters_own(empty_host: TestHost, account: Account, fenced: Client, tenant: str) -> None:
    kind = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "value": 7}
    names = {"other": f"{account.name}-other", "own": f"{account.name}-own"}
    for name in names.values():
        empty_host.client.create({**kind, "metadata": {"name": name}})
    try:
        assert "own priority class" in refused(fenced, pod(tenant, priorityClassName=names["other"]))
        notes = {**MINE, "nidus.dev/priority-class": names["own"]}
        empty_host.client.patch("v1", "Namespace", tenant, "", {"metadata": {"annotations": notes}})
        until_allowed(fenced, pod(tenant, priorityClassName=names["own"]))
    finally:
        for name in names.values():
            empty_host.client.delete("scheduling.k8s.io/v1", "PriorityClass", name)


@pytest.mark.parametrize(
    "spec",
    [{"hostNetwork": True}, {"volumes": [{"name": "root", "hostPath": {"path": "/"}}]}, {"hostPID": True}],
    ids=str,
)
def test_pod_security_holds_for_it_too(fenced: Client, tenant: str, spec: Body) -> None:
    with pytest.raises(ApiError, match="violates PodSecurity"):
        fenced.create(pod(tenant, **spec))


def test_the_pods_of_workloads_pass(empty_host: TestHost, fenced: Client, tenant: str) -> None:
    """As the engine copies them: of a Deployment, a StatefulSet with a claim, a DaemonSet on its node."""
    claim = {"name": "data", "persistentVolumeClaim": {"claimName": "data-one-0"}}
    for index, spec in enumerate(
        (
            {"restartPolicy": "Always", "tolerations": TOLERATED},
            {"hostname": "one-0", "subdomain": "one", "volumes": [claim]},
            {"affinity": SPREAD, "tolerations": ADDED},
            {"initContainers": [{**PODS, "name": "init"}], "nodeSelector": {"a": "b"}},
        )
    ):
        body = pod(tenant, **spec)
        body["metadata"]["name"] = f"pod-{index}"
        fenced.create(body)
    fenced.patch("v1", "Pod", "pod-0", tenant, {"metadata": {"labels": {"a": "b"}}})
    fenced.patch("v1", "Pod", "pod-0", tenant, {"spec": {"activeDeadlineSeconds": 600}})


def test_the_scheduler_binds_and_the_engine_does_not(empty_host: TestHost, fenced: Client, tenant: str) -> None:
    fenced.create(pod(tenant, schedulerName="nobody"))
    target = {"apiVersion": "v1", "kind": "Node", "name": "node-1"}
    binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "one"}, "target": target}
    path = f"/api/v1/namespaces/{tenant}/pods/one/binding"
    with pytest.raises(ApiError, match="binds no pod"):
        fenced.request("POST", path, binding)
    with pytest.raises(ApiError, match="binds no pod"):
        fenced.request("POST", f"/api/v1/namespaces/{tenant}/bindings", binding)
    scheduler = replace(empty_host.client.access, act_as="system:kube-scheduler")
    with Client(scheduler) as client:
        client.request("POST", path, binding)
    fenced.patch("v1", "Pod", "one", tenant, {"metadata": {"labels": {"a": "b"}}})
    fenced.patch("v1", "Pod", "one", tenant, {"status": {"message": "seen"}}, subresource="status")


def test_a_pod_is_resized(fenced: Client, tenant: str) -> None:
    small, large = ({"requests": {"cpu": amount}} for amount in ("5m", "10m"))
    fenced.create(pod(tenant, containers=[{**PODS, "resources": small}], schedulerName="nobody"))
    more = {"spec": {"containers": [{"name": "one", "resources": large}]}}
    resized = fenced.patch("v1", "Pod", "one", tenant, more, subresource="resize")
    assert resized["spec"]["containers"][0]["resources"]["requests"] == {"cpu": "10m"}


HOSTS_NAMES = (
    *("kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"),
    *("kubernetes.default.svc.cluster.local.", "kubernetes.default.svc.corp.example.com."),
    *("10-0-0-1.kube-system.pod.cluster.local", "10-0-0-1.kube-system.pod", "prometheus.monitoring", "a.web.shop"),
    *("localhost", "localhost.", "a.b.c.localhost", "localhost.localdomain", "metadata.google.internal"),
    *("metadata.google.internal.", "instance-data.ec2.internal.", "169.254.169.254", "127.0.0.1", "2852039166"),
    *("1.0.0.127.in-addr.arpa.", "printer.local.", "db.corp.", "nas.lan.", "web.a.b.intranet", "vault.service.consul."),
    "metadata.tencentyun.com.",
)


@pytest.mark.parametrize("name", HOSTS_NAMES)
def test_an_external_name_is_none_of_the_host(fenced: Client, tenant: str, name: str) -> None:
    assert "nothing of the host" in refused(
        fenced, made("v1", "Service", tenant, spec={"type": "ExternalName", "externalName": name})
    )


def test_a_service_claims_no_address(fenced: Client, tenant: str) -> None:
    ports = [{"port": 80}]
    for spec, why in (
        ({"externalIPs": ["192.0.2.1"]}, "no external addresses"),
        ({"type": "LoadBalancer", "loadBalancerIP": "192.0.2.1"}, "no address of a load balancer"),
    ):
        assert why in refused(fenced, made("v1", "Service", tenant, spec={"ports": ports, **spec}))
    bare = made("v1", "Service", tenant, spec={"ports": ports, "type": "LoadBalancer"})
    key = "external-dns.alpha.kubernetes.io/hostname"
    assert "publishes host names" in refused(fenced, noted(bare, **{key: "a.example.com,c.example.com"}))
    assert "publishes host names" in refused(fenced, noted(bare, **{"external-dns.alpha.kubernetes.io/target": "a"}))
    fenced.create(noted(bare, **{key: "web.a.example.com"}))
    with pytest.raises(ApiError, match="no external addresses"):
        fenced.patch("v1", "Service", "one", tenant, {"spec": {"externalIPs": ["192.0.2.1"]}})
    for index, name in enumerate(("example.com.", "db.eu.example.com", "xn--bcher-kva.example.")):
        body = made("v1", "Service", tenant, spec={"type": "ExternalName", "externalName": name})
        body["metadata"]["name"] = f"name-{index}"
        fenced.create(body)


ASKING = (
    *("metallb.io/loadBalancerIPs", "metallb.universe.tf/loadBalancerIPs", "kube-vip.io/loadbalancerIPs"),
    *("io.cilium/lb-ipam-ips", "lbipam.cilium.io/ips", "lbipam.cilium.io/sharing-key", "purelb.io/addresses"),
    *("service.beta.kubernetes.io/azure-load-balancer-ipv4", "load-balancer.hetzner.cloud/id"),
    *("service.beta.kubernetes.io/aws-load-balancer-eip-allocations", "networking.gke.io/load-balancer-ip-addresses"),
)
NAMING = (
    *("service.beta.kubernetes.io/azure-dns-label-name", "load-balancer.hetzner.cloud/hostname", "coredns.io/hostname"),
    *("dns.gardener.cloud/dnsnames", "dns.alpha.kubernetes.io/external", "External-DNS.example.com/hostname"),
)


def test_the_annotations_of_a_service_claim_nothing_either(fenced: Client, tenant: str) -> None:
    bare = made("v1", "Service", tenant, spec={"ports": [{"port": 80}], "type": "LoadBalancer"})
    for key in ASKING:
        assert "load balancers" in refused(fenced, noted(bare, **{key: "192.0.2.1"}))
    for key in NAMING:
        assert "publishes host names" in refused(fenced, noted(bare, **{key: "c.example.com"}))
    fenced.create(noted(bare, **{"prometheus.io/scrape": "true", "service.kubernetes.io/topology-mode": "Auto"}))


@pytest.mark.parametrize(
    "address",
    ["168.63.129.16", "100.100.100.200", "fd00:ec2::254", "fd20:ce::254", "2002:a83f:8110::1", "::a83f:8110"],
)
def test_endpoints_lead_to_no_metadata_service(fenced: Client, tenant: str, address: str) -> None:
    ports, kind = [{"port": 80}], "IPv6" if ":" in address else "IPv4"
    slices = {"addressType": kind, "endpoints": [{"addresses": [address]}], "ports": ports}
    assert "no metadata service" in refused(fenced, made("discovery.k8s.io/v1", "EndpointSlice", tenant, **slices))
    subsets = [{"addresses": [{"ip": address}], "ports": ports}]
    assert "no metadata service" in refused(fenced, made("v1", "Endpoints", tenant, subsets=subsets))
    slices |= {"addressType": "IPv4", "endpoints": [{"addresses": ["10.1.2.3"]}]}
    fenced.create(made("discovery.k8s.io/v1", "EndpointSlice", tenant, **slices))
    fenced.create(made("v1", "Endpoints", tenant, subsets=[{"addresses": [{"ip": "10.1.2.3"}], "ports": ports}]))


CONFIGURING = (
    *("nginx.ingress.kubernetes.io/configuration-snippet", "nginx.ingress.kubernetes.io/server-alias"),
    *("nginx.org/server-snippets", "nginx.org/location-snippets", "nginx.org/mergeable-ingress-type"),
    *("haproxy-ingress.github.io/config-backend", "haproxy-ingress.github.io/server-alias-regex"),
    *("ingress.kubernetes.io/config-backend", "konghq.com/host-aliases", "alb.ingress.kubernetes.io/group.name"),
    *("traefik.ingress.kubernetes.io/router.middlewares", "nginx.ingress.kubernetes.io/auth-url"),
)
# Of keys that name a controller, only those pass that are known to concern the Ingress's own backend.
ELSEWHERE = (
    *("nginx.ingress.kubernetes.io/auth-tls-match-cn", "nginx.ingress.kubernetes.io/auth-proxy-set-headers"),
    *("nginx.ingress.kubernetes.io/custom-headers", "nginx.ingress.kubernetes.io/fastcgi-params-configmap"),
    *("alb.ingress.kubernetes.io/actions.a", "alb.ingress.kubernetes.io/certificate-arn", "getambassador.io/mapping"),
    *("kubernetes.io/ingress.global-static-ip-name", "ingress.gcp.kubernetes.io/pre-shared-cert", "konghq.com/plugins"),
    *("networking.gke.io/managed-certificates", "traefik.ingress.kubernetes.io/router.tls.options"),
    *("traefik.ingress.kubernetes.io/service.serverstransport", "haproxy.org/route-acl", "zalando.org/skipper-routes"),
    *(
        "projectcontour.io/tls-cert-namespace",
        "appgw.ingress.kubernetes.io/appgw-ssl-certificate",
        "a.nginx.org/rewrites",
    ),
)


def test_an_ingress_names_its_clusters_hosts(fenced: Client, tenant: str) -> None:
    for hosts in (("c.example.com",), ("a.example.com", "example.com"), ("",), ("*.example.com",), ("xa.example.com",)):
        assert "names hosts of its cluster" in refused(fenced, ingress(tenant, *hosts))
    backend = {"service": {"name": "one", "port": {"number": 80}}}
    assert "names hosts of its cluster" in refused(fenced, ingress(tenant, "a.example.com", defaultBackend=backend))
    foreign = [{"hosts": ["c.example.com"], "secretName": "a"}]
    assert "certificates of its cluster" in refused(fenced, ingress(tenant, "a.example.com", tls=foreign))
    own = ingress(tenant, "a.example.com")
    for key in CONFIGURING:
        assert "no configuration" in refused(fenced, noted(own, **{key: "b"}))
    for key in ELSEWHERE:
        assert "its own backend only" in refused(fenced, noted(own, **{key: "b"}))
    for key in (
        *("cert-manager.io/common-name", "cert-manager.io/alt-names", "cert-manager.io/ip-sans"),
        *("cert-manager.io/subject-organizations", "acme.cert-manager.io/http01-edit-in-place"),
    ):
        assert "certificates of its cluster" in refused(fenced, noted(own, **{key: "c.example.com"}))
    assert "publishes host names" in refused(fenced, noted(own, **{"dns.gardener.cloud/dnsnames": "c.example.com"}))
    secret = "nginx.ingress.kubernetes.io/auth-tls-secret"
    assert "Secrets of its own" in refused(fenced, noted(own, **{secret: "kube-system/a"}))
    tls = [{"hosts": ["web.a.example.com"], "secretName": "a"}]
    passing = ("nginx.ingress.kubernetes.io/rewrite-target", "nginx.ingress.kubernetes.io/proxy-body-size")
    notes = {secret: f"{tenant}/a", "cert-manager.io/issuer": "a", "kubernetes.io/ingress.class": "nginx"}
    notes |= dict.fromkeys(passing, "/") | {"meta.helm.sh/release-name": "a", "vcluster.loft.sh/object-name": "a"}
    fenced.create(noted(ingress(tenant, "a.example.com", "web.a.example.com", "*.b.example.org", tls=tls), **notes))
    rules = ingress(tenant, "c.example.com")["spec"]["rules"]
    with pytest.raises(ApiError, match="names hosts of its cluster"):
        fenced.patch("networking.k8s.io/v1", "Ingress", "one", tenant, {"spec": {"rules": rules}})


def test_a_network_policy_opens_nothing_outside(fenced: Client, tenant: str) -> None:
    for rule in (
        {},
        {"ports": [{"port": 80}]},
        {"to": [{"namespaceSelector": {}}]},
        {"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]},
        {"to": [{"ipBlock": {"cidr": "::/0", "except": ["fc00::/7"]}}]},
        {"to": [{"ipBlock": {"cidr": "169.254.169.254/32"}}]},
        {"to": [{"ipBlock": {"cidr": "160.0.0.0/4"}}]},
        {"to": [{"ipBlock": {"cidr": "fd00:ec2::254/128"}}]},
    ):
        assert "a policy for egress" in refused(fenced, egress(tenant, [{"to": [{"podSelector": {}}]}, rule]))
    everywhere = [{"ipBlock": {"cidr": "0.0.0.0/0", "except": list(PRIVATE)}}]
    more = [{"ipBlock": {"cidr": cidr}} for cidr in ("203.0.113.0/24", "2001:db8::/32")]
    fenced.create(egress(tenant, [{"to": [{"podSelector": {"matchLabels": {"a": "b"}}}]}, {"to": everywhere + more}]))


@pytest.mark.parametrize("name", ["nidus-default", "nidus-engine", "nidus-workload", "nidus-store", "nidus-restore"])
def test_the_names_of_what_guards_the_tenant_are_kept(fenced: Client, tenant: str, name: str) -> None:
    """A policy of the engine under that name would be somebody else's object to Nidus, which takes over nothing."""
    body = egress(tenant, [{"to": [{"podSelector": {}}]}])
    body["metadata"]["name"] = name
    assert "are kept for them" in refused(fenced, body)


def test_it_is_counted_and_works_at_its_bound(
    empty_host: TestHost, account: Account, fenced: Client, tenant: str
) -> None:
    quota = counts(few(), Quota(pods=0, services=0), tenant)
    empty_host.client.create(quota)
    wait_until(lambda: enforced(empty_host.client, quota), SECONDS)
    renewed = {"holderIdentity": "one", "leaseDurationSeconds": 15}
    fenced.create(made("coordination.k8s.io/v1", "Lease", tenant, spec=renewed))
    fenced.create(made("v1", "Service", tenant, spec={"ports": [{"port": 443}]}))
    made_until_full(fenced, made("v1", "ConfigMap", tenant), int(quota["spec"]["hard"]["count/configmaps"]))
    made_until_full(fenced, made("coordination.k8s.io/v1", "Lease", tenant), 20)
    fenced.patch("coordination.k8s.io/v1", "Lease", "one", tenant, {"spec": {"holderIdentity": "two"}})
    note = {"metadata": {"annotations": {"vcluster.loft.sh/service-cidr": "10.0.0.0/16"}}}
    fenced.patch("v1", "Service", "one", tenant, note)
    fenced.patch("v1", "ConfigMap", "filling-0", tenant, {"data": {"a": "b"}})
    fenced.create(pod(tenant))


def few() -> NestedCluster:
    return NestedCluster(api_version="nidus.dev/v1alpha1", kind="NestedCluster", metadata=Metadata(name="a"))


def enforced(client: Client, quota: Any) -> bool:
    found = client.get("v1", "ResourceQuota", quota["metadata"]["name"], quota["metadata"]["namespace"])
    return bool(found and found.get("status", {}).get("hard") == quota["spec"]["hard"] and found["status"].get("used"))


def made_until_full(client: Client, body: Body, bound: int) -> None:
    """Create copies until the quota refuses one, which must be before there are more than `bound`."""
    with pytest.raises(ApiError, match="exceeded quota: nidus-counts"):
        for index in range(bound + 1):
            body["metadata"]["name"] = f"filling-{index}"
            client.create(body)
