"""The sample repository is sound: every document valid, every layer renders, nothing claimed twice, its README true."""

import hashlib
import re
from collections.abc import Collection, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from devhost import stage
from reconciler.model import Bundle, Ceilings, EngineChart, HostFacts, Layer, Limits, Revision, Rules, Snapshot, Tree
from reconciler.packs.render import Renderer
from reconciler.spec import load, resolve

FACTS = HostFacts("local")
ROOT = Path(__file__).parent.parent.parent
SAMPLE = ROOT / "sample-repo"
CHART = ROOT / "devhost" / "chart"
CLUSTERS = ("sandbox", "team-a-dev", "team-a-prod", "team-b")


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def oid(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


@cache
def blobs() -> dict[str, bytes]:
    return {oid(data): data for folder in (SAMPLE, CHART) for data in contents(folder).values()}


def read(oids: Collection[str]) -> dict[str, bytes]:
    return {one: blobs()[one] for one in oids}


@cache
def rules() -> Rules:
    files = tuple((path, oid(data)) for path, data in contents(CHART).items())
    ceilings = msgspec.convert(stage.CEILINGS, Ceilings)
    charts = (EngineChart("0.36.1", "d", files),)
    return Rules("vcluster-{name}", charts, ("v1.36.0",), dns_pattern=stage.DNS_PATTERN, ceilings=ceilings)


def snapshot(files: dict[str, bytes]) -> Snapshot:
    ids = {path: oid(data) for path, data in files.items()}
    tree = Tree("t", ids, {oid(data): len(data) for data in files.values()})
    given = {oid(data): data for data in files.values()}
    found, _ = load.load("sample", Revision("main", "c" * 40), tree, given, load.NOTHING, rules(), FACTS, Limits())
    return found


@cache
def sample() -> Snapshot:
    return snapshot(contents(SAMPLE))


def bundle(name: str) -> Bundle:
    return resolve.bundle(name, sample().content, rules(), FACTS)


@pytest.fixture(scope="module")
def renderer() -> Iterator[Renderer]:
    made = Renderer(1)
    yield made
    made.close()


def objects(renderer: Renderer, layer: Layer) -> list[Any]:
    return list(renderer.render(layer, read, host_version="v1.36.0"))


def test_every_document_is_valid() -> None:
    assert sample().violations == ()
    assert sorted(sample().specs.clusters) == list(CLUSTERS)
    assert {("web-stack", "1.1.0"), ("web-stack", "1.2.0")} < set(sample().specs.profiles)


@pytest.mark.parametrize("name", CLUSTERS)
def test_every_layer_renders_and_claims_its_own(renderer: Renderer, name: str) -> None:
    claimed: dict[tuple[str, ...], str] = {}
    for layer in bundle(name).layers:
        found = objects(renderer, layer)
        assert found, layer.name
        for one in found:
            meta = one["metadata"]
            key = (str(layer.target), one["kind"], meta.get("namespace", layer.namespace), meta["name"])
            assert key not in claimed, f"{key} in {claimed.get(key)} and in {layer.name}"
            claimed[key] = layer.name


@pytest.mark.parametrize("name", CLUSTERS)
def test_namespaces_are_made_before_they_are_used(renderer: Renderer, name: str) -> None:
    made: dict[str, str] = {}
    before: dict[str, set[str]] = {}
    for layer in bundle(name).layers:
        before[layer.name] = {d for on in layer.depends_on for d in before[on] | {on}}
        found = objects(renderer, layer)
        made |= {one["metadata"]["name"]: layer.name for one in found if one["kind"] == "Namespace"}
        if layer.target.nested and layer.namespace:
            assert made[layer.namespace] in before[layer.name], layer.name


def test_both_versions_of_the_chart_are_in_use(renderer: Renderer) -> None:
    kinds = {}
    for name in ("team-a-dev", "team-a-prod"):
        (web,) = [layer for layer in bundle(name).layers if layer.name == "web-stack/web"]
        found = {one["kind"]: one for one in objects(renderer, web)}
        label = found["Deployment"]["metadata"]["labels"]["app.kubernetes.io/version"]
        kinds[label] = (set(found), found["Deployment"]["spec"]["replicas"], found["ConfigMap"]["data"]["log-level"])
    plain = {"ConfigMap", "Deployment", "NetworkPolicy", "Service"}
    assert kinds == {
        "1.1.0": (plain, 3, "info"),
        "1.2.0": (plain | {"Ingress", "PodDisruptionBudget"}, 2, "debug"),
    }


def test_entries_wait_for_their_kind() -> None:
    layers = {layer.name: layer for layer in bundle("team-a-dev").layers}
    assert layers["catalog/entries"].depends_on == ("catalog/kinds",)
    assert [gate.crd for gate in layers["catalog/kinds"].gates] == ["entries.catalog.example.com"]


@pytest.mark.parametrize(
    "path", [path for path, data in contents(SAMPLE).items() if b"\nkind: " in data and b"nidus.dev/v1" in data]
)
def test_modelines_name_the_schema_of_their_kind(path: str) -> None:
    text = contents(SAMPLE)[path].decode()
    named = re.match(r"# yaml-language-server: \$schema=(\S+)\n", text)
    kind = re.search(r"^kind: (\w+)$", text, re.MULTILINE)
    assert named and kind
    assert (SAMPLE / path).parent.joinpath(named[1]).resolve() == ROOT / "schemas" / f"{kind[1]}.schema.json"


def test_the_readme_tells_what_the_controller_allows() -> None:
    (told,) = re.findall(r"```yaml\n(.*?)```", (SAMPLE / "README.md").read_text(), re.DOTALL)
    assert yaml.safe_load(told) == {"policy": {"dnsPattern": stage.DNS_PATTERN}, "ceilings": stage.CEILINGS}


def test_files_named_in_the_readme_exist() -> None:
    named = re.findall(r"`((?:clusters|profiles)/[^`]+\.yaml)`", (SAMPLE / "README.md").read_text())
    assert len(named) >= 5
    assert [path for path in named if not (SAMPLE / path).exists()] == []


@pytest.mark.parametrize(
    ("path", "old", "new", "layers"),
    [
        ("clusters/team-a-dev.yaml", "replicas: 2}", "replicas: 3}", ["web-stack/web"]),
        (
            "clusters/team-a-prod.yaml",
            "version: 1.1.0, variables: {",
            "version: 1.2.0, variables: {domain: a.example.com, ",
            ["web-stack/notice", "web-stack/web"],
        ),
    ],
)
def test_changes_the_readme_offers_touch_only_what_it_says(path: str, old: str, new: str, layers: list[str]) -> None:
    files = contents(SAMPLE)
    assert files[path].count(old.encode()) == 1
    changed = snapshot({**files, path: files[path].replace(old.encode(), new.encode())})
    assert changed.violations == ()
    name = Path(path).stem
    before = {layer.name: layer.digest for layer in bundle(name).layers}
    after = {layer.name: layer.digest for layer in resolve.bundle(name, changed.content, rules(), FACTS).layers}
    assert [layer for layer in after if after[layer] != before.get(layer)] == layers
    for other in set(CLUSTERS) - {name}:
        assert resolve.bundle(other, changed.content, rules(), FACTS).digest == bundle(other).digest
