"""Which kinds are served: those of the facts, and those of established CRDs; and how discovery tells of them."""

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from tests.memory import facts
from tests.memory.refusal import What
from tests.memory.shapes import Library, Map, Type, structural

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind at one version. `custom` is the CRD's version entry, None for kinds of Kubernetes itself."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool
    subresources: frozenset[str]
    type: Type = field(repr=False, compare=False)
    custom: Mapping[str, Any] | None = field(default=None, repr=False, compare=False)

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def resource(self) -> tuple[str, str]:
        """What objects of every version are stored under."""
        return self.group, self.plural

    def what(self, name: str = "") -> What:
        """It, or an object of it, as refusals speak of it."""
        return What(self.group, self.plural, self.kind, name)


@cache
def library() -> Library:
    return Library(facts.read()["types"])


@cache
def built_in() -> tuple[Kind, ...]:
    """The kinds of Kubernetes itself, in the order of discovery."""
    return tuple(
        Kind(
            one["group"], one["version"], one["kind"], one["plural"], one["namespaced"], frozenset(one["subresources"]),
            library().named(one["type"]),
        )
        for one in facts.read()["kinds"]
    )  # fmt: skip


def of_crd(crd: Mapping[str, Any]) -> list[Kind]:
    """The kinds an established CRD serves, its storage version first."""
    spec, names = crd["spec"], crd["spec"]["names"]
    served = [one for one in spec["versions"] if one["served"]]
    return [
        Kind(
            spec["group"], one["name"], names["kind"], names["plural"], spec["scope"] == "Namespaced",
            frozenset(one.get("subresources") or ()), _custom(one), one,
        )
        for one in sorted(served, key=lambda one: not one.get("storage"))
    ]  # fmt: skip


def _custom(version: Mapping[str, Any]) -> Type:
    schema = (version.get("schema") or {}).get("openAPIV3Schema") or {"x-kubernetes-preserve-unknown-fields": True}
    made = structural(schema)
    spec = made.map or Map()
    fixed = {"apiVersion": Type("s"), "kind": Type("s"), "metadata": library().named(_META)}
    return Type(map=Map({**spec.fields, **fixed}, spec.other if spec.fields or spec.other else None, False, spec.given))


_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"


# Discovery


def discovery(kinds: Iterable[Kind], *, core: bool, stale: Container[str] = ()) -> Object:
    """The aggregated document of /api (`core`) or /apis; groups in `stale` are served by somebody who does not answer."""
    groups: dict[str, dict[str, list[Object]]] = {}
    for one in kinds:
        if (not one.group) == core:
            groups.setdefault(one.group, {}).setdefault(one.version, []).append(_entry(one))
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": [
            {
                "metadata": {"name": group} if group else {},
                "versions": [
                    {"version": version, "freshness": "Current", "resources": entries}
                    if group not in stale
                    else {"version": version, "freshness": "Stale", "resources": []}
                    for version, entries in versions.items()
                ],
            }
            for group, versions in groups.items()
        ],
    }


def _entry(one: Kind) -> Object:
    kind = {"group": one.group, "version": "" if one.custom is None else one.version, "kind": one.kind}
    verbs = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
    return {
        "resource": one.plural,
        "responseKind": kind,
        "scope": "Namespaced" if one.namespaced else "Cluster",
        "singularResource": one.kind.lower(),
        "verbs": verbs,
        "subresources": [
            {"subresource": sub, "responseKind": kind, "verbs": ["get", "patch", "update"]}
            for sub in sorted(one.subresources)
        ],
    }
