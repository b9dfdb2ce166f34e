"""Live objects that a tenant made hostile, through the planner, the rules of health and whole passes."""

import json
from collections.abc import Mapping
from random import Random
from typing import Any

from reconciler import health
from reconciler.engine import readiness
from reconciler.engine.writes import foreign
from reconciler.errors import NidusError
from reconciler.kube.client import Client
from reconciler.kube.discovery import Resource
from reconciler.kube.shape import Asked, decoded
from reconciler.kube.transport import Limits, Transport
from reconciler.model import IgnoreRule, Observed, Target, replace
from reconciler.packs.objects import collect
from reconciler.plan import handover, mark, paths, render_json, render_markdown, render_text, strays
from reconciler.plan.compute import compute
from reconciler.plan.fields import managed, owned
from reconciler.plan.lines import Style
from reconciler.plan.request import request
from reconciler.plan.shown import with_creates
from tests import one_pass
from tests.fuzz import values
from tests.fuzz.harness import Case
from tests.memory.api import Api
from tests.memory.server import Response, Server
from tests.reviews import review
from tests.server_model import HOST, NESTED, NONCE, SALT, bundle, config_map, entry, layer, wanted

WHO: Mapping[str, Any] = {"namespace": "web", "uid": "u", "resourceVersion": "1"}
POD = {
    "metadata": {"labels": {"app": "a"}},
    "spec": {"containers": [{"name": "c", "image": "i", "ports": [{"containerPort": 80}]}]},
}
ROLLOUT = {"replicas": 2, "selector": {"matchLabels": {"app": "a"}}, "template": POD}
WANTED: tuple[dict[str, Any], ...] = (
    *(config_map(name, a="1", b="2") for name in ("c", "c2", "c3", "c4")),
    {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "namespace": "web"}, "spec": ROLLOUT},
    {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s", "namespace": "web", "labels": {"x": "y"}},
     "spec": {"selector": {"app": "a"}, "ports": [{"name": "http", "port": 80}, {"name": "https", "port": 443}]}},
)  # fmt: skip
STATUS = {"observedGeneration": 1, "replicas": 2, "readyReplicas": 1, "loadBalancer": {"ingress": [{"ip": "10.0.0.1"}]},
          "conditions": [{"type": "Ready", "status": "True", "reason": "r", "message": "m"}], "phase": "Running"}  # fmt: skip


class Liar(Server):
    """Answers as Kubernetes does, until `draw` is set: then some answers are changed on their way."""

    draw: Random | None = None
    share = 0.5

    def request(self, *args: Any, **more: Any) -> Response:
        found = super().request(*args, **more)
        draw = self.draw
        if draw is None or args[1] in ("/api", "/apis") or not found.body or draw.random() > self.share:
            return found
        return Response(
            draw.choice((found.status, found.status, 200, 404, 409, 500)), found.headers, lied(draw, found.body)
        )


def lied(draw: Random, body: bytes) -> bytes:
    """Another body than the one the server meant."""
    told = json.loads(body)
    for one in [told, *told.get("items", ())]:
        if isinstance(one.get("metadata"), dict) and draw.random() < 0.7:
            one["metadata"] |= {
                key: value
                for key, value in values.hostile_metadata(draw).items()
                if key not in ("uid", "resourceVersion")
            }
    if draw.random() < 0.4:
        return values.encoded(values.change(draw, told, 2))
    return values.damage(draw, body) if draw.random() < 0.1 else values.encoded(told)


def planned() -> Case:
    """What is read of one live object: its managers, its health, how it differs and what is ignored of it."""
    one = layer()

    def case(draw: Random) -> None:
        asked = draw.choice(WANTED)
        there, then = (live(draw, asked) for _ in range(2))
        if there is None or then is None:
            return
        ref = mark.ref_of(asked)
        before = (*owned(asked), *managed(there))
        for path in before:
            paths.parse(path)
        pointers = tuple(pointer(draw) for _ in range(draw.randrange(3)))
        ruled = replace(one, ignore=(IgnoreRule(kind=ref.kind, pointers=pointers),))
        request(asked, ruled, there)
        seen = Observed(NESTED, ref, there, then, driven=draw.choice(("", "hpa")), foreign=foreign(there))
        known = entry(ref, uid=str(there["metadata"]["uid"]), fields=before)
        todo = compute(bundle(ruled), [wanted(ruled, asked)], {(NESTED, ref): seen}, [known] if draw.random() < 0.8 else [],
                       salt=SALT, unknown={}, nonce=NONCE)  # fmt: skip
        handover.handed_over(there, strays.found(asked, there, before).all)
        shown = review(with_creates(todo, SALT))
        render_json.render(shown)
        assert all(line.isprintable() for line in render_text.render(shown, Style(detail=True)).split("\n"))
        assert len(render_markdown.render(shown, Style(creates=True))) <= render_markdown.LIMIT
        found = health.compute(there)
        assert found.message.isprintable() and found.reason.isprintable()
        readiness.compute({ref: there}, True, True)

    return case


def live(draw: Random, asked: Mapping[str, Any]) -> Any:
    """The object as a hostile server tells it, where `kube` lets it through."""
    told = {**asked, "metadata": {**asked["metadata"], **WHO, **values.hostile_metadata(draw)}, "status": STATUS}
    told = values.change(draw, told) if draw.random() < 0.6 else told
    group, _, version = str(asked["apiVersion"]).rpartition("/")
    resource = Resource(group, version, asked["kind"], "things", True)
    try:
        return decoded(values.encoded(told), Asked("get", resource, "web", asked["metadata"]["name"]))
    except NidusError:
        return None


def pointer(draw: Random) -> str:
    """A JSON pointer as `ignoreDifferences` may give it."""
    parts = (
        "data",
        "a",
        "²",
        "-",
        "0",
        "-1",
        "99999999999999999999",
        "~",
        "~2",
        "",
        "metadata",
        "labels",
        "name",
        "spec",
        "ports",
        "template",
    )
    return "".join(f"/{draw.choice(parts)}" for _ in range(draw.randrange(5)))


def on_the_host() -> Case:
    return passes(HOST)


def inside() -> Case:
    """Where many objects of a kind are listed."""
    return passes(NESTED)


def passes(target: Target) -> Case:
    """A pass over a few objects, each call of which may be lied to: observe, dry-run, plan, apply, confirm."""
    server = Liar()
    server.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "web"}})
    client = Client(Transport(Api(server), limits=Limits(deadline=10.0)))
    known = one_pass.run(client, WANTED, target=target).entries
    assert known and all(one.uid for one in known)
    stands = server.snapshot()

    def case(draw: Random) -> None:
        server.draw = None
        server.restore(stands)
        asked = [values.change(draw, one, 2) if draw.random() < 0.2 else one for one in WANTED]
        sound = [one for one in asked if _is_object(one)]
        server.draw, server.share = draw, draw.choice((0.1, 0.3, 0.9))
        entries = known if draw.random() < 0.8 else ()
        try:
            done = one_pass.run(client, draw.sample(sound, draw.randint(0, len(sound))), entries, target)
        except NidusError as error:
            assert error.message.isprintable()
            return
        assert all(one.error.isprintable() for one in done.results)
        render_json.render(review(done.plan))
        assert "\x1b" not in render_text.render(review(done.plan), Style())

    return case


def _is_object(one: Any) -> bool:
    """Whether `packs.objects` would let it through to a pass."""
    try:
        return bool(collect([("a.yaml", one)], "web"))
    except NidusError:
        return False
