"""The controller's configuration file (docs/reference/ControllerConfig.md), checked like every other document."""

from collections.abc import Iterable

from reconciler.model import ControllerConfig, ControllerSpec, EngineChart, HostFacts, Limits, Remote, Rules, Violation
from reconciler.spec import addresses, ceilings, content, dashboard, marks, notify, schema, semver, units, yaml
from reconciler.spec.codes import Code

HOST = "local"
NOWHERE = HostFacts(HOST)
"""The host of nobody in particular: where no controller is known, no name and no namespace is its own."""


def read(data: bytes, path: str) -> tuple[ControllerConfig | None, tuple[Violation, ...]]:
    """The configuration, or everything that is wrong with it."""
    parsed = yaml.parse(data, path, Limits())
    if parsed.violations:
        return None, parsed.violations
    if len(parsed.documents) != 1 or parsed.documents[0].body.get("kind") != "ControllerConfig":
        message = "expected one document of kind ControllerConfig"
        return None, (Violation(path, 1, 1, Code.KIND, message),)
    body = schema.settled(parsed.documents[0].body)
    found, mistakes = schema.read(
        body, {"ControllerConfig": ControllerConfig}, lambda pointer: marks.text(data, 0, pointer)
    )
    if found is None:
        return None, _placed(data, path, [(where, code, message, hint) for where, message, hint, code in mistakes])
    if told := _placed(
        data,
        path,
        [
            *ceilings.contradictions(found.spec),
            *_own(found.spec),
            *_apps(found.spec),
            *_content(found.spec),
            *_charts(found.spec),
            *dashboard.wrong(found.spec),
            *notify.wrong(found.spec),
        ],
    ):
        return None, told
    return found, ()


def _own(spec: ControllerSpec) -> Iterable[ceilings.Told]:
    if spec.share_namespace == spec.namespace:
        hint = "its own Secrets are nobody else's: name another one"
        yield "/spec/shareNamespace", Code.WRONG_VALUE, "the namespace of the controller itself", hint


def _apps(spec: ControllerSpec) -> Iterable[ceilings.Told]:
    for index, source in enumerate(spec.sources):
        if source.forge is not None and source.forge.app is not None and source.forge.provider != "github":
            where, told = f"/spec/sources/{index}/forge/app", "only GitHub has Apps"
            yield where, Code.WRONG_VALUE, told, f"use tokenFile for {source.forge.provider}"


def _content(spec: ControllerSpec) -> Iterable[ceilings.Told]:
    for index, one in enumerate(spec.content.allow):
        where = f"/spec/content/allow/{index}"
        if not addresses.plain(one.prefix):
            yield f"{where}/prefix", Code.WRONG_VALUE, "a prefix that leads elsewhere", "write it without . and .."
        elif one.plain_http and not addresses.local(addresses.host(one.prefix).rpartition(":")[0]):
            yield f"{where}/plainHTTP", Code.WRONG_VALUE, "this is another machine", "remove it: content comes by https"
        elif one.prefix.startswith("http://") and not one.plain_http:
            yield f"{where}/prefix", Code.WRONG_VALUE, "http is not safe against changes on the way", "write https://"


def _charts(spec: ControllerSpec) -> Iterable[ceilings.Told]:
    known = content.Elsewhere(allowed=spec.content.allow)
    for index, one in enumerate(spec.engine.versions):
        where = f"/spec/engine/versions/{index}/chart"
        found = list(content.of_engine(one.chart, where, known))
        yield from (
            (place, code, message, hint)
            for place, code, message, hint in (each for each in found if not isinstance(each, Remote))
        )
        if content.is_remote(one.chart) and one.chart.version != one.version:
            yield f"{where}/version", Code.WRONG_VALUE, "the chart has another version than the engine", one.version


def _placed(data: bytes, path: str, wrong: Iterable[ceilings.Told]) -> tuple[Violation, ...]:
    told = []
    for where, code, message, hint in wrong:
        line, column = yaml.locate(data, 0, where, key=code == Code.UNKNOWN_FIELD)
        told.append(Violation(path, line, column, code, message, where, hint))
    return tuple(sorted(told))


def rules(spec: ControllerSpec) -> Rules:
    """The policy from the configuration alone; engine charts are named, not read."""
    offered = sorted(spec.engine.versions, key=lambda one: semver.version(one.version))
    return Rules(
        namespace_pattern=spec.namespace_pattern,
        engines=tuple(EngineChart(one.version, "", (), one.image_digest) for one in offered),
        kubernetes_versions=spec.engine.kubernetes_versions,
        defaults=spec.defaults,
        budget=spec.deletion.budget,
        grace=units.duration(spec.deletion.grace),
        profile_versions=spec.policy.profile_versions,
        dns_pattern=spec.policy.dns_pattern,
        ceilings=spec.ceilings,
        unreviewed=spec.policy.unreviewed,
        reviewers=spec.policy.reviewers,
        content=spec.content.allow,
        max_ttl=units.duration(spec.policy.max_ttl) if spec.policy.max_ttl else 0.0,
        forges=tuple(sorted(one.name for one in spec.sources if one.forge is not None)),
    )


def facts(spec: ControllerSpec) -> HostFacts:
    """What the configuration alone says of the host it is for."""
    return HostFacts(HOST, namespace=spec.namespace, share=spec.share_namespace)


def anything() -> Rules:
    """Rules without a configuration: what depends on a configuration is not checked."""
    return Rules(namespace_pattern="vcluster-{name}", engines=(), kubernetes_versions=(), ceilings=None)
