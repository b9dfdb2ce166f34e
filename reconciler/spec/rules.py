"""Rules of one cluster that need more than its document: profiles, variables, what the operator decided, and what was accepted before."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from reconciler import engine
from reconciler.engine import versions
from reconciler.model import (
    NO_VERSIONS,
    ClusterDocument,
    HostFacts,
    NestedCluster,
    ProfileUse,
    Rules,
    Variable,
    Versions,
)
from reconciler.plan import sensitive
from reconciler.spec import access, ceilings, hosts, linear, manifests, turns, units, values, variables
from reconciler.spec.codes import Code
from reconciler.spec.explain import pointer
from reconciler.spec.profiles import Profile, meaningless

Mistake = tuple[str, Code, str, str]
Found = Profile | tuple[Code, str, str]
"""A profile, or why there is none: code, message, hint."""
_KUBERNETES = "kube-"


def alone(cluster: NestedCluster, uses: Sequence[Found]) -> Iterator[Mistake]:
    """(pointer, code, message, hint) of every mistake that the document has whatever the operator decided and whatever was accepted;
    `uses` answers `cluster.spec.profiles` one by one."""
    yield from _namespaces(cluster)
    for where, message, hint in engine.impossible(cluster):
        yield where, Code.EXPOSE_HOST if where == "/spec/expose/host" else Code.ENGINE, message, hint
    yield from access.check(cluster)
    yield from _profiles(cluster, uses)


def judged(
    cluster: NestedCluster,
    uses: Sequence[Found],
    rules: Rules,
    facts: HostFacts,
    accepted: ClusterDocument | None,
    running: Versions = NO_VERSIONS,
) -> Iterator[Mistake]:
    """All other mistakes, in the same form.

    Versions are compared with those that are `running`; where these are not known, with the accepted document.
    """
    yield from _placement(cluster, rules, facts)
    if rules.engines:
        for where, message, hint in engine.unoffered(cluster, rules, running):
            yield where, Code.ENGINE, message, hint
    yield from hosts.check(cluster, rules.dns_pattern)
    yield from ceilings.check(cluster, rules)
    yield from turns.check(cluster, rules)
    yield from _steps(cluster, accepted.cluster if accepted else None, rules, running)
    if accepted is not None and accepted.cluster is not cluster:
        yield from _kept(cluster, accepted.cluster, facts)
        yield from _kept_variables(cluster, accepted.cluster, uses)


def _placement(cluster: NestedCluster, rules: Rules, facts: HostFacts) -> Iterator[Mistake]:
    spec = cluster.spec
    if spec.host and spec.host != facts.name:
        yield "/spec/host", Code.HOST, f"no host {spec.host}", f"this controller serves {facts.name}"
    namespace = engine.namespace_of(cluster.metadata.name, rules)
    if namespace.startswith(_KUBERNETES) or namespace in ("default", facts.namespace):
        message = f"its host namespace would be {namespace}, which is not ours to use"
        yield "/metadata/name", Code.RESERVED_NAMESPACE, message, "choose another name"


def _namespaces(cluster: NestedCluster) -> Iterator[Mistake]:
    seen: set[str] = set()
    for index, namespace in enumerate(cluster.spec.namespaces):
        place = f"/spec/namespaces/{index}"
        if namespace.name in seen:
            yield f"{place}/name", Code.DUPLICATE_ITEM, f"{namespace.name} stands twice", ""
        seen.add(namespace.name)
        if namespace.name.startswith(_KUBERNETES):
            yield f"{place}/name", Code.RESERVED_NAME, f"{namespace.name} belongs to Kubernetes", "choose another name"
        for label in manifests.owned_labels(namespace.labels):
            where = place + pointer(("labels", label))
            yield where, Code.POD_SECURITY_LABEL, f"{label} belongs to the engine", manifests.POD_SECURITY_HINT


def _profiles(cluster: NestedCluster, uses: Sequence[Found]) -> Iterator[Mistake]:
    claims: dict[manifests.Claim, str] = {}
    seen: set[str] = set()
    for index, (use, found) in enumerate(zip(cluster.spec.profiles, uses, strict=True)):
        place = f"/spec/profiles/{index}"
        if use.name in seen:
            yield f"{place}/name", Code.DUPLICATE_ITEM, f"profile {use.name} is listed twice", "remove one of the two"
            continue
        seen.add(use.name)
        if not isinstance(found, Profile):
            yield f"{place}/{'name' if found[0] is Code.NO_PROFILE else 'version'}", *found
            continue
        yield from _variables(use, found, place)
        yield from _needed(cluster, use, found, place)
        yield from _values(use, found, place)
        for claim in found.claims.keys() & claims.keys():
            message = f"{claim[1]} {claim[3]} is claimed by {claims[claim]} and {found.claims[claim]}"
            yield place, Code.CLAIMED_TWICE, message, ""
        claims |= found.claims


def _variables(use: ProfileUse, profile: Profile, place: str) -> Iterator[Mistake]:
    declared = {variable.name: variable for variable in profile.document.profile.spec.variables}
    for name, value in use.variables.items():
        where = f"{place}{pointer(('variables', name))}"
        if name not in declared:
            hint = f"declared: {', '.join(declared) or 'none'}"
            yield where, Code.VARIABLE_UNKNOWN, f"profile {use.name} has no variable {name[:60]}", hint
        elif declared[name].sensitive and sensitive.named(value) is None:
            yield (
                where,
                Code.VARIABLE_VALUE,
                f"variable {name} is sensitive: its value stands in no file",
                sensitive.HOW,
            )
        elif not declared[name].sensitive and isinstance(value, dict) and sensitive.FROM in value:
            hint = "declare it with sensitive: true in the profile, or give the value itself"
            yield (
                where,
                Code.VARIABLE_VALUE,
                f"variable {name} is not sensitive, so its value is read by everybody",
                hint,
            )
        elif why := _misfit(declared[name], value):
            hint = declared[name].description or values.example(declared[name].type)
            yield where, Code.VARIABLE_VALUE, f"variable {name} {why}", hint
    for variable in declared.values():
        if variable.required and variable.name not in use.variables:
            hint = variable.description or f"a {variable.type}"
            yield place, Code.VARIABLE_MISSING, f"variable {variable.name} of profile {use.name} needs a value", hint


def _misfit(variable: Variable, value: Any) -> str:
    """A pattern that does not compile is the profile's mistake and reported there."""
    try:
        return values.misfit(variable, value)
    except linear.PatternError:
        return ""


def _needed(cluster: NestedCluster, use: ProfileUse, profile: Profile, place: str) -> Iterator[Mistake]:
    """References of the profile must have a value in this cluster. Its namespace and its host always have one."""
    declared = profile.document.profile.spec.variables
    given = values.effective(declared, use.variables)
    known = variables.context(cluster, profile.document.profile, given, namespace="", host="")
    required = {f"variables.{variable.name}" for variable in declared if variable.required}
    named = [(path, name) for path, name in variables.references(use.values, ("values",))]
    for path, name in named:
        if why := meaningless(name, profile.document.profile):
            yield place + pointer(path), Code.REFERENCE, why, ""
    meant = {name for _, name in named if not meaningless(name, profile.document.profile)}
    for name in sorted((profile.needs | meant) - required):
        try:
            variables.lookup(name, known)
        except variables.UnknownVariable:
            hint = "give it here, or a default in the profile" if name.startswith("variables.") else "label the cluster"
            yield place, Code.VARIABLE_MISSING, f"profile {use.name} uses {name}, which has no value here", hint


def _values(use: ProfileUse, profile: Profile, place: str) -> Iterator[Mistake]:
    packs = {pack.name: pack for pack in profile.document.profile.spec.packs}
    for name in use.values:
        if name not in packs or packs[name].helm is None:
            charts = ", ".join(pack.name for pack in packs.values() if pack.helm) or "none"
            yield (
                place + pointer(("values", name)),
                Code.NO_PACK,
                f"no chart pack {name[:60]}",
                f"chart packs: {charts}",
            )


def _kept(cluster: NestedCluster, before: NestedCluster, facts: HostFacts) -> Iterator[Mistake]:
    """Fields that cannot change, or only one way, once a cluster was accepted."""
    new, old = cluster.spec.control_plane.store, before.spec.control_plane.store
    fixed: tuple[tuple[str, Callable[[NestedCluster], str]], ...] = (
        ("/spec/host", lambda one: one.spec.host or facts.name),
        ("/spec/controlPlane/store/type", lambda one: one.spec.control_plane.store.type),
        ("/spec/controlPlane/store/storageClass", lambda one: one.spec.control_plane.store.storage_class),
    )
    for where, read in fixed:
        if read(cluster) != read(before):
            yield where, Code.IMMUTABLE, f"cannot change from {read(before) or 'the default'}", "make a new cluster"
    if new.type == old.type and engine.members(new) != engine.members(old):
        message = f"cannot change from {engine.members(old)}"
        yield "/spec/controlPlane/store/members", Code.IMMUTABLE, message, "make a new cluster"
    if units.quantity(new.size) < units.quantity(old.size):
        yield "/spec/controlPlane/store/size", Code.IMMUTABLE, f"cannot shrink from {old.size}", ""


def _steps(cluster: NestedCluster, before: NestedCluster | None, rules: Rules, running: Versions) -> Iterator[Mistake]:
    """Mistakes of versions in the document to which no step from the running ones is allowed. A version left to the
    operator's newest is held instead (`engine.choose`)."""
    engines = [chart.version for chart in rules.engines]
    told = before.spec if before else None
    steps = (
        (
            "/spec/kubernetes/version",
            running.kubernetes or (told.kubernetes.version if told else ""),
            cluster.spec.kubernetes.version,
            rules.kubernetes_versions,
        ),
        (
            "/spec/engine/version",
            running.engine or (told.engine.version if told else ""),
            cluster.spec.engine.version,
            engines,
        ),
    )
    for where, base, wanted, offered in steps:
        if base and wanted and (why := versions.step(base, wanted)):
            possible, way = versions.reachable(base, offered), versions.path(base, wanted, offered)
            if way and cluster.spec.upgrade.steps == "Auto":
                continue
            walks = ", or spec.upgrade.steps: Auto, which goes one minor after the other" if way else ""
            yield where, Code.IMMUTABLE, why, f"possible: {possible}{walks}" if possible else ""


def _kept_variables(cluster: NestedCluster, before: NestedCluster, uses: Sequence[Found]) -> Iterator[Mistake]:
    earlier: Mapping[str, ProfileUse] = {use.name: use for use in before.spec.profiles}
    for index, (use, found) in enumerate(zip(cluster.spec.profiles, uses, strict=True)):
        if not isinstance(found, Profile) or use.name not in earlier:
            continue
        declared = found.document.profile.spec.variables
        now, then = values.effective(declared, use.variables), values.effective(declared, earlier[use.name].variables)
        for variable in declared:
            if variable.immutable and variable.name in then and now.get(variable.name) != then[variable.name]:
                where = f"/spec/profiles/{index}{pointer(('variables', variable.name))}"
                yield where, Code.IMMUTABLE, f"variable {variable.name} cannot change", "make a new cluster"
