"""Golden cases: tests/cases/NAME. From repositories of any number of clusters, and an edited live state, to the plans people read.

    revisions/1, 2, ...   what the commits say, oldest first; all but the last are applied. In short cases, instead of it:
    before/     what was applied last (none: nothing was)        repo/      what the commit says
    live.yaml   what others did since, one document each         case.yaml  now, down, unknown, immutable, driven, held, tombstone
    plan.txt    the plan; written anew by NIDUS_CASES=write. So are, where they stand, plan.md, plan.json and creates.txt (the same
                plan with the fields of what is created)
The way is the real one but for the API server: folder, load, resolve, render, mark, suspects, plan. Field managers are those of
tests.memory, which is held to a real server.
The engine's chart is left out.
"""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler.model import (
    Bundle,
    ClusterReview,
    Desired,
    Held,
    InventoryEntry,
    Limits,
    ObjectRef,
    Permit,
    Review,
    Revision,
    Target,
    Tombstone,
    replace,
)
from reconciler.packs.render import Renderer
from reconciler.plan import behind, render_json, render_markdown, render_text
from reconciler.plan.compute import compute
from reconciler.plan.guard import guard
from reconciler.plan.lines import Style
from reconciler.plan.mark import mark
from reconciler.plan.shown import with_creates
from reconciler.source import folder
from reconciler.spec import load, resolve
from tests.reviews import AT
from tests.server_model import NONCE, SALT, Server, execute, observe
from tests.spec_cases import FACTS, RULES

CASES = Path(__file__).parent / "cases"
CLUSTER_SCOPED = {"Namespace", "ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition"}


def _steps(path: Path) -> list[Path]:
    """The repositories of a case, oldest first; the plan is that of the last."""
    revisions = sorted((path / "revisions").iterdir()) if (path / "revisions").is_dir() else []
    return revisions or [step for step in (path / "before", path / "repo") if step.is_dir()]


def _revision(number: int) -> Revision:
    return Revision("main", str(number) * 40)


@pytest.fixture(scope="module")
def renderer() -> Iterator[Renderer]:
    made = Renderer(1)
    yield made
    made.close()


@pytest.mark.parametrize("case", sorted(path.name for path in CASES.iterdir() if _steps(path)))
def test_case(case: str, renderer: Renderer) -> None:
    path = CASES / case
    more = _yaml(path / "case.yaml")[0] if (path / "case.yaml").exists() else {}
    server, inventories = Server(), dict[str, list[InventoryEntry]]()
    *before, last = _steps(path)
    for number, step in enumerate(before):
        for bundle, desired in _desired(step, _revision(1 if len(before) == 1 else number), renderer):
            known = inventories.get(bundle.cluster, [])
            inventories[bundle.cluster] = execute(server, _plan(server, bundle, desired, known, {}), known)
    for edit in _yaml(path / "live.yaml") if (path / "live.yaml").exists() else []:
        _edit(server, edit)
    found = [
        _reviewed(server, bundle, desired, inventories.get(bundle.cluster, []), more)
        for bundle, desired in _desired(last, _revision(2), renderer)
    ]
    whole = Review("platform", _revision(2), "local", AT, tuple(found))
    for name, text in _forms(whole).items():
        file = path / name
        if os.environ.get("NIDUS_CASES") == "write" and (name == "plan.txt" or file.exists()):
            file.write_text(text)
        assert name != "plan.txt" or file.exists()
        assert not file.exists() or text == file.read_text()


def _forms(whole: Review) -> dict[str, str]:
    """File name -> what people and programs read."""
    return {
        "plan.txt": render_text.render(whole, Style(width=110)) + "\n",
        "creates.txt": render_text.render(whole, Style(creates=True)) + "\n",
        "plan.md": render_markdown.render(whole, Style()) + "\n",
        "plan.json": json.dumps(render_json.render(whole), indent=2) + "\n",
    }


def _reviewed(
    server: Server, bundle: Bundle, desired: list[Desired], inventory: list[InventoryEntry], more: Mapping[str, Any]
) -> ClusterReview:
    """The plan of one cluster, as it is shown."""
    if "tombstone" in more:
        bundle, desired = replace(bundle, layers=(), tombstone=Tombstone(**more["tombstone"])), []
    todo = _plan(server, bundle, desired, inventory, more)
    held = Held(**more["held"], consent=todo.consent.digest) if "held" in more else None
    if held:
        todo = guard(todo, Permit(held={bundle.cluster: held}), [], float(more.get("now", 0)), "platform")
    down = {one.layer.name for one in desired if str(one.layer.target) in more.get("down", ())}
    waits = behind.layers(bundle.layers, todo)
    return ClusterReview(
        bundle.cluster, with_creates(todo, SALT), held, bundle.tombstone, frozenset(down), behind=waits
    )


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


def _desired(path: Path, revision: Revision, renderer: Renderer) -> list[tuple[Bundle, list[Desired]]]:
    """Each cluster of a repository, by name, with what it should be."""
    _, found, read = folder.read(path, ".", Limits())
    blobs = read(load.wanted(found, load.NOTHING))
    snapshot, _ = load.load("platform", revision, found, blobs, load.NOTHING, RULES, FACTS, Limits())
    assert snapshot.violations == ()
    made = []
    for name in sorted(snapshot.specs.clusters):
        bundle = resolve.bundle(name, snapshot.content, RULES, FACTS)
        layers = tuple(one for one in bundle.layers if one.name != "engine")
        wanted = [
            Desired(one, tuple(_placed(obj, one, name) for obj in renderer.render(one, read, host_version="v1.36.0")))
            for one in layers
        ]
        made.append((replace(bundle, layers=layers), wanted))
    return made


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
