"""Properties of the planner (I-n): applying a plan leaves nothing to do, order does not matter, secrets do not appear."""

import base64
import json
import random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from reconciler.model import Desired, Plan
from reconciler.plan import render_json, render_text
from reconciler.plan.compute import compute
from reconciler.plan.diff import diff
from reconciler.plan.lines import Style
from reconciler.plan.mark import ref_of
from reconciler.plan.shown import with_creates
from tests.examples import examples
from tests.reviews import review
from tests.server_model import HOST, NONCE, SALT, Server, bundle, config_map, execute, layer, observe, plan, wanted

NAMES = st.sampled_from(["a", "b", "c.d"])
TEXT = st.sampled_from(["", "1", "x y", "two\nlines", "\x1b[2J"])
ENV = st.dictionaries(NAMES, TEXT, max_size=3).map(lambda env: [{"name": k, "value": v} for k, v in env.items()])
CONTAINERS = st.dictionaries(NAMES, ENV, min_size=1, max_size=3).map(
    lambda found: [{"name": name, "image": "i", "env": env} for name, env in found.items()]
)
FREE = st.recursive(
    st.booleans() | st.integers(0, 2) | st.sampled_from(["x", "y"]),
    lambda below: st.lists(below, max_size=2) | st.dictionaries(NAMES, below, max_size=2),
    max_leaves=6,
)
SECRET_VALUE = st.text("QXZ", min_size=6, max_size=9)


def deployment(name: str, containers: list[Any], replicas: int) -> dict[str, Any]:
    spec = {"replicas": replicas, "template": {"spec": {"containers": containers}}}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": "web"}, "spec": spec}


def thing(name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "x.io/v1", "kind": "Thing", "metadata": {"name": name, "namespace": "web"}, "spec": spec}


def secret(name: str, value: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": "web"},
        "stringData": {"k": value},
    }


OBJECT = st.one_of(
    st.builds(lambda name, data: config_map(name, **data), NAMES, st.dictionaries(NAMES, TEXT, max_size=3)),
    st.builds(deployment, NAMES, CONTAINERS, st.integers(0, 3)),
    st.builds(thing, NAMES, st.dictionaries(NAMES, FREE, max_size=3)),
    st.builds(secret, NAMES, SECRET_VALUE),
)
OBJECTS = st.lists(OBJECT, max_size=6, unique_by=lambda obj: (obj["kind"], obj["metadata"]["name"]))
ENGINE, BASE, TOP = layer("engine", HOST), layer("web/base"), layer("web/top")


def desire(on_host: list[Any], base: list[Any], top: list[Any]) -> list[Desired]:
    mine = {(obj["kind"], obj["metadata"]["name"]) for obj in base}
    rest = [obj for obj in top if (obj["kind"], obj["metadata"]["name"]) not in mine]
    return [wanted(ENGINE, *on_host), wanted(BASE, *base), wanted(TOP, *rest)]


def quiet(todo: Plan) -> bool:
    return all(change.action == "unchanged" for change in todo.changes)


@examples(8)
@given(st.lists(st.tuples(OBJECTS, OBJECTS, OBJECTS), min_size=1, max_size=4))
def test_after_a_plan_is_applied_nothing_is_left_to_do(commits: list[tuple[list[Any], list[Any], list[Any]]]) -> None:
    server, inventory = Server(), []
    for commit in commits:
        desired = desire(*commit)
        todo = plan(server, desired, inventory)
        assert not [change for change in todo.changes if change.action in ("hold", "skip")]
        inventory = execute(server, todo, inventory)
        again = plan(server, desired, inventory)
        assert quiet(again), [(c.action, c.ref, c.fields) for c in again.changes if c.action != "unchanged"]
        assert {(e.target, e.ref) for e in inventory} == set(server.objects)
        for one in desired:
            for obj in one.objects:
                live = server.objects[one.layer.target, ref_of(obj)]
                assert diff(obj, live, obj, ("metadata", "spec", "data"), ()) == ()


def shown(todo: Plan) -> str:
    return render_text.render(review(todo), Style(detail=True, creates=True))


@examples(8)
@given(OBJECTS, OBJECTS, OBJECTS, OBJECTS, st.randoms(use_true_random=False))
def test_a_plan_does_not_depend_on_order(
    old: list[Any], base: list[Any], top: list[Any], on_host: list[Any], chance: random.Random
) -> None:
    server = Server()
    inventory = execute(server, plan(server, desire([], old, [])))
    desired = desire(on_host, base, top)
    seen = observe(server, desired, inventory)
    of = bundle(ENGINE, BASE, TOP)

    def computed(desired: list[Desired], seen: Any, inventory: Any) -> Plan:
        return compute(of, desired, seen, inventory, salt=SALT, unknown={}, nonce=NONCE)

    first = computed(desired, seen, inventory)
    mixed = [Desired(one.layer, tuple(chance.sample(one.objects, len(one.objects)))) for one in desired]
    shuffled = dict(chance.sample(list(seen.items()), len(seen)))
    again = computed(chance.sample(mixed, len(mixed)), shuffled, chance.sample(inventory, len(inventory)))
    assert again == first and shown(again) == shown(first)
    assert json.dumps(render_json.render(review(again))) == json.dumps(render_json.render(review(first)))


@examples(8)
@given(SECRET_VALUE, SECRET_VALUE)
def test_secrets_appear_in_no_rendering(old: str, new: str) -> None:
    server = Server()
    first = plan(server, [wanted(BASE, secret("s", old))])
    inventory = execute(server, first)
    second = plan(server, [wanted(BASE, secret("s", new))], inventory)
    third = plan(server, [wanted(BASE)], inventory)
    texts = [shown(with_creates(one, SALT)) for one in (first, second, third)]
    texts += [json.dumps(render_json.render(review(with_creates(one, SALT)))) for one in (first, second, third)]
    for value in (old, new):
        for spelled in (value, base64.b64encode(value.encode()).decode()):
            assert not any(spelled in text for text in texts)


@examples(8)
@given(OBJECTS, OBJECTS, st.integers(20, 60))
def test_a_plan_cannot_move_the_cursor_or_leave_the_screen(old: list[Any], new: list[Any], width: int) -> None:
    server = Server()
    inventory = execute(server, plan(server, [wanted(BASE, *old)]))
    text = render_text.render(review(plan(server, [wanted(BASE, *new)], inventory)), Style(width=width))
    assert all(one.isprintable() and len(one) <= width for one in text.splitlines())
