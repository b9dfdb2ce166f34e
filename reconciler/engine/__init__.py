"""The engine (vCluster's chart): what one NestedCluster means on its host, as the three host layers.

`layers` maps a document to layers; `violations` are rules of the engine that the chart's own schema does not have. The
parts: `values` (chart values), `policies` and `network` (what we render ourselves), `overhead` (what the engine uses of
a quota), `counts` (how many objects), `versions`, `choice` (which versions a cluster gets), `readiness`, `writes` (R4), `leftovers` (D2).
"""

import hashlib

import msgspec

from reconciler.engine.choice import Choice as Choice
from reconciler.engine.choice import asked as asked
from reconciler.engine.choice import choose as choose
from reconciler.engine.choice import lowers as lowers
from reconciler.engine.choice import pinned as pinned
from reconciler.engine.counts import counts
from reconciler.engine.network import network_policies
from reconciler.engine.overhead import members as members
from reconciler.engine.policies import host_namespace, limit_range, quota, role_bindings
from reconciler.engine.values import chart_of, chart_values
from reconciler.engine.values import isolation_of as isolation_of
from reconciler.engine.values import quota_of as quota_of
from reconciler.engine.violations import impossible as impossible
from reconciler.engine.violations import toleration as toleration
from reconciler.engine.violations import unoffered as unoffered
from reconciler.engine.writes import ignore_rules
from reconciler.model import OID, ClusterDocument, HostFacts, Layer, NestedCluster, Object, Role, Rules, Target, replace

ENGINE_TIMEOUT = 600.0
POLICIES_TIMEOUT = 120.0


def layers(document: ClusterDocument, namespace: str, rules: Rules, facts: HostFacts) -> tuple[Layer, Layer, Layer]:
    """The host side of one cluster in apply order (A4): namespace, policies, engine.

    The engine depends on the policies, so that it starts once its quota is enforced (`health` of a ResourceQuota). `document`
    must be free of `violations`. Raises Stalled where the operator offers no such engine.
    """
    cluster, target = document.cluster, Target(facts.name)
    first = _manifests("namespace", target, "", (host_namespace(cluster, namespace, rules),))
    guards = policy_objects(cluster, namespace, rules, facts)
    second = _manifests("policies", target, namespace, guards, ("namespace",))
    return first, second, _engine(cluster, target, namespace, rules)


def namespace_of(name: str, rules: Rules) -> str:
    """The host namespace of the nested cluster `name`."""
    return rules.namespace_pattern.replace("{name}", name)


def policy_objects(cluster: NestedCluster, namespace: str, rules: Rules, facts: HostFacts) -> tuple[Object, ...]:
    """The objects that limit the tenant and must exist before the engine starts: quota, limits, network policies, role
    bindings."""
    share, isolation = quota_of(cluster, rules), isolation_of(cluster, rules)
    stores = rules.ceilings.backup_endpoints if rules.ceilings is not None else ()
    limits = limit_range(share, namespace)
    return (
        *([limits] if limits else []),
        *(found for found in [quota(cluster, share, namespace)] if found),
        counts(cluster, share, namespace),
        *(network_policies(cluster, isolation, namespace, facts.account, stores) if isolation.network_policy else ()),
        *role_bindings(cluster, namespace, facts.account),
    )


def _engine(cluster: NestedCluster, target: Target, namespace: str, rules: Rules) -> Layer:
    chart = chart_of(cluster, rules)
    name = cluster.metadata.name
    spec = {
        "chart": "",
        "release": name,
        "values": chart_values(cluster, namespace, rules),
        "hooks": "Refuse",
        "namespace": namespace,
    }
    elsewhere = [path for path, oid in chart.files if oid.startswith(OID)]
    layer = Layer(
        name="engine",
        target=target,
        kind="helm",
        spec=spec | {"elsewhere": elsewhere, "version": chart.version} if elsewhere else spec,
        digest="",
        files=chart.files,
        namespace=namespace,
        depends_on=("policies",),
        timeout=ENGINE_TIMEOUT,
        ignore=ignore_rules(name, namespace),
        role="engine",
    )
    return _sealed(layer, chart.digest)


def _manifests(
    name: Role, target: Target, namespace: str, objects: tuple[Object, ...], depends_on: tuple[str, ...] = ()
) -> Layer:
    layer = Layer(
        name=name,
        target=target,
        kind="manifests",
        spec={"objects": list(objects)},
        digest="",
        namespace=namespace,
        depends_on=depends_on,
        timeout=POLICIES_TIMEOUT,
        role=name,
    )
    return _sealed(layer)


def _sealed(layer: Layer, *more: str) -> Layer:
    """The layer with the digest of its content, without the revision."""
    canonical = msgspec.json.encode([layer, *more], order="deterministic")
    return replace(layer, digest=hashlib.sha256(canonical).hexdigest())
