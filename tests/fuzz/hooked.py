"""Hooks of charts: any annotations, phases, live objects and records of what ran, to the plan and what is shown of it."""

from random import Random
from typing import Any

from reconciler.errors import NidusError
from reconciler.model import Desired, Layer, Observed, Ran, Result, Tombstone, replace
from reconciler.packs.charthooks import kept
from reconciler.packs.objects import collect
from reconciler.plan import hook_runs, hooks, leaving, mark, render_json, render_text
from reconciler.plan.compute import compute
from reconciler.plan.lines import Style
from tests.fuzz import values
from tests.fuzz.harness import Case
from tests.fuzz.objects import live
from tests.reviews import review
from tests.server_model import NESTED, NONCE, SALT, bundle, config_map, entry

EVENTS = (
    "pre-install",
    "post-install",
    "pre-upgrade",
    "post-upgrade",
    "pre-delete",
    "post-delete",
    "test",
    "crd-install",
    "PRE-INSTALL",
    "x",
    "",
)
POLICIES = (hooks.BEFORE, hooks.SUCCEEDED, hooks.FAILED, "x", "")
WEIGHTS = ("0", "-5", "10", "1e9", "²", "9" * 400, " 3 ", "")
CONDITIONS = ("Complete", "Failed", "Suspended")
JOB: dict[str, Any] = {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "m", "image": "m:1"}]}}}
STATES = ("", hooks.DONE.text, hooks.BEGUN.text, hooks.broke("m").text, "x")


def hooked() -> Case:
    """One look at a layer with hooks: what ran, what is to run, and its plan."""
    one = Layer("web/app", NESTED, "helm", {"hooks": "Run"}, "d")

    def case(draw: Random) -> None:
        made = [hook(draw, number) for number in range(draw.randint(1, 4))]
        found = list(kept([("a.yaml", each) for each in (*made, config_map("c", a="1"))], "Run"))
        try:
            sound = collect(found, "web")
        except NidusError as error:
            assert error.message.isprintable()
            return
        marked = [mark.mark(each, cluster="team-a", layer=one.name, nonce=NONCE, nested=True) for each in sound]
        plain, runs = hooks.split(one, marked)
        looked(draw, Desired(one, tuple(plain), hooks=tuple(runs)))
        looked(draw, Desired(replace(one, role=leaving.ROLE), (), hooks=tuple(runs)))

    return case


def looked(draw: Random, desired: Desired) -> None:
    """What a pass makes of the layer, with results that were never asked for."""
    every = (*desired.objects, *desired.hooks)
    observed = {(NESTED, mark.ref_of(each)): seen(draw, each) for each in every if draw.random() < 0.9}
    entries = [entry(ref, uid=each.uid) for (_, ref), each in observed.items() if draw.random() < 0.7]
    known = {desired.layer.name: before(draw, desired)} if draw.random() < 0.7 else {}
    leaves = desired.layer.role == leaving.ROLE
    whole = bundle() if leaves else bundle(desired.layer)
    if leaves and draw.random() < 0.5:
        whole = replace(whole, tombstone=Tombstone(0.0, draw.choice((0.0, 1e9, 2e9)), "Delete", protect=False))
    ground = hooks.Ground(whole, [desired], observed, mark.entries_of(entries, observed), frozenset(), NONCE, 1e9)
    ran = hook_runs.advanced(ground, known)
    assert all(len(each.steps) <= 2 * len(desired.hooks) + len(STATES) for each in ran.values())
    todo = compute(whole, [desired], observed, entries, salt=SALT, unknown={}, nonce=NONCE, now=1e9, hooks=ran)
    render_json.render(review(todo))
    assert all(line.isprintable() for line in render_text.render(review(todo), Style(detail=True)).split("\n"))
    results = [
        Result(change, draw.choice(("created", "failed", "unchanged")), error="m", reason="HookFailed")
        for change in todo.changes
    ]
    hook_runs.recorded(ran, [desired], results, removed=whole.tombstone is not None)


def hook(draw: Random, number: int) -> dict[str, Any]:
    told = {
        hooks.EVENT: ",".join(draw.choice(EVENTS) for _ in range(draw.randint(1, 3))),
        hooks.WEIGHT: draw.choice(WEIGHTS),
        hooks.POLICY: ", ".join(draw.sample(POLICIES, 2)),
    }
    notes: Any = {key: value for key, value in told.items() if draw.random() < 0.9}
    if draw.random() < 0.3:
        notes = values.change(draw, notes)
    kind, version, body = draw.choice((("Job", "batch/v1", {"spec": JOB}), ("ConfigMap", "v1", {"data": {"a": "1"}})))
    metadata = {"name": f"h{number}", "namespace": "web", "annotations": notes}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **body}


def seen(draw: Random, asked: Any) -> Observed:
    """The hook's object as a tenant may have left it."""
    ref, there = mark.ref_of(asked), live(draw, asked) if draw.random() < 0.8 else None
    if there is not None and draw.random() < 0.7:
        told = [{"type": draw.choice(CONDITIONS), "status": "True", "message": draw.choice(values.TEXTS)}]
        note = {"inside.nidus.dev/hook": draw.choice(("r pre-install", "r post-install", *values.TEXTS))}
        there = {**there, "status": {"conditions": told, "phase": draw.choice(("Failed", "Succeeded", "x"))}}
        there["metadata"] = {
            **there["metadata"],
            "annotations": {**(there["metadata"].get("annotations") or {}), **note},
        }
    unknown = draw.choice(("", "", "", "Denied: m"))
    return replace(Observed(NESTED, ref, there, there), unknown=unknown)


def before(draw: Random, desired: Desired) -> Ran:
    keys = [f"{draw.choice(EVENTS)} {mark.ref_of(each)}" for each in desired.hooks]
    steps = {key: draw.choice(STATES) for key in keys}
    return Ran(
        draw.choice(("d", "e")), draw.choice(("install", "upgrade", "delete", "x")), "r", draw.random() < 0.3, steps
    )
