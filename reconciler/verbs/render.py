"""`nidus render NAME [LAYER]`: the manifests of one nested cluster as they would be applied, from a folder, without a cluster.

Values of Secrets are never printed. What only a live cluster can say is told on standard error.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconciler.errors import Stalled, UsageError, few, printable
from reconciler.verbs import connection, offline, usage

if TYPE_CHECKING:
    from reconciler.model import Bundle, Desired, Layer, Object, Rules, Snapshot
    from reconciler.packs.blobs import Read
    from reconciler.packs.render import Renderer
    from reconciler.verbs.offline import Terms

EXAMPLES = (
    ("team-a", "every layer, as YAML documents"),
    ("team-a web-stack/web", "one layer"),
    ("team-a --config nidus.yaml -o json", "with the engine and the namespaces of the operator"),
)


@dataclass(frozen=True, slots=True)
class Given:
    """What the operator decided, as far as it is known here. `charts`: the files of the engines' charts by oid."""

    terms: Terms
    charts: Mapping[str, bytes]
    path: str

    @property
    def known_engine(self) -> bool:
        """Whether the engine's chart is known, here or elsewhere."""
        from reconciler.model import OID

        return bool(self.charts) or any(oid.startswith(OID) for one in self.terms.rules.engines for _, oid in one.files)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="the nested cluster")
    parser.add_argument("layer", nargs="?", default="", metavar="LAYER", help="one of its layers (default: all)")
    parser.add_argument(
        "--folder", default=".", metavar="DIR", help="a folder with documents, usually a work tree (default: here)"
    )
    parser.add_argument(
        "--config",
        default="",
        metavar="FILE",
        help="the controller's configuration: without it the engine's layer is left out",
    )
    parser.add_argument("--source", default="", help="which of its sources the folder is (default: the only one)")
    parser.add_argument("--offline", action="store_true", help="fetch nothing: use what the content store has")
    parser.add_argument("-o", "--output", choices=("yaml", "json"), default="yaml", help="how to print (default: yaml)")


def run(args: argparse.Namespace) -> int:
    """Exit code 0; 1 where the cluster has mistakes, or a layer cannot be rendered: the others are printed."""
    import secrets

    from reconciler.packs.blobs import beside

    given, salt = given_by(args.config, args.source), secrets.token_bytes(32)
    snapshot, read = _snapshot(Path(args.folder), given)
    bundle = bundle_of(args.name, snapshot, given)
    layers = chosen(bundle, args.layer, known_engine=given.known_engine)
    with offline.renderer(1, offline.elsewhere(given.terms.content, offline=args.offline)) as renderer:
        made, broken, notes = rendered(bundle, layers, given, beside(given.charts, read), renderer)
    shown = [(one, _shown(one, salt)) for one in made]
    print(_as_json(bundle, shown, notes) if args.output == "json" else _as_yaml(shown), flush=True)
    for note in notes:
        print(printable(f"not known offline: {note}"), file=sys.stderr)
    for name, why in broken.items():
        print(printable(f"error: layer {name} cannot be rendered: {why}"), file=sys.stderr)
    return usage.FAILED if broken else usage.DONE


def given_by(config: str, source: str) -> Given:
    """What a configuration says of one of its sources; without one, what allows everything."""
    if not config:
        return Given(offline.anything(), {}, ".")
    from reconciler import settings

    told = settings.load(config)
    terms = offline.Terms(told.rules, told.facts(""), told.limits, told.config.content)
    return Given(terms, told.charts, connection.source(config, told.config.sources, source).path)


def _snapshot(folder: Path, given: Given) -> tuple[Snapshot, Read]:
    from reconciler.source import folder as documents

    found = documents.read(folder, given.path, given.terms.limits)
    return offline.checked("render", found, given.terms)[0], found[2]


def bundle_of(name: str, snapshot: Snapshot, given: Given) -> Bundle:
    """The bundle of a cluster. Raises Stalled where the folder has no sound one of that name."""
    from reconciler.spec import resolve

    document = snapshot.specs.clusters.get(name)
    if document is None:
        for one in snapshot.violations:
            print(printable(f"{one.path}:{one.line}:{one.column}: {one.code} {one.message}"), file=sys.stderr)
        hint = "nidus validate tells what is wrong with the folder"
        if not snapshot.violations and snapshot.specs.clusters:
            hint = f"there are: {few(sorted(snapshot.specs.clusters), 12)}"
        hint = usage.close(name, snapshot.specs.clusters) or hint
        raise Stalled(f"no sound nested cluster {name} in this folder", hint=hint)
    rules = _offered(given.terms.rules, document.cluster.spec.engine.version)
    return resolve.bundle(name, snapshot.content, rules, given.terms.facts)


def _offered(rules: Rules, engine: str) -> Rules:
    """The rules with an engine to resolve with, where none is known: its layer is left out later."""
    from reconciler.model import EngineChart, replace

    return rules if rules.engines else replace(rules, engines=(EngineChart(engine or "0.0.0", "", ()),))


def chosen(bundle: Bundle, name: str, *, known_engine: bool) -> tuple[Layer, ...]:
    """One layer or all; without a known engine those that need none. Raises Stalled for a name that is none, UsageError for the engine
    without the operator's configuration."""
    if not name:
        return tuple(layer for layer in bundle.layers if known_engine or layer.role != "engine")
    found = tuple(layer for layer in bundle.layers if layer.name == name)
    if not found:
        names = [layer.name for layer in bundle.layers]
        hint = usage.close(name, names) or f"its layers are {', '.join(names)}"
        raise Stalled(f"{bundle.cluster} has no layer {name}", hint=hint)
    if found[0].role == "engine" and not known_engine:
        raise UsageError("the engine's chart is named by the controller's configuration", hint="--config FILE")
    return found


def rendered(
    bundle: Bundle, layers: Sequence[Layer], given: Given, read: Read, renderer: Renderer
) -> tuple[tuple[Desired, ...], dict[str, str], list[str]]:
    """Each layer with its objects as they would be sent; why others cannot be rendered; what is not known."""
    from reconciler.gather import render as gathered
    from reconciler.gather import scope

    version = bundle.versions.kubernetes or offline.newest(given.terms.rules)
    notes = _notes(bundle, given, version)
    found, broken = _each(layers, renderer, read, version, notes)
    known = scope.Scopes(_nobody, scope.declared((layer.target, objects) for layer, objects in found))
    made = gathered.desired(bundle, found, known, "")
    for one in made:
        kinds = sorted({str(item["kind"]) for item in one.unplaced})
        notes += [f"whether {kind} of {one.layer.name} has a namespace: it is printed as written" for kind in kinds]
    return made, broken, notes


def _shown(one: Desired, salt: bytes) -> tuple[Object, ...]:
    from reconciler.plan import mark, redact

    def shown(item: Object) -> Object:
        return redact.hidden(_plain(item), redact.of_object(one.layer.target, mark.ref_of(item), salt))

    return tuple(map(shown, (*one.objects, *one.unplaced)))


def _each(
    layers: Sequence[Layer], renderer: Renderer, read: Read, version: str, notes: list[str]
) -> tuple[list[tuple[Layer, tuple[Object, ...]]], dict[str, str]]:
    from reconciler.errors import Retry
    from reconciler.packs import apis

    rendered, broken = [], {}
    for layer in layers:
        try:
            asks = renderer.asks(layer, read)
            served = apis.known(version) if asks else ()
            rendered.append((layer, renderer.render(layer, read, host_version=version, api_versions=served)))
        except (Stalled, Retry) as error:
            broken[layer.name] = f"{error.reason}: {error.told}"
            continue
        if asks:
            notes.append(
                f"the API versions that {layer.target} serves, which {layer.name} asks for (Capabilities.APIVersions): "
                f"those of Kubernetes {version} are taken, without any CRD's"
            )
    return rendered, broken


def _notes(bundle: Bundle, given: Given, version: str) -> list[str]:
    notes = [f"the Kubernetes version of the host: charts of the host see {version}"]
    if not bundle.versions.kubernetes:
        notes[0] = f"the Kubernetes versions of the host and of {bundle.cluster}: charts see {version}"
    if not given.known_engine:
        notes.append(
            "the engine's chart, namespaces and policies of the operator (--config): the engine's layer is left out"
        )
    return [*notes, "the annotation nonce of each object, and versions that run and are therefore kept"]


def _nobody(target: object, group: str, kind: str) -> bool:
    raise Stalled("there is no server")


def _plain(item: Object) -> Object:
    """Without the nonce's annotation, whose value only the controller knows."""
    annotations = {
        key: value for key, value in (item["metadata"].get("annotations") or {}).items() if value or "nonce" not in key
    }
    rest = {key: value for key, value in item["metadata"].items() if key != "annotations"}
    return {**item, "metadata": rest | ({"annotations": annotations} if annotations else {})}


def _as_yaml(made: Sequence[tuple[Desired, tuple[Object, ...]]]) -> str:
    import yaml

    class Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
        def ignore_aliases(self, data: object) -> bool:
            return True

    parts = []
    for one, objects in made:
        head = f"# layer {one.layer.name} on {one.layer.target}\n"
        parts += [f"---\n{head}{yaml.dump(item, Dumper=Dumper, sort_keys=False)}" for item in objects]
    return "".join(parts).rstrip("\n")


def _as_json(bundle: Bundle, made: Sequence[tuple[Desired, tuple[Object, ...]]], notes: Sequence[str]) -> str:
    import json

    layers: list[dict[str, Any]] = [
        {"name": one.layer.name, "target": str(one.layer.target), "objects": objects} for one, objects in made
    ]
    told = {"cluster": bundle.cluster, "revision": str(bundle.revision), "layers": layers, "notKnown": list(notes)}
    return json.dumps(told, indent=2)
