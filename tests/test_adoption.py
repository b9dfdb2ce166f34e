"""`policy.unreviewed: Hold`: what is there already is taken over only after a review or an approval."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.fleet import consent_of, permit
from reconciler.model import Destructive, replace
from reconciler.plan import render_text
from reconciler.plan.lines import Style
from tests.forge.scene import Scene
from tests.passes import RULES, Fleet, cluster, config_map, pack, profile

HOLD = replace(RULES, unreviewed="Hold", grace=0.0)
ACCOUNT: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "ServiceAccount",
    "metadata": {"name": "default", "annotations": {"nidus.dev/adopt": "true"}},
    "automountServiceAccountToken": False,
}
WEB = profile(pack("base", config_map("one"), config_map("two")))
FILES = {"a.yaml": cluster("a"), "b.yaml": cluster("b", profiles=[]), "web.yaml": WEB}
TAKES = {"web.yaml": profile(pack("base", config_map("one"), config_map("two"), config_map("three"), ACCOUNT))}


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path, FILES)
    made.fleet.rules = HOLD
    made.fleet.registry.govern(HOLD)
    made.fleet.nested["a"].put(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": "web"}},
        manager="kube-controller-manager",
    )
    yield made
    made.close()


def taken(scene: Scene) -> bool:
    (live,) = scene.fleet.nested["a"].objects("", "ServiceAccount", "web")
    return live.get("automountServiceAccountToken") is False


def test_an_adoption_waits_and_the_rest_goes_on(scene: Scene) -> None:
    scene.commit(TAKES)
    held = scene.fleet.reporter.clusters["a"].held
    assert not taken(scene) and held is not None and held.reason == "Unreviewed"
    assert "local/a ServiceAccount/web/default" in held.items[0] and held.items[0].endswith(" adopt")
    assert scene.fleet.names("a") == ["one", "three", "two"]
    scene.fleet.ask("approve", "a", consent=held.consent)
    scene.fleet.run()
    assert taken(scene) and scene.fleet.word("a") == "Ready"
    scene.fleet.queue.add("a")
    scene.fleet.run()
    assert scene.fleet.reporter.clusters["a"].held is None


def test_a_trailer_approves_no_adoption() -> None:
    consent = consent_of(["local/a ServiceAccount/web/default u1 adopt"])
    wanted = Destructive("a", consent, (), 30)
    trailers = [("Nidus-Approve", consent.digest)]
    (held,) = permit([wanted], "platform", frozenset(), (), trailers, HOLD, 0.0).held.values()
    assert held.reason == "Unreviewed" and "takes over 1 object " in held.message


def test_an_adoption_that_was_shown_and_approved_goes_on(scene: Scene) -> None:
    number = scene.open(TAKES)
    scene.look()
    assert "Deletes, replaces or takes over 1 object." in scene.ours(number)
    scene.look()
    scene.forge.state.review(number, "bob")
    scene.merge(number)
    assert not taken(scene)
    scene.look()
    scene.fleet.run()
    assert taken(scene)


def test_without_the_policy_an_adoption_waits_for_nobody(scene: Scene) -> None:
    scene.fleet.rules = RULES
    scene.fleet.registry.govern(RULES)
    scene.commit(TAKES)
    assert taken(scene) and scene.fleet.word("a") == "Ready"


def test_what_a_removal_kept_is_taken_over_only_with_an_approval() -> None:
    fleet = Fleet(HOLD)
    fleet.push({**FILES, "a.yaml": cluster("a", deletion={"policy": "Retain", "grace": "1s"})})
    fleet.run()
    files = {name: text for name, text in FILES.items() if name != "a.yaml"}
    fleet.push(files)
    fleet.ask("approve", consent=fleet.held["a"].consent)
    fleet.run(seconds=120.0)
    state = fleet.state("a")
    assert state is not None and state.record.tombstone is not None and state.record.tombstone.done
    fleet.push(FILES)
    fleet.run()
    held = fleet.reporter.clusters["a"].held
    assert held is not None and held.reason == "Unreviewed"
    assert fleet.host.get("apps", "StatefulSet", "vcluster-a", "a") is None
    assert "held" in render_text.render(fleet.review(), Style())
    fleet.ask("approve", "a", consent=held.consent, items=held.items)
    fleet.run(seconds=120.0)
    inside = fleet.reporter.clusters["a"].held  # what only the control plane could tell
    assert inside is not None and {item.split()[0] for item in inside.items} == {"local/a"}
    fleet.ask("approve", "a", consent=inside.consent, items=inside.items)
    fleet.run(seconds=120.0)
    assert fleet.word("a") == "Ready", fleet.condition("a").message
