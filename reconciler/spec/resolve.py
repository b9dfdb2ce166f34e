"""From specs to bundles: what one nested cluster should be, before rendering. Pure; nothing is kept between calls."""

from collections.abc import Mapping, Sequence
from typing import Any

from reconciler import __version__, engine
from reconciler.errors import Stalled
from reconciler.model import (
    NO_VERSIONS,
    OID,
    Budget,
    Bundle,
    ChartVerify,
    ClusterDocument,
    Content,
    HostFacts,
    Layer,
    NestedCluster,
    NestedNamespace,
    Pack,
    ProfileDocument,
    ProfileUse,
    Record,
    Remote,
    Revision,
    Rules,
    Specs,
    Target,
    Tombstone,
    Versions,
    remote_of,
    replace,
)
from reconciler.spec import access, files, manifests, order, semver, values, variables
from reconciler.spec.entries import digest
from reconciler.spec.quota import resource_quota
from reconciler.spec.units import duration

_ENGINE = "engine"
_NAMESPACES = "namespaces"


def bundle(name: str, content: Content, rules: Rules, facts: HostFacts, running: Versions = NO_VERSIONS) -> Bundle:
    """The bundle of one cluster of `content`, whose specs passed the rules: engine layers, namespaces, then packs in order.

    Its versions are those allowed after the `running` ones (`engine.choose`). Its digest does not depend on the
    revision or on comments, but on the whole document: what decides later about the cluster, such as its deletion policy, is read from
    the document on record. Raises KeyError for an unknown cluster, Stalled where a profile it uses is gone, a
    reference has no value, or its engine is not offered any more.
    """
    document = content.specs.clusters[name]
    namespace = engine.namespace_of(name, rules)
    choice = engine.choose(document.cluster, rules, running)
    chosen = choice.versions
    asked = replace(document, cluster=engine.pinned(document.cluster, chosen))
    layers = (
        *engine.layers(asked, namespace, rules, facts),
        *_nested(document.cluster, content.specs, namespace, facts.name),
    )
    suspend = document.cluster.spec.suspend
    reason = suspend.reason if suspend else ""
    signature = digest([name, namespace, [(layer.name, layer.digest) for layer in layers], document.digest])
    made = Bundle(name, namespace, content.revision, layers, signature, document, None, reason, chosen)
    return replace(made, ahead=choice.ahead) if choice.ahead else made


def terms(rules: Rules, facts: HostFacts) -> str:
    """The digest of what bundles are made from besides documents: what the operator decided about their content, the host, and our own
    version."""
    about = replace(rules, budget=Budget(), grace=0.0, profile_versions="", unreviewed="", reviewers=(), forges=())
    about = replace(about, content=None, max_ttl=0.0)
    return digest([__version__, about, facts])


def inputs(name: str, content: Content, terms: str, versions: Versions) -> str:
    """The digest of all that `bundle` makes a cluster's bundle from, much cheaper than the bundle: equal ones give equal bundles.
    `versions` are those chosen. Raises as `digests`."""
    document = content.specs.clusters[name]
    used = [_profile(use, content.specs) for use in document.cluster.spec.profiles]
    return digest([terms, name, document.digest, versions, [(one.path, one.digest) for one in used]])


def packs(name: str, content: Content, rules: Rules, facts: HostFacts) -> list[tuple[Layer, ProfileDocument]]:
    """The packs of one cluster as layers, each with its profile. Raises as `bundle`."""
    cluster, namespace = content.specs.clusters[name].cluster, engine.namespace_of(name, rules)
    profiles = {
        one.profile.metadata.name: one for one in (_profile(use, content.specs) for use in cluster.spec.profiles)
    }
    layers = _nested(cluster, content.specs, namespace, facts.name)
    return [(layer, profiles[layer.name.partition("/")[0]]) for layer in layers if layer.role == "pack"]


def tombstone(record: Record, accepted: Content | None, tombstone: Tombstone, rules: Rules) -> Bundle:
    """The bundle of a cluster that is no longer in Git: it has no layers; the plan follows the tombstone's policy (D1,
    D2)."""
    document: ClusterDocument | None = accepted.specs.clusters.get(record.cluster) if accepted else None
    revision = accepted.revision if accepted else Revision(record.branch, record.commit)
    namespace = engine.namespace_of(record.cluster, rules)
    signature = digest([record.cluster, namespace, "tombstone", tombstone.policy])
    return Bundle(record.cluster, namespace, revision, (), signature, document, tombstone)


def digests(name: str, content: Content) -> dict[str, str]:
    """The digests in a cluster's record: "spec", "deletion" and, per profile version it uses, "profile/NAME@VERSION" -> digest."""
    document = content.specs.clusters[name]
    used = [_profile(use, content.specs) for use in document.cluster.spec.profiles]
    named = {f"profile/{one.profile.metadata.name}@{one.profile.spec.version}": one.digest for one in used}
    return {"spec": document.digest, "deletion": digest(document.cluster.spec.deletion), **named}


def same_inputs(name: str, before: Content, now: Content) -> bool:
    """Whether a cluster's document and all profiles of a name it uses are the very values resolved before (no digest needed)."""
    document = now.specs.clusters[name]
    if before is now:
        return True
    if before.specs.clusters.get(name) is not document:
        return False
    used = {use.name for use in document.cluster.spec.profiles}
    return _of(before, used) == _of(now, used)


def _of(content: Content, names: set[str]) -> dict[tuple[str, str], int]:
    return {key: id(profile) for key, profile in content.specs.profiles.items() if key[0] in names}


def _nested(cluster: NestedCluster, specs: Specs, namespace: str, host: str) -> list[Layer]:
    layers: list[Layer] = []
    after: tuple[str, ...] = (_ENGINE,)
    target = Target(host, cluster.metadata.name)
    if cluster.spec.namespaces:
        layers.append(_namespaces(cluster.spec.namespaces, target))
        after = (_NAMESPACES,)
    base = after
    for use in cluster.spec.profiles:
        profile = _profile(use, specs)
        made = _packs(cluster, use, profile, target, (base, after), (namespace, host))
        layers += made
        after = order.last({layer.name: layer.depends_on for layer in made}) or after
    found = access.objects(cluster.spec.access)
    if found:
        layers.append(
            _sealed(Layer(access.LAYER, target, "manifests", {"objects": found}, "", depends_on=base, role="access"))
        )
    return layers


def _profile(use: ProfileUse, specs: Specs) -> ProfileDocument:
    version = semver.best(use.version, (version for name, version in specs.profiles if name == use.name))
    if version is None:
        raise Stalled(f"no version of profile {use.name} fits {use.version}", reason="NoProfile")
    return specs.profiles[use.name, version]


def _packs(
    cluster: NestedCluster,
    use: ProfileUse,
    profile: ProfileDocument,
    target: Target,
    after: tuple[tuple[str, ...], tuple[str, ...]],
    place: tuple[str, str],
) -> list[Layer]:
    spec, name = profile.profile.spec, profile.profile.metadata.name
    given = values.effective(spec.variables, use.variables)
    known = variables.context(cluster, profile.profile, given, namespace=place[0], host=place[1])
    base, before = after
    layers = []
    for pack, depends_on in order.ordered(spec.packs):
        ahead = tuple(f"{name}/{other}" for other in depends_on)
        waits_for = ahead or (base if pack.depends_on is not None else before)
        try:
            layer = _layer(profile, pack, use.values.get(pack.name, {}), known)
        except variables.UnknownVariable as error:
            raise Stalled(f"profile {name}, pack {pack.name}: {error}", reason="UnknownVariable") from error
        layers.append(_sealed(replace(layer, target=target, depends_on=waits_for), profile.contents.get(pack.name, "")))
    return layers


def _layer(profile: ProfileDocument, pack: Pack, overrides: Mapping[str, Any], known: Mapping[str, Any]) -> Layer:
    """The layer of one pack, without its place among the others."""
    kind, spec = _parameters(profile.path, pack, overrides, known)
    if kind == "manifests" and any(one.sensitive for one in profile.profile.spec.variables):
        spec["sensitive"] = True
    if pack.exclude:
        spec["exclude"] = [
            {"group": one.group, "kind": one.kind, "namespace": one.namespace, "name": one.name} for one in pack.exclude
        ]
    read = profile.files.get(pack.name, ())
    remote = {path: remote_of(oid) for path, oid in read if oid.startswith(OID)}
    elsewhere = {path: "" if one.vouches else one.version for path, one in remote.items()}
    if "verify" in spec:
        spec["verify"] |= _verified(*remote.values())
    reads_context = bool((pack.manifests and pack.manifests.files) or (pack.helm and pack.helm.values_files))
    return Layer(
        name=f"{profile.profile.metadata.name}/{pack.name}",
        target=Target(""),
        kind=kind,
        spec=spec | {"elsewhere": list(elsewhere), "version": "".join(elsewhere.values())} if elsewhere else spec,
        digest="",
        files=read,
        context=known if reads_context else {},
        namespace=pack.namespace,
        gates=pack.ready.checks,
        timeout=duration(pack.ready.timeout),
        drift=pack.drift,
        ignore=pack.ignore_differences,
        prune=pack.prune,
    )


def _verified(chart: Remote, vouching: Remote) -> dict[str, str]:
    """What a chart is verified by, its digest, and the name of its archive as Helm packs it."""
    name = chart.name or chart.address.rpartition("/")[2]
    return {"by": vouching.kind, "digest": chart.digest, "archive": f"{name}-{chart.version}.tgz"}


def _parameters(
    path: str, pack: Pack, overrides: Mapping[str, Any], known: Mapping[str, Any]
) -> tuple[str, dict[str, Any]]:
    """A pack's kind and its own parameters, references filled in."""
    if pack.secrets:
        copies = [{"from": one.source, "to": one.to, "namespace": one.namespace} for one in pack.secrets]
        return "secrets", {"secrets": copies}
    if pack.kustomize is not None:
        return "kustomize", {"path": files.beside(path, pack.kustomize.path)}
    if pack.helm is None:
        objects = pack.manifests.objects if pack.manifests else ()
        literal = [f"objects[{at}]" for at, one in enumerate(objects) if manifests.has_literal_data(one)]
        return "manifests", {"objects": variables.fill(objects, known), **({"literal": literal} if literal else {})}
    helm = pack.helm
    return "helm", {
        "release": helm.release_name or pack.name,
        "chart": files.beside(path, helm.chart.path) if helm.chart.path else "",
        "values": variables.fill(helm.values, known),
        "valuesFiles": [files.beside(path, file) for file in helm.values_files],
        "overrides": variables.fill(overrides, known),
        "hooks": helm.hooks,
        **({"random": helm.random} if helm.random != "Refuse" else {}),
        **({"verify": _verify(path, helm.chart.verify)} if helm.chart.verify else {}),
    }


def _verify(path: str, asked: ChartVerify) -> dict[str, Any]:
    """The file of a chart's keys, and whom a certificate has to name where there is none."""
    found: dict[str, Any] = {"keys": files.beside(path, asked.file)}
    named = asked.identity
    return found | ({"identity": {"subject": named.subject, "issuer": named.issuer}} if named else {})


def _namespaces(namespaces: Sequence[NestedNamespace], target: Target) -> Layer:
    """Namespaces inside the cluster, with their quotas, before any pack."""
    objects: list[dict[str, Any]] = []
    for namespace in namespaces:
        meta: dict[str, Any] = {"name": namespace.name}
        if namespace.labels:
            meta["labels"] = dict(namespace.labels)
        objects.append({"apiVersion": "v1", "kind": "Namespace", "metadata": meta})
        if namespace.quota:
            objects.append(resource_quota(namespace.name, namespace.quota))
    layer = Layer(_NAMESPACES, target, "manifests", {"objects": objects}, "", depends_on=(_ENGINE,), role="namespaces")
    return _sealed(layer)


def _sealed(layer: Layer, content: str = "") -> Layer:
    """The layer with the digest of its content; files count by content and not by blob."""
    return replace(layer, digest=digest([replace(layer, files=()), [path for path, _ in layer.files], content]))
