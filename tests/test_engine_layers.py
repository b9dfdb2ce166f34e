"""The three host layers of a cluster: order, digests, namespace, the operator's defaults."""

from reconciler import engine
from reconciler.model import (
    ClusterSpec,
    Defaults,
    EngineChart,
    Isolation,
    NamespaceRef,
    Quota,
    Rules,
)
from tests.test_engine_values import CHART, FACTS, FULL, NAMESPACE, RULES, document


def test_layers_stand_in_apply_order() -> None:
    first, second, third = engine.layers(document(FULL), NAMESPACE, RULES, FACTS)
    assert [layer.name for layer in (first, second, third)] == ["namespace", "policies", "engine"]
    assert (second.depends_on, third.depends_on) == (("namespace",), ("policies",))
    assert {layer.target.host for layer in (first, second, third)} == {"local"}
    assert (third.kind, third.spec["release"], third.spec["hooks"]) == ("helm", "team-a", "Refuse")
    assert (third.files, third.namespace) == (CHART.files, NAMESPACE)


def test_digests_follow_the_content_only() -> None:
    before = engine.layers(document(), NAMESPACE, RULES, FACTS)
    assert before == engine.layers(document(), NAMESPACE, RULES, FACTS)
    quota = engine.layers(document(ClusterSpec(quota=Quota(cpu="1"))), NAMESPACE, RULES, FACTS)
    assert [a.digest == b.digest for a, b in zip(before, quota, strict=True)] == [True, False, True]
    chart = Rules("vcluster-{name}", (EngineChart("0.36.1", "other", CHART.files),), ("v1.36.0",))
    other = engine.layers(document(), NAMESPACE, chart, FACTS)
    assert [a.digest == b.digest for a, b in zip(before, other, strict=True)] == [True, True, False]


def test_the_host_namespace_follows_the_pattern() -> None:
    assert engine.namespace_of("team-a", RULES) == NAMESPACE
    (namespace,) = engine.layers(document(FULL), NAMESPACE, RULES, FACTS)[0].spec["objects"]
    assert namespace["metadata"]["name"] == NAMESPACE
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_operator_defaults_fill_what_the_cluster_leaves_out() -> None:
    defaults = Defaults(
        quota=Quota(cpu="2", pods=10, extended={"nvidia.com/gpu": 1}),
        isolation=Isolation(network_policy=False, ingress_from=(NamespaceRef(namespace="edge"),)),
    )
    rules = Rules("vcluster-{name}", (CHART,), ("v1.36.0",), defaults=defaults)
    objects = engine.layers(document(ClusterSpec(quota=Quota(pods=0))), NAMESPACE, rules, FACTS)[1].spec["objects"]
    kinds = [obj["kind"] for obj in objects]
    assert kinds == ["LimitRange", "ResourceQuota", "ResourceQuota", "RoleBinding"]
    hard = objects[1]["spec"]["hard"]
    assert hard["requests.cpu"] == "2240m"
    assert hard["pods"] == "3"
    assert hard["requests.nvidia.com/gpu"] == "1"
