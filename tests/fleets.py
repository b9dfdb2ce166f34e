"""Snapshots, records and requests for the tests of `fleet`."""

from typing import Any

from reconciler import fleet
from reconciler.model import (
    ClusterDocument,
    ClusterProfile,
    ClusterSpec,
    Content,
    EngineChart,
    HostFacts,
    ManifestsPack,
    Metadata,
    NestedCluster,
    Pack,
    ProfileDocument,
    ProfileSpec,
    ProfileUse,
    Record,
    Request,
    Revision,
    Rollout,
    Rules,
    Snapshot,
    Specs,
)

NOW = 1_000_000.0
DAY = 86400.0
CHARTS = (EngineChart("0.36.0", "d0", ()), EngineChart("0.36.1", "d1", ()))
RULES = Rules("vcluster-{name}", CHARTS, ("v1.35.0", "v1.36.0"))
FACTS = HostFacts("local")
OLD, NEW = Revision("main", "a" * 40), Revision("main", "b" * 40)


def cluster(name: str, **spec: Any) -> ClusterDocument:
    body = NestedCluster(
        api_version="nidus.dev/v1alpha1",
        kind="NestedCluster",
        metadata=Metadata(name=name),
        spec=ClusterSpec(**spec),
    )
    return ClusterDocument(body, f"clusters/{name}.yaml", 1, f"digest of {name} {spec}")


def profile(name: str, version: str, digest: str = "p1") -> ProfileDocument:
    spec = ProfileSpec(version=version, packs=(Pack(name="base", manifests=ManifestsPack()),))
    body = ClusterProfile(
        api_version="nidus.dev/v1alpha1", kind="ClusterProfile", metadata=Metadata(name=name), spec=spec
    )
    return ProfileDocument(body, f"profiles/{name}.yaml", 1, digest, {})


def specs(*documents: ClusterDocument | ProfileDocument) -> Specs:
    clusters = {one.cluster.metadata.name: one for one in documents if isinstance(one, ClusterDocument)}
    profiles = {
        (one.profile.metadata.name, one.profile.spec.version): one
        for one in documents
        if isinstance(one, ProfileDocument)
    }
    return Specs(clusters, profiles)


def snapshot(*documents: ClusterDocument | ProfileDocument, **fields: Any) -> Snapshot:
    return Snapshot("platform", NEW, "tree", {}, specs(*documents), **fields)


def record(name: str, source: str = "platform", **fields: Any) -> Record:
    return Record(
        source=source,
        cluster=name,
        host="local",
        path=f"clusters/{name}.yaml",
        branch="main",
        commit=OLD.commit,
        digests=fields.pop("digests", {}),
        nonce="n",
        born=fields.pop("born", 5.0),
        **fields,
    )


def accepted(*documents: ClusterDocument | ProfileDocument) -> dict[str, Content]:
    content = Content(OLD, specs(*documents))
    return dict.fromkeys(content.specs.clusters, content)


def records(*names: str) -> dict[str, Record]:
    return {name: record(name) for name in names}


def admit(
    found: Snapshot,
    before: dict[str, Content] | None = None,
    known: dict[str, Record] | None = None,
    requests: tuple[Request, ...] = (),
    rules: Rules = RULES,
    now: float = NOW,
) -> Rollout:
    return fleet.admit(found, before or {}, known or {}, requests, rules, now)


def approve(consent: str = "", items: tuple[str, ...] = (), expires: float = 0.0) -> Request:
    return Request("approve", "platform", "", "ops", NOW, expires, consent, items)


def uses(name: str, span: str) -> ClusterDocument:
    return cluster(name, profiles=(ProfileUse(name="web", version=span),))


A, B, C = cluster("a"), cluster("b"), cluster("c")
