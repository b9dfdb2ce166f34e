"""Plans of open change requests: what a reviewer is told, and when it is told again."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler import review
from reconciler.controller import changes, telling
from reconciler.controller.commands import FOLLOWED
from reconciler.errors import Stalled, Unavailable
from reconciler.forges import transport
from reconciler.plan import render_change
from reconciler.source import changes as mirrored
from tests.forge.scene import OWNER, Scene
from tests.forge.server import SPEAKS
from tests.passes import cluster, config_map, pack, profile

FILES = {
    "a.yaml": cluster("a"),
    "b.yaml": cluster("b", profiles=[]),
    "web.yaml": profile(pack("base", config_map("one", colour="red"), config_map("two"))),
}
BLUE = profile(pack("base", config_map("one", colour="blue"), config_map("two")))
LESS = profile(pack("base", config_map("one", colour="red")))


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path, FILES)
    yield made
    made.close()


@pytest.mark.parametrize("provider", sorted(SPEAKS))
def test_a_change_is_planned_and_told_on_every_forge(tmp_path: Path, provider: str) -> None:
    scene = Scene(tmp_path, FILES, provider)
    try:
        number = scene.open({"web.yaml": BLUE})
        scene.look()
        text = scene.ours(number)
        assert "data.colour: red -> blue" in text and "<code>a</code>" in text and "<code>b</code>" not in text
        assert text.splitlines()[1] == "### `Plan: 0 to create, 1 to configure, 0 to delete`"
        assert scene.forge.state.shown(scene.forge.state.changes[number].head) == ["pending", "success"]
        assert scene.shown(number) == "success: Plan: 0 to create, 1 to configure, 0 to delete"
        scene.wrote()
        scene.look()
        scene.fleet.now += 60.0
        scene.look()
        assert scene.wrote() == []
    finally:
        scene.close()


def test_a_change_of_nothing_says_so(scene: Scene) -> None:
    number = scene.open({"README.md": "words"})
    scene.look()
    assert "### `Nothing changes`" in scene.ours(number) and scene.shown(number) == "success: Nothing changes"


def test_a_new_head_is_planned_again_in_the_same_comment(scene: Scene) -> None:
    number = scene.open({"web.yaml": BLUE})
    scene.look()
    head = scene.push(number, {"web.yaml": LESS})
    scene.look()
    text = scene.ours(number)
    assert head[:12] in text and "ConfigMap/web/two" in text and "the one before was" in text
    assert "Deletes, replaces or takes over 1 object." in text
    assert scene.forge.state.shown(head) == ["pending", "success"]


def test_a_forced_push_is_a_new_head(scene: Scene) -> None:
    number = scene.open({"web.yaml": BLUE})
    scene.look()
    head = scene.push(number, {"b.yaml": cluster("b", profiles=[], namespaces=[])}, name="other")
    scene.look()
    assert head[:12] in scene.ours(number) and "blue" not in scene.ours(number)


def test_a_conflict_is_said_and_nothing_planned(scene: Scene) -> None:
    number = scene.open({"web.yaml": BLUE})
    scene.commit({"web.yaml": profile(pack("base", config_map("one", colour="green"), config_map("two")))})
    scene.look()
    assert "### `Nothing is planned: merging into main conflicts in web.yaml`" in scene.ours(number)
    assert scene.shown(number).startswith("failure: ")


def test_a_base_that_moved_elsewhere_plans_nothing_again(scene: Scene) -> None:
    number = scene.open({"web.yaml": BLUE})
    scene.look()
    (one,) = scene.changes.open()
    before, at = one.planned, one.planned_at
    assert before is not None
    scene.wrote()
    scene.fleet.now += 30.0
    scene.commit({"b.yaml": cluster("b", profiles=[], namespaces=[{"name": "more"}])})
    scene.changes.look()
    assert one.planned is not None and one.planned_at == at and scene.wrote() == []
    assert one.planned.base != before.base and one.planned.tree != before.tree
    assert f"{number}" in scene.ours(number)


def test_a_base_that_moved_what_is_touched_plans_it_again(scene: Scene) -> None:
    number = scene.open({"a.yaml": cluster("a", namespaces=[{"name": "web"}, {"name": "new"}])})
    scene.look()
    assert "Namespace/new" in scene.ours(number)
    scene.commit({"web.yaml": BLUE})
    scene.wrote()
    scene.changes.look()
    (one,) = scene.changes.open()
    assert one.planned is not None and one.planned.base == scene.work.git("rev-parse", "main")


def test_a_live_object_changed_by_hand_plans_it_again(scene: Scene) -> None:
    number = scene.open({"web.yaml": BLUE})
    scene.look()
    nested = scene.fleet.nested["a"]
    nested.delete("", "ConfigMap", "web", "one")
    scene.changes.moved("b")
    scene.changes.look()
    assert "1 to create" not in scene.ours(number)  # not of what it touches
    scene.changes.moved("a")
    scene.changes.look()
    assert "1 to create, 0 to configure" in scene.ours(number)


def test_a_comment_edited_or_deleted_by_hand_is_written_again(scene: Scene) -> None:
    number = scene.open({"web.yaml": BLUE})
    scene.look()
    state, right = scene.forge.state, scene.ours(number)
    (note,) = state.notes[number]
    note.body = right.replace("blue", "pink")
    state.touch(number)
    scene.look()
    assert "pink" not in scene.ours(number) and "blue" in scene.ours(number)
    state.notes[number].clear()
    state.touch(number)
    scene.look()
    assert "blue" in scene.ours(number)


def test_a_comment_that_only_looks_like_ours_is_left_alone(scene: Scene) -> None:
    number = scene.open({"web.yaml": BLUE})
    scene.look()
    text = scene.ours(number)
    scene.forge.state.notes[number].clear()
    for count in range(120):
        scene.forge.state.say(number, "eve", text if count % 2 else f"{count}")
    scene.look()
    assert scene.ours(number) and len(scene.forge.state.notes[number]) == 121


def test_another_process_finds_its_comment_on_any_page(scene: Scene) -> None:
    number = scene.open({"web.yaml": BLUE})
    for count in range(150):
        scene.forge.state.say(number, "ada", f"{count}")
    scene.look()
    scene.wrote()
    scene.made()
    scene.look()
    assert [one for one in scene.wrote() if "comments" in one] == []
    assert "blue" in scene.ours(number)


def test_a_closed_change_is_forgotten_and_its_head_too(scene: Scene) -> None:
    number = scene.open({"web.yaml": BLUE})
    scene.look()
    scene.forge.state.close(number)
    scene.look()
    assert scene.changes.open() == ()
    mirror = scene.mirrors[-1]
    assert not list((mirror._place.folder / "refs/changes").glob("*"))


def test_what_no_head_needs_goes_when_the_mirror_has_doubled(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirrored, "SMALL", 0)
    number = scene.open({"big.txt": "".join(f"{count * 7919 % 10007} " for count in range(200_000))})
    mirror = scene.mirrors[-1]
    scene.look()
    mirror._packed = mirrored._size(mirror._place.folder) // 3
    scene.forge.state.close(number)
    scene.look()
    assert mirrored._size(mirror._place.folder) < 100_000
    assert mirror.fetch().commit == scene.work.git("rev-parse", "main")


def test_what_is_over_the_limit_says_so(scene: Scene) -> None:
    numbers = [scene.open({f"{count}.md": "words"}) for count in range(4)]
    scene.made(limit=2)
    scene.look()
    assert [bool(scene.forge.state.ours(number)) for number in numbers] == [False, False, True, True]
    assert scene.shown(numbers[0]) == "pending: Not planned: more than 2 change requests are open"
    scene.wrote()
    scene.look()
    assert scene.wrote() == []
    scene.forge.state.close(numbers[3])
    scene.look()
    assert scene.forge.state.ours(numbers[1])


@pytest.mark.long
def test_two_hundred_open_changes_cost_one_list_when_nothing_moved(scene: Scene) -> None:
    head = scene.branch({"README.md": "words"})
    for number in range(1, 201):
        scene.forge.state.open(head)
        scene.place(number, head)
    scene.look()
    assert len(scene.changes.open()) == 200 and scene.forge.state.ours(1) and scene.forge.state.ours(200)
    scene.look()  # our comments moved them
    scene.forge.asked.clear()
    scene.look()
    assert {one.path for one in scene.forge.asked} == {"/repos/acme/platform/pulls"}


def test_documents_with_mistakes_fail_and_are_named(scene: Scene) -> None:
    number = scene.open({"a.yaml": cluster("a", quota={"cpu": "much"})})
    scene.look()
    assert "a.yaml:1:" in scene.ours(number) and scene.shown(number).startswith("failure: The plan is not whole.")


def test_a_removed_cluster_is_consent(scene: Scene) -> None:
    number = scene.open({}, gone=("b.yaml",))
    scene.look()
    (one,) = scene.changes.open()
    assert one.planned is not None
    assert [item.partition(" born")[0] for item in one.planned.consent.items] == ["remove platform/b"]
    assert "| clusters removed | 1 |" in scene.ours(number)
    assert "### `Removes 1 cluster. Plan: " in scene.ours(number)


# Strangers


def test_of_a_stranger_only_documents_are_compared(scene: Scene) -> None:
    scene.forge.state.person("eve", "read")
    number = scene.open({"a.yaml": cluster("a", quota={"cpu": "4"}), "web.yaml": BLUE}, author="eve")
    scene.look()
    text = scene.ours(number)
    assert "spec.quota.cpu: (none) -> 4" in text and "ConfigMap/web/one" not in text
    assert "the author may not write to this repository" in text and scene.shown(number).startswith("pending: ")
    head = scene.forge.state.changes[number].head
    assert f"`/nidus plan {head}`" in text


def test_trust_is_given_for_one_head(scene: Scene) -> None:
    scene.forge.state.person("eve", "read")
    number = scene.open({"web.yaml": BLUE}, author="eve")
    head = scene.forge.state.changes[number].head
    scene.forge.state.say(number, "eve", f"/nidus plan {head}")
    scene.forge.state.say(number, "ada", "/nidus plan")
    scene.forge.state.say(number, "ada", f"/nidus plan {head[:12]}")
    scene.forge.state.say(number, "ada", f"/nidus plan {'0' * 40}")
    scene.look()
    assert "ConfigMap/web/one" not in scene.ours(number)
    said = scene.forge.state.say(number, "ada", f"/nidus plan {head}")
    scene.look()
    assert "ConfigMap/web/one" in scene.ours(number)
    assert said in [one for one, _ in scene.forge.state.reactions]
    scene.push(number, {"web.yaml": LESS})
    scene.look()
    assert "ConfigMap/web" not in scene.ours(number)


def test_a_fork_of_somebody_else_is_a_strangers_whoever_opens_it(scene: Scene) -> None:
    number = scene.open({"web.yaml": BLUE}, author="ada", fork_of="eve")
    scene.look()
    assert "ConfigMap/web/one" not in scene.ours(number)


def test_a_plan_is_made_again_where_somebody_asks(scene: Scene) -> None:
    number = scene.open({"web.yaml": BLUE})
    scene.look()
    scene.fleet.now += 1.0
    scene.forge.state.say(number, "ada", "/nidus plan")
    scene.look()
    (one,) = scene.changes.open()
    assert one.planned_at == scene.changes._clock()


def test_strangers_crowd_out_no_command(scene: Scene) -> None:
    scene.forge.state.person("eve", "read")
    number = scene.open({"web.yaml": BLUE}, author="eve")
    scene.look()
    head = scene.forge.state.changes[number].head
    scene.forge.state.say(number, "ada", f"/nidus plan {head}")
    for _ in range(FOLLOWED + 5):
        scene.forge.state.say(number, "eve", "/nidus plan")
    scene.look()
    assert "ConfigMap/web/one" in scene.ours(number)


def test_long_comments_of_strangers_stop_no_plan(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "SIZE", 60_000)
    scene.forge.state.person("eve", "read")
    number = scene.open({"web.yaml": BLUE})
    for _ in range(9):
        scene.forge.state.say(number, "eve", "x" * 9_000)
    scene.look()
    assert "ConfigMap/web/one" in scene.ours(number)


# Forges that misbehave


def test_a_round_moves_with_each_request_and_each_read(scene: Scene) -> None:
    """A forge or a host that is slow is no stalled loop, which ends the process."""
    beats: list[int] = []
    scene.open({"web.yaml": BLUE})
    scene.changes.alive = lambda: beats.append(len(scene.forge.asked))
    scene.look()
    assert set(beats) >= set(range(len(scene.forge.asked)))  # one before each request
    assert len(beats) > len(scene.forge.asked) + 1  # and some between two of them


def test_a_forge_that_is_down_delays_and_loses_nothing(scene: Scene) -> None:
    number = scene.open({"web.yaml": BLUE})
    down = scene.forge.fail(500)
    for _ in range(3):
        with pytest.raises(Unavailable):
            scene.look()
    down.times = 0
    scene.changes.look()
    assert "blue" in scene.ours(number)


def test_a_limit_is_waited_for_before_anything_is_asked(scene: Scene) -> None:
    number = scene.open({"web.yaml": BLUE})
    scene.forge.fail(403, headers={"Retry-After": "30"}, times=1, where="/comments")
    with pytest.raises(Unavailable):
        scene.look()
    scene.forge.asked.clear()
    scene.fleet.now += 29.0
    scene.look()
    assert scene.forge.asked == []
    scene.fleet.now += 2.0
    scene.changes.look()
    assert "blue" in scene.ours(number)


def test_a_token_that_ended_is_one_error(scene: Scene) -> None:
    scene.open({"web.yaml": BLUE})
    scene.token.write_text("old")
    with pytest.raises(Stalled) as error:
        scene.look()
    assert error.value.reason == "ForgeRefused"


def test_one_change_that_the_forge_refuses_stops_no_other(scene: Scene) -> None:
    """Its author may have blocked our account, or somebody locked it."""
    good = scene.open({"web.yaml": BLUE})
    bad = scene.open({"web.yaml": LESS})  # newer, so it is looked at first
    refused = scene.forge.fail(403, where=f"/issues/{bad}/comments")
    scene.look()
    assert "blue" in scene.ours(good)
    scene.forge.asked.clear()
    scene.look()
    assert not [one for one in scene.forge.asked if f"/issues/{bad}/" in one.path]  # let be for a while
    refused.times = 0
    scene.fleet.now += 601.0
    scene.look()
    assert "ConfigMap/web/two" in scene.ours(bad)


def test_one_change_that_cannot_be_read_is_its_own_failure(scene: Scene) -> None:
    bad = scene.open({"web.yaml": LESS})
    good = scene.open({"web.yaml": BLUE})
    scene.work.git("update-ref", "-d", f"refs/pull/{bad}/head")
    scene.look()
    assert "blue" in scene.ours(good)
    assert scene.shown(bad).startswith("failure: Nothing is planned: fetching: the branch does not exist")
    scene.place(bad, scene.forge.state.changes[bad].head)
    scene.look()
    assert scene.shown(bad).startswith("success: ")


def test_no_more_statuses_than_a_forge_takes(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telling, "STATUSES", 6)
    number = scene.open({"web.yaml": BLUE})
    for count in range(10):
        extra = [config_map(f"extra-{index}") for index in range(count % 2 + 2)]
        scene.commit(
            {"a.yaml": cluster("a"), "web.yaml": profile(pack("base", config_map("one", colour="red"), *extra))}
        )
        scene.look()
    shown = scene.forge.state.shown(scene.forge.state.changes[number].head)
    assert len(shown) == 6 and shown[-1] != "pending"


def test_large_plans_fit_and_no_fence_is_cut(scene: Scene) -> None:
    many = [config_map(f"object-{count}", **{f"key{field}": "x" * 90 for field in range(8)}) for count in range(300)]
    number = scene.open({"web.yaml": profile(pack("base", *many))})
    scene.look()
    text = scene.ours(number)
    assert len(text) <= 65_536 and text.count("```") % 2 == 0
    assert text.count("<details") == text.count("</details>") and "nidus plan --change 1" in text
    found = render_change.read(text, OWNER, render_change.seal(b"salt", OWNER, number))
    assert found is not None and found.whole


# What a reviewer sees


@pytest.mark.parametrize(
    ("provider", "address"),
    [
        ("github", "https://forge.example.com/acme/platform/blob/{}/a.yaml#L1"),
        ("gitea", "https://forge.example.com/acme/platform/src/commit/{}/a.yaml#L1"),
        ("gitlab", "https://forge.example.com/acme/platform/-/blob/{}/a.yaml#L1"),
    ],
)
def test_a_mistake_is_a_link_to_its_line_at_the_head(tmp_path: Path, provider: str, address: str) -> None:
    scene = Scene(tmp_path, FILES, provider)
    try:
        number = scene.open({"a.yaml": cluster("a", quota={"cpu": "much"})})
        scene.look()
        link = address.format(scene.forge.state.changes[number].head)
        assert "- [`a.yaml:1:" in scene.ours(number) and f"]({link}) `NID" in scene.ours(number)
    finally:
        scene.close()


@pytest.mark.parametrize("shown", ["", "javascript:alert(1)", "https://a.example/) [x](https://evil.example", "//a"])
def test_an_address_that_is_none_is_written_nowhere(scene: Scene, shown: str) -> None:
    scene.forge.state.page = shown
    number = scene.open({"a.yaml": cluster("a", quota={"cpu": "much"})})
    scene.look()
    assert "a.yaml:1:" in scene.ours(number) and "](" not in scene.ours(number)


def test_versions_and_quotas_are_told_before_and_after(scene: Scene) -> None:
    number = scene.open({"a.yaml": cluster("a", quota={"cpu": "8"})})
    scene.look()
    assert "| `a` `spec.quota.cpu` | `(none) -> 8` |" in scene.ours(number)
    assert scene.ours(number).count("`spec.quota") == 1
    assert "| control planes restarted |" not in scene.ours(number)


def test_strangers_push_nobody_out_of_the_limit(scene: Scene) -> None:
    scene.forge.state.person("eve", "none")
    ours = scene.open({"web.yaml": BLUE})
    strangers = [scene.open({f"{count}.md": "words"}, author="eve", fork_of="eve") for count in range(3)]
    scene.made(limit=2)
    scene.look()
    assert "blue" in scene.ours(ours)
    planned = [bool(scene.forge.state.ours(number)) for number in strangers]
    assert planned == [False, False, True]  # the newest has the place that is left


def test_what_an_endless_list_does_not_reach_stays_open(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    number = scene.open({"web.yaml": BLUE})
    scene.look()
    monkeypatch.setattr(changes, "LISTED", 2)
    for count in range(2):
        scene.open({f"{count}.md": "words"}, author="eve", fork_of="eve")
    head = scene.push(number, {"web.yaml": LESS})
    scene.look()
    scene.look()
    assert number in {one.change.number for one in scene.changes.open()}
    assert head[:12] in scene.ours(number)


def test_what_changes_are_compared_with_is_computed_once_a_round(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    bases = []
    known = review.base
    monkeypatch.setattr(review, "base", lambda *given: bases.append(given[0].revision.commit) or known(*given))
    for count in range(3):
        scene.open({"web.yaml": profile(pack("base", config_map("one", colour=f"c{count}")))})
    scene.look()
    assert len(bases) == 1
