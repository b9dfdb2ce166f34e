"""Golden cases: tests/cases/NAME. From two repositories and an edited live state to the plan people read.

    before/     what was applied last (none: nothing was)        repo/      what the commit says
    live.yaml   what others did since, one document each         case.yaml  now, down, unknown, immutable, driven, held, tombstone
    plan.txt    the plan; written anew by NIDUS_CASES=write
The way is the real one but for the API server: folder, load, resolve, render, mark, suspects, plan. Field managers are those of
tests.memory, which is held to a real server.
The engine's chart is left out.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler.model import (
    Bundle,
    Desired,
    Held,
    InventoryEntry,
    Limits,
    ObjectRef,
    Permit,
    Revision,
    Target,
    Tombstone,
)
from reconciler.packs.render import Renderer
from reconciler.plan import render_text
from reconciler.plan.compute import compute
from reconciler.plan.guard import guard
from reconciler.plan.mark import mark
from reconciler.source import folder
from reconciler.spec import load, resolve
from tests.server_model import NONCE, SALT, Server, execute, observe
from tests.spec_cases import POLICY

CASES = Path(__file__).parent / "cases"
OLD = Revision("main", "1111111111111111111111111111111111111111")
NEW = Revision("main", "2222222222222222222222222222222222222222")
CLUSTER_SCOPED = {"Namespace", "ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition"}


@pytest.fixture(scope="module")
def renderer() -> Iterator[Renderer]:
    made = Renderer(1)
    yield made
    made.close()


@pytest.mark.parametrize("case", sorted(path.name for path in CASES.iterdir() if (path / "repo").is_dir()))
def test_case(case: str, renderer: Renderer) -> None:
    path = CASES / case
    more = _yaml(path / "case.yaml")[0] if (path / "case.yaml").exists() else {}
    server, inventory = Server(), list[InventoryEntry]()
    if (path / "before").is_dir():
        bundle, desired = _desired(path / "before", OLD, renderer)
        inventory = execute(server, _plan(server, bundle, desired, inventory, {}))
    for edit in _yaml(path / "live.yaml") if (path / "live.yaml").exists() else []:
        _edit(server, edit)
    bundle, desired = _desired(path / "repo", NEW, renderer)
    if "tombstone" in more:
        bundle, desired = replace(bundle, layers=(), tombstone=Tombstone(**more["tombstone"])), []
    todo = _plan(server, bundle, desired, inventory, more)
    if "held" in more:
        todo = guard(todo, Permit(held={bundle.cluster: Held(**more["held"])}), [], float(more.get("now", 0)))
    text = render_text.render(todo, width=110) + "\n"
    if os.environ.get("NIDUS_CASES") == "write":
        (path / "plan.txt").write_text(text)
    assert text == (path / "plan.txt").read_text()


def _plan(
    server: Server, bundle: Bundle, desired: list[Desired], inventory: list[InventoryEntry], more: Mapping[str, Any]
) -> Any:
    down = set(more.get("down", ()))
    driven = more.get("driven", {})
    seen = {key: one for key, one in observe(server, desired, inventory, driven).items() if str(key[0]) not in down}
    for key, one in list(seen.items()):
        if str(key[1]) in more.get("immutable", ()):
            seen[key] = replace(one, merged=None, immutable=True, refused="Invalid: field is immutable")
    unknown = {one.layer.name: "" for one in desired if str(one.layer.target) in down} | dict(more.get("unknown", {}))
    rendered = [one for one in desired if one.layer.name not in more.get("unknown", {})]
    now = float(more.get("now", 0))
    return compute(bundle, rendered, seen, inventory, salt=SALT, unknown=unknown, nonce=NONCE, now=now)


def _desired(path: Path, revision: Revision, renderer: Renderer) -> tuple[Bundle, list[Desired]]:
    _, found, read = folder.read(path, ".", Limits())
    blobs = read(load.wanted(found, load.NOTHING))
    snapshot, _ = load.load("platform", revision, found, blobs, load.NOTHING, POLICY, Limits())
    assert snapshot.violations == ()
    (name,) = snapshot.specs.clusters
    bundle = resolve.bundle(name, snapshot.content, POLICY)
    layers = tuple(one for one in bundle.layers if one.name != "engine")
    return replace(bundle, layers=layers), [
        Desired(one, tuple(_placed(obj, one, name) for obj in renderer.render(one, read, host_version="v1.36.0")))
        for one in layers
    ]


def _placed(obj: Any, layer: Any, cluster: str) -> Any:
    if obj["kind"] not in CLUSTER_SCOPED and not obj["metadata"].get("namespace"):
        obj = {**obj, "metadata": {**obj["metadata"], "namespace": layer.namespace or "default"}}
    return mark(obj, cluster=cluster, layer=layer.name, nonce=NONCE, nested=bool(layer.target.nested))


def _edit(server: Server, edit: dict[str, Any]) -> None:
    """One change somebody else made: `object` merged into the live one (or made), or `delete` a ref."""
    host, _, nested = str(edit["target"]).partition("/")
    target = Target(host, nested)
    if "delete" in edit:
        del server.objects[target, ObjectRef(*edit["delete"])]
        return
    obj = edit["object"]
    more = {name: str(edit.get(name, "")) for name in ("subresource", "time")}
    server.edit(target, obj, str(edit["manager"]), **more)


def _yaml(path: Path) -> list[Any]:
    return [one for one in yaml.safe_load_all(path.read_text()) if one]
