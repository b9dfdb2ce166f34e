"""From a plan to its merge: what was shown and approved goes on, everything else is held as without a review."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.assignment import Assignment
from reconciler.errors import Unavailable
from reconciler.forges import transport
from reconciler.inventory import reviews
from reconciler.model import Consent, Destructive, ObjectRef, replace
from reconciler.plan.lines import instant
from tests.forge.scene import Scene
from tests.passes import HOME, RULES, cluster, config_map, pack, profile

MANY = [config_map(name) for name in ("one", "two", "three", "four", "five", "six", "seven", "eight")]
FILES = {"a.yaml": cluster("a"), "b.yaml": cluster("b", profiles=[]), "web.yaml": profile(pack("base", *MANY))}
LESS = {"web.yaml": profile(pack("base", MANY[0]))}
HOWS = [
    *(("github", how) for how in ("merge", "squash", "rebase", "forward")),
    *(("gitlab", how) for how in ("merge", "forward")),  # which has no commit of its own there
    ("gitea", "merge"),
]


@pytest.fixture(params=["github"])
def scene(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path, FILES, request.param)
    yield made
    made.close()


def planned(scene: Scene, files: dict[str, str] = LESS, **more: str) -> int:
    """A change request whose plan is shown, as the forge says."""
    number = scene.open(files, **more)
    scene.look()
    scene.look()
    return number


def settled(scene: Scene) -> None:
    """The loop looks after a merge, and the passes that this wakes."""
    scene.look()
    scene.fleet.look()
    scene.fleet.run()


def gone(scene: Scene) -> bool:
    return "eight" not in scene.fleet.names("a")


def held(scene: Scene) -> str:
    found = scene.fleet.reporter.clusters["a"].held
    return f"{found.reason} {found.message}" if found else ""


@pytest.mark.parametrize(("scene", "how"), HOWS, indirect=["scene"])
def test_what_was_shown_and_approved_goes_on(scene: Scene, how: str) -> None:
    number = planned(scene)
    scene.forge.state.review(number, "bob")
    scene.merge(number, how)
    assert not gone(scene) and held(scene)  # nothing waits for the forge, and nothing is taken for granted
    settled(scene)
    assert gone(scene) and scene.fleet.word("a") == "Ready"


def test_a_merge_that_is_seen_before_the_branch_is_read_goes_on_too(scene: Scene) -> None:
    number = planned(scene)
    scene.forge.state.review(number, "bob")
    scene.merge(number, admitted=False)
    scene.look()
    scene.admit()
    assert not gone(scene)
    settled(scene)
    assert gone(scene)


@pytest.mark.parametrize(("scene", "how"), HOWS, indirect=["scene"])
def test_a_merge_in_the_middle_of_a_round_goes_on_too(scene: Scene, how: str) -> None:
    """After the forge listed it as open, and before the branch is fetched: it is not planned against a branch that has it already."""
    number = planned(scene)
    scene.forge.state.review(number, "bob")
    scene.forge.listed = lambda: scene.merge(number, how, admitted=False)
    scene.look()
    scene.admit()
    settled(scene)
    assert gone(scene)


def test_a_removal_that_was_shown_and_approved_goes_on(scene: Scene) -> None:
    number = scene.open({}, gone=("a.yaml", "b.yaml"))
    scene.look()
    scene.look()
    scene.forge.state.review(number, "bob")
    scene.merge(number)
    assert {one.reason for one in scene.fleet.held.values()} == {"RemovalBudget"}
    settled(scene)
    assert scene.fleet.held == {}


# What is no review


def never(scene: Scene) -> None:
    settled(scene)
    settled(scene)
    assert not gone(scene) and held(scene).startswith("ObjectBudget 7 held")


def test_merged_by_its_author_alone_is_held(scene: Scene) -> None:
    number = planned(scene)
    scene.merge(number)
    never(scene)


def test_an_approval_of_its_author_is_none(scene: Scene) -> None:
    number = planned(scene)
    scene.forge.state.review(number, "ada")
    scene.merge(number)
    never(scene)


def test_an_approval_of_somebody_who_may_not_write_is_none(scene: Scene) -> None:
    scene.forge.state.person("eve", "read")
    number = planned(scene)
    scene.forge.state.review(number, "eve")
    scene.merge(number)
    never(scene)


def test_an_approval_that_was_taken_back_is_none(scene: Scene) -> None:
    number = planned(scene)
    scene.forge.state.review(number, "bob")
    scene.forge.state.review(number, "bob", "CHANGES_REQUESTED")
    scene.merge(number)
    never(scene)


@pytest.mark.parametrize("scene", ["github", "gitlab", "gitea"], indirect=True)
def test_an_approval_before_the_last_push_is_none(scene: Scene) -> None:
    number = planned(scene, {"README.md": "words"})
    scene.forge.state.review(number, "bob")
    scene.push(number, LESS)
    scene.look()
    scene.look()
    scene.merge(number)
    never(scene)


@pytest.mark.parametrize("scene", ["github", "gitlab", "gitea"], indirect=True)
def test_an_approval_before_a_push_that_leaves_the_comment_as_it_is_is_none(scene: Scene) -> None:
    number = planned(scene)
    scene.forge.state.review(number, "bob")
    scene.push(number, {"README.md": "words"})
    scene.look()
    scene.look()
    scene.merge(number)
    never(scene)


def test_an_approval_before_the_plan_was_shown_is_none(scene: Scene) -> None:
    number = scene.open(LESS)
    scene.forge.state.review(number, "bob")
    scene.look()
    scene.look()
    scene.merge(number)
    never(scene)


def test_an_approval_of_another_consent_is_none(scene: Scene) -> None:
    number = planned(scene)
    scene.forge.state.review(number, "bob")
    nested = scene.fleet.nested["a"]
    nested.delete("", "ConfigMap", "web", "eight")
    scene.fleet.queue.add("a")
    scene.fleet.run()  # it is made again, and is another object
    scene.changes.moved("a")
    scene.look()
    scene.look()
    scene.merge(number)
    never(scene)


def test_a_comment_edited_by_hand_shows_nothing(scene: Scene) -> None:
    number = planned(scene)
    (note,) = [one for one in scene.forge.state.notes[number] if one.author == scene.forge.state.bot]
    note.body, note.edited = note.body.replace("seven", "none"), scene.forge.state.touch(number)
    scene.forge.state.review(number, "bob")
    scene.merge(number)
    never(scene)


def test_a_merge_of_something_else_is_none(scene: Scene) -> None:
    number = planned(scene)
    scene.forge.state.review(number, "bob")
    scene.work.commit({"more.md": "words"})  # the branch moved, and nobody saw the plan on it
    scene.merge(number)
    never(scene)


def test_the_same_tree_after_a_revert_is_a_new_question(scene: Scene) -> None:
    number = planned(scene)
    scene.forge.state.review(number, "bob")
    scene.merge(number)
    settled(scene)
    assert gone(scene)
    scene.commit({"web.yaml": FILES["web.yaml"]})
    settled(scene)
    assert not gone(scene) and scene.fleet.word("a") == "Ready"
    scene.commit(LESS)
    settled(scene)
    settled(scene)
    assert not gone(scene) and held(scene).startswith("PlanChanged ") and "#1 did not show" in held(scene)


def removed_and_put_back(scene: Scene) -> str:
    """A change request that removes two clusters was approved and merged, and a commit has put them back; the merge."""
    scene.fleet.registry.govern(replace(RULES, grace=86400.0))
    number = scene.open({}, gone=("a.yaml", "b.yaml"))
    scene.look()
    scene.look()
    scene.forge.state.review(number, "bob")
    merged = scene.merge(number)
    settled(scene)
    assert scene.fleet.held == {}
    scene.commit({name: FILES[name] for name in ("a.yaml", "b.yaml")})
    return merged


def test_a_removal_after_a_revert_is_a_new_question(scene: Scene) -> None:
    """Its object of consent is the same as before, so nothing but the merge itself may tell them apart."""
    merged = removed_and_put_back(scene)
    scene.commit({}, gone=("a.yaml", "b.yaml"))
    settled(scene)
    assert {one.reason for one in scene.fleet.held.values()} == {"RemovalBudget"}
    scene.work.git("reset", "-q", "--hard", "HEAD~1")
    scene.admit()
    scene.work.git("reset", "-q", "--hard", merged)  # a forced push back to the very commit
    scene.admit()
    settled(scene)
    assert {one.reason for one in scene.fleet.held.values()} == {"HistoryRewritten"}


@pytest.mark.parametrize("how", ["merge", "squash"])
def test_a_forge_that_says_open_for_a_while_after_the_merge(scene: Scene, how: str) -> None:
    """The branch has it already, so a plan made again would say that nothing changes."""
    number = planned(scene)
    scene.forge.state.review(number, "bob")
    change = scene.forge.state.changes[number]
    scene.merge(number, how)
    merged, change.state = change.state, "open"
    scene.look()
    assert "Nothing changes" not in scene.ours(number) and not gone(scene)
    change.state = merged
    settled(scene)
    assert gone(scene)


# What differs from what was shown


def test_what_nobody_was_shown_is_held_even_within_the_budget(scene: Scene) -> None:
    more = {"web.yaml": profile(pack("base", *MANY[:-1]))}
    number = planned(scene, more)
    nested = scene.fleet.nested["a"]
    nested.delete("", "ConfigMap", "web", "eight")
    scene.fleet.queue.add("a")
    scene.fleet.run()
    scene.merge(number)
    assert not gone(scene) and held(scene).startswith("PlanChanged ") and "#1 did not show" in held(scene)


def test_what_was_shown_is_within_the_budget_and_goes_on_without_the_forge(scene: Scene) -> None:
    number = planned(scene, {"web.yaml": profile(pack("base", *MANY[:-1]))})
    scene.forge.fail(500)
    scene.merge(number)
    assert gone(scene)


# policy.unreviewed: Hold


def test_without_a_review_nothing_is_destroyed_where_the_policy_says_so(tmp_path: Path) -> None:
    scene = Scene(tmp_path, FILES)
    try:
        scene.fleet.rules = replace(RULES, unreviewed="Hold")
        scene.fleet.registry.govern(scene.fleet.rules)
        scene.commit({"web.yaml": profile(pack("base", *MANY[:-1]))})
        assert not gone(scene) and held(scene).startswith("Unreviewed 1 held")
        scene.commit({"web.yaml": FILES["web.yaml"]})
        number = planned(scene, {"web.yaml": profile(pack("base", *MANY[:-1]))})
        scene.forge.state.review(number, "bob")
        scene.merge(number)
        assert not gone(scene)
        settled(scene)
        assert gone(scene)
        scene.commit({}, gone=("b.yaml",))
        assert scene.fleet.held["b"].reason == "Unreviewed"
        scene.fleet.ask("approve", consent=scene.fleet.held["b"].consent)
        scene.fleet.run()
        assert scene.fleet.held == {}
    finally:
        scene.close()


# After the merge


def test_a_merge_that_is_held_says_so_until_it_is_approved_and_ready(scene: Scene) -> None:
    number = planned(scene)
    commit = scene.merge(number)
    settled(scene)
    assert len(scene.synced(commit)) == 1 and scene.synced(commit)[0].startswith("failure: a is Held: ")
    found = scene.fleet.reporter.clusters["a"].held
    assert found is not None
    assert scene.synced(commit)[0].endswith(found.message)
    scene.fleet.ask("approve", "a", consent=found.consent)
    scene.fleet.run()
    scene.look()
    assert scene.synced(commit)[-1] == "success: Every cluster that it changed is Ready"
    scene.wrote()
    scene.look()
    assert scene.wrote() == []


def test_a_cluster_that_was_ready_is_not_measured_by_the_review_any_more(scene: Scene) -> None:
    """What another reason destroys later, such as a new engine, is no deviation from a plan of last month."""
    number = planned(scene, {"web.yaml": profile(pack("base", *MANY[:-1]))})
    commit = scene.merge(number)
    assert scene.fleet.word("a") == "Ready" and scene.fleet.registry.unready("platform", commit) == ()
    consent = Consent(("local/a ConfigMap/web/other u1 delete",), "d1")
    given = scene.fleet.registry.take("a", 0.0, "")
    assert isinstance(given, Assignment)
    wanted = Destructive("a", consent, (ObjectRef("", "ConfigMap", "web", "other"),), 30)
    assert scene.fleet.registry.permit(given, wanted, 0.0)[0].released == {"d1"}


def test_the_comment_tells_what_became_of_the_merge(scene: Scene) -> None:
    number = planned(scene)
    before = scene.ours(number)
    commit = scene.merge(number)
    settled(scene)
    text = scene.ours(number)
    assert f"### `Merged as {commit[:12]}: a is Held: " in text and "eight" in text
    found = scene.fleet.reporter.clusters["a"].held
    assert found is not None and f"`/nidus approve {found.consent}`" in text
    scene.forge.state.say(number, "bob", f"/nidus approve {found.consent}")
    settled(scene)
    scene.fleet.now += 140.0
    scene.look()
    text = scene.ours(number)
    assert f"### `Merged as {commit[:12]}: Every cluster that it changed is Ready`" in text
    assert "Held" not in text.partition("result end")[0] and text.count("### ") == 2
    assert "; applied from 2 s later; Ready " in text and "Push seen at " in text
    assert text.endswith(before.partition("\n")[2].rstrip()[-200:])
    scene.look()  # our own comment moved it
    scene.wrote()
    scene.look()
    assert scene.wrote() == []


def test_who_approved_stands_in_the_result(scene: Scene) -> None:
    number = planned(scene)
    scene.forge.state.review(number, "bob")
    scene.merge(number)
    settled(scene)
    scene.look()
    assert "Approved by `bob`." in scene.ours(number)


def test_a_comment_that_was_edited_gets_no_result(scene: Scene) -> None:
    number = planned(scene)
    (note,) = [one for one in scene.forge.state.notes[number] if one.author == scene.forge.state.bot]
    note.body = note.body.replace("seven", "none")
    scene.merge(number)
    settled(scene)
    assert "Merged as" not in scene.ours(number)


def test_a_merge_is_told_of_after_a_restart_too(scene: Scene) -> None:
    number = planned(scene, {"web.yaml": profile(pack("base", *MANY[:-1]))})
    commit = scene.merge(number, admitted=False)
    scene.look()
    scene.restart()
    scene.admit()
    scene.look()
    assert f"Merged as {commit[:12]}: Every cluster" in scene.ours(number)
    assert scene.synced(commit)[-1].startswith("success")


def test_the_times_of_a_merge_outlive_a_restart(scene: Scene) -> None:
    number = planned(scene)
    scene.merge(number)
    settled(scene)
    scene.look()
    seen = re.search("Push seen at [^;.]+", scene.ours(number))
    found = scene.fleet.reporter.clusters["a"].held
    assert seen is not None and found is not None
    scene.fleet.now += 1000.0
    scene.restart()
    scene.admit()
    scene.forge.state.say(number, "bob", f"/nidus approve {found.consent}")
    settled(scene)
    scene.look()
    assert "Every cluster that it changed is Ready" in scene.ours(number)
    assert f"{seen[0]}; applied from 2 s later; Ready " in scene.ours(number)


def test_a_delivery_that_a_killed_process_took_is_when_the_push_was_seen(scene: Scene) -> None:
    """The next process reads the commit before it hears of the delivery."""
    number = planned(scene)
    scene.forge.state.review(number, "bob")
    scene.merge(number, admitted=False)
    seen = scene.seen
    scene.restart()
    scene.admit()
    scene.look()
    scene.seen = seen
    settled(scene)
    scene.look()
    assert f"Push seen at {instant(seen)}; applied from 2 s later" in scene.ours(number)


def test_a_merge_that_cannot_be_told_of_is_in_nobodys_way(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Anybody may write comments that are too long to read, also after the merge."""
    monkeypatch.setattr(transport, "SIZE", 30_000)
    number = planned(scene)
    scene.forge.state.review(number, "bob")
    commit = scene.merge(number)
    scene.look()
    scene.forge.state.say(number, "eve", "x" * 40_000)
    settled(scene)
    assert scene.fleet.word("a") == "Ready"
    for _ in range(3):
        scene.look()
    told = scene.synced(commit)
    assert told[-1].startswith("success") and len(told) == len(set(told))


def test_a_change_request_that_was_deleted_is_forgotten(scene: Scene) -> None:
    number = planned(scene)
    del scene.forge.state.changes[number]
    scene.look()
    scene.forge.asked.clear()
    scene.look()
    assert not [one for one in scene.forge.asked if f"/{number}" in one.path]


# A controller that is killed


def test_a_merge_while_no_controller_runs_is_bound_to_its_review(scene: Scene) -> None:
    number = planned(scene)
    scene.forge.state.review(number, "bob")
    scene.merge(number, admitted=False)
    scene.restart()
    scene.admit()
    assert not gone(scene) and held(scene)
    settled(scene)
    assert gone(scene) and scene.fleet.word("a") == "Ready"


def test_a_merge_that_differs_from_its_review_is_held_after_a_restart_too(scene: Scene) -> None:
    number = planned(scene, {"web.yaml": profile(pack("base", *MANY[:-1]))})
    scene.fleet.nested["a"].delete("", "ConfigMap", "web", "eight")
    scene.fleet.queue.add("a")
    scene.fleet.run()
    scene.merge(number, admitted=False)
    scene.restart()
    scene.admit()
    assert not gone(scene) and held(scene).startswith("PlanChanged ")


def test_a_merge_without_an_approval_is_none_after_a_restart_either(scene: Scene) -> None:
    number = planned(scene)
    scene.merge(number, admitted=False)
    scene.restart()
    scene.admit()
    never(scene)


def test_an_approval_that_was_seen_counts_after_a_kill_before_the_branch_was_read(scene: Scene) -> None:
    number = planned(scene)
    scene.forge.state.review(number, "bob")
    scene.merge(number, admitted=False)
    scene.look()
    scene.forge.fail(500)  # nobody answers any more
    scene.restart()
    scene.admit()
    assert not gone(scene)
    with pytest.raises(Unavailable):
        scene.look()
    scene.forge.failures.clear()
    settled(scene)
    assert gone(scene)


def test_what_a_round_showed_before_it_failed_is_stored(scene: Scene) -> None:
    number = scene.open(LESS)
    scene.look()
    scene.open({"more.md": "words"})
    scene.restart()
    scene.admit()
    scene.forge.fail(429, where="/issues/1/", headers={"Retry-After": "1"})  # of the newest
    with pytest.raises(Unavailable):
        scene.look()
    assert records(scene) == ["nidus-review-platform-1", "nidus-review-platform-2"]
    scene.forge.failures.clear()
    scene.fleet.now += 2.0
    scene.look()
    scene.forge.state.review(number, "bob")
    scene.merge(number)
    scene.forge.fail(429, where="/statuses/")
    with pytest.raises(Unavailable):
        scene.look()
    stored = reviews.Reviews(scene.fleet._client(scene.fleet.host), HOME, {"platform": scene.forge.api}).load()
    who = {one.change.number: one.who for one in stored["platform"]}
    assert who[number] == f"bob, by change request #{number}"  # before the status, which could not be set


def test_an_approval_that_was_used_up_stays_so_after_a_restart(scene: Scene) -> None:
    merged = removed_and_put_back(scene)
    settled(scene)
    scene.work.git("reset", "-q", "--hard", merged)
    scene.restart()
    scene.admit()
    settled(scene)
    assert {one.reason for one in scene.fleet.held.values()} == {"HistoryRewritten"}


def records(scene: Scene) -> list[str]:
    found = scene.fleet.host.objects("", "ConfigMap")
    return [one["metadata"]["name"] for one in found if one["metadata"]["name"].startswith("nidus-review-")]


def test_a_closed_change_request_is_forgotten_after_a_week(scene: Scene) -> None:
    first, second = planned(scene), scene.open({"more.md": "words"})
    scene.merge(first)
    settled(scene)
    assert records(scene) == ["nidus-review-platform-1", "nidus-review-platform-2"]
    scene.restart()
    scene.fleet.now += 6 * 86400.0
    scene.look()
    assert len(records(scene)) == 2
    scene.fleet.now += 2 * 86400.0
    scene.look()
    assert records(scene) == [f"nidus-review-platform-{second}"]


def test_records_of_another_repository_or_that_nobody_can_read_are_no_reviews(scene: Scene) -> None:
    number = planned(scene)
    host = scene.fleet.host
    (stored,) = [one for one in host.objects("", "ConfigMap") if one["metadata"]["name"] in records(scene)]
    for name, data in {
        "nidus-review-platform-7": {**stored["data"]},
        "nidus-review-platform-8": {"forge": stored["data"]["forge"], "record": "eA=="},
        "nidus-review-other-9": {},
    }.items():
        meta = {"name": name, "namespace": HOME, "labels": stored["metadata"]["labels"]}
        host.put({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data})
    scene.restart()
    assert records(scene) == ["nidus-review-platform-1"]
    assert [one.change.number for one in scene.changes.open()] == [number]
    stored["data"]["forge"] = "elsewhere"
    host.put(stored)
    scene.restart()
    assert records(scene) == [] and scene.changes.open() == ()


def test_trust_stands_after_a_restart_and_commands_are_followed_once(scene: Scene) -> None:
    scene.forge.state.person("eve", "read")
    number = planned(scene, {"web.yaml": profile(pack("base", *MANY[:-1]))}, author="eve")
    head = scene.forge.state.changes[number].head
    scene.forge.state.say(number, "ada", f"/nidus plan {head}")
    scene.look()
    assert "ConfigMap/web/eight" in scene.ours(number)
    scene.look()
    scene.restart()
    scene.admit()
    scene.wrote()
    scene.look()
    assert "ConfigMap/web/eight" in scene.ours(number)
    assert [one for one in scene.wrote() if "reactions" in one or "comments" in one] == []


def test_a_review_too_large_to_store_is_stored_without_what_it_showed(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reviews, "PACKED", 400)
    number = planned(scene)
    scene.forge.state.review(number, "bob")
    scene.merge(number, admitted=False)
    scene.restart()
    assert [one.reviewed for one in scene.changes.open()] == [None]
    scene.admit()
    never(scene)
