"""What a document says about the end of its cluster counts from its commit on: for a new process, for a plan, for approvals (AD1, AD2)."""

from collections.abc import Iterator
from typing import Any

import pytest

from reconciler.model import replace
from reconciler.plan import render_markdown, render_text
from reconciler.plan.lines import Style
from tests.passes import RULES, Fleet, cluster, config_map, pack, profile
from tests.test_expiry import DAY, HOUR, ends, extend

NOW = {"policy": "Delete", "grace": "0s"}
KEPT = {"b.yaml": cluster("b"), "web.yaml": profile(pack("base", config_map("one")))}


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    made = Fleet()
    made.push(files(**NOW))
    made.run()
    yield made
    made.close()


def files(**deletion: Any) -> dict[str, str]:
    return {"a.yaml": cluster(deletion=deletion), **KEPT}


def there(fleet: Fleet) -> bool:
    return fleet.host.get("", "Namespace", "", "vcluster-a") is not None


@pytest.mark.parametrize("restarts", [(), ("before",), ("after",), ("before", "after")])
@pytest.mark.parametrize("away", ["", "down", "suspended", "bug"])
def test_protection_and_policy_are_those_of_the_last_commit_whoever_reads_them(
    fleet: Fleet, restarts: tuple[str, ...], away: str
) -> None:
    """A new process knows no more than what is stored: it must be stored though nothing else of the cluster changed, or answers."""
    if away == "down":
        fleet.down.add("a")
    if away == "bug":
        fleet.bugs.add("a")
    if away == "suspended":
        fleet.ask("suspend", "a")
    for deletion, word in (({**NOW, "protect": True}, "Held"), ({"policy": "Retain", "grace": "0s"}, "")):
        fleet.push(files(**deletion))
        fleet.run()
        if "before" in restarts:
            fleet.restart()
        fleet.push(KEPT)
        fleet.run()
        if "after" in restarts:
            fleet.restart()
            fleet.run()
        assert there(fleet)
        assert not word or fleet.held["a"].reason == "Protected"


@pytest.mark.parametrize("deletion", [{**NOW, "protect": True}, {"policy": "Retain", "grace": "0s"}])
def test_they_are_also_those_of_a_commit_that_cannot_be_resolved(fleet: Fleet, deletion: dict[str, Any]) -> None:
    """Though no process that knows it sees the file leave."""
    fleet.rules = replace(RULES, engines=())
    fleet.registry.govern(fleet.rules)
    fleet.push(files(**deletion))
    fleet.run()
    assert fleet.held["a"].reason == "VersionWithdrawn"
    fleet.close()
    fleet.git.commit(KEPT)
    fleet.start()
    fleet.admit()
    fleet.run()
    assert there(fleet) and ("a" in fleet.held) is ("protect" in deletion)


def test_a_plan_shows_what_changes_about_the_end_of_a_cluster(fleet: Fleet) -> None:
    fleet.git.commit(files(policy="Retain", grace="24h", protect=True))
    found = fleet.review(every=False)
    text, page = render_text.render(found, Style()), render_markdown.render(found, Style(), 60_000)
    for told in (
        "spec.deletion.policy: Delete -> Retain",
        "spec.deletion.grace: 0s -> 24h",
        "spec.deletion.protect: false -> true",
    ):
        assert told in text and told in page
    assert "1 document changed" in text.splitlines()[-1]
    fleet.push(files(policy="Retain", grace="24h", protect=True))
    fleet.run()
    assert fleet.review(every=False).clusters == ()
    assert "document" not in render_text.render(fleet.review(), Style())


def test_a_file_put_back_uses_the_approval_of_its_removal_up(fleet: Fleet) -> None:
    alone = {name: text for name, text in KEPT.items() if name != "b.yaml"}
    late = {"a.yaml": cluster(deletion={"policy": "Delete", "grace": "1h"}), **alone}
    fleet.push(late)
    fleet.run()
    fleet.push(alone)
    fleet.ask("approve", consent=fleet.held["a"].consent)
    fleet.admit()
    fleet.run()
    assert fleet.held.get("a") is None and there(fleet)  # it waits for its grace period
    fleet.push(late)
    fleet.run()
    fleet.push(alone)
    fleet.run()
    assert fleet.held["a"].reason == "RemovalBudget" and there(fleet)


@pytest.fixture
def ending() -> Iterator[Fleet]:
    """Nothing that nobody reviewed is admitted; an end of a was approved, by which its data stays."""
    made = Fleet(replace(RULES, unreviewed="Hold"))
    made.push(files(policy="Retain", grace="0s"))
    made.run()
    soon(made, "Retain")
    made.ask("approve", consent=made.held["a"].consent)
    made.admit()
    made.run()
    assert made.held == {} and ends(made) <= made.now + DAY
    yield made
    made.close()


def soon(fleet: Fleet, policy: str, ttl: str = "1h") -> None:
    fleet.push(files(policy=policy, grace="0s", ttl=ttl))
    fleet.run()


def test_an_approved_end_destroys_what_was_approved(ending: Fleet) -> None:
    soon(ending, "Delete")
    assert ending.held["a"].items[0].endswith("Delete after 0s")
    ending.now += 26 * HOUR
    for _ in range(3):
        ending.admit()
        ending.run()
    assert there(ending) and ending.host.get("apps", "StatefulSet", "vcluster-a", "a") is None


def later(fleet: Fleet) -> None:
    for _ in range(5):
        fleet.now += 10 * HOUR
        fleet.admit()
        fleet.run()


def test_an_end_that_waits_does_not_come_where_the_accepted_content_cannot_be_read(fleet: Fleet) -> None:
    """Nothing is admitted of it until the end is approved."""
    fleet.close()
    del fleet.git.commits[fleet.git.newest]
    fleet.rules = replace(RULES, unreviewed="Hold")
    fleet.git.commit(files(**NOW, ttl="1h"), commit="f" * 40)
    fleet.start()
    fleet.admit()
    fleet.run()
    assert (fleet.held["a"].reason, fleet.word("a")) == ("Unreviewed", "Held")
    later(fleet)
    assert there(fleet)
    fleet.ask("approve", consent=fleet.held["a"].consent)
    fleet.run()
    later(fleet)
    assert not there(fleet)


@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize("restarts", [False, True])
def test_a_file_that_is_put_back_brings_no_end_that_nobody_approved(done: bool, restarts: bool) -> None:
    """Neither to a cluster whose removal is called off, nor to what was retained of one."""
    fleet = Fleet(replace(RULES, unreviewed="Hold"))
    fleet.push(files(policy="Retain", grace="0s" if done else "48h"))
    fleet.run()
    fleet.push(KEPT)
    fleet.ask("approve", consent=fleet.held["a"].consent)
    fleet.admit()
    fleet.run()
    fleet.push(files(**NOW, ttl="1h"))
    asked = fleet.held["a"]
    assert (asked.reason, asked.items[0].endswith("Delete after 0s")) == ("Unreviewed", True)
    fleet.now += HOUR
    if restarts:
        fleet.restart()
    fleet.run()
    fleet.admit()
    assert fleet.held["a"].consent == asked.consent
    later(fleet)
    engine = fleet.host.get("apps", "StatefulSet", "vcluster-a", "a")
    assert there(fleet) and (engine is None) is done
    fleet.ask("approve", consent=asked.consent)
    fleet.run()
    assert "a" not in fleet.held
    later(fleet)
    assert not there(fleet)
    fleet.close()


def test_what_was_retained_at_an_end_is_not_born_again_to_be_deleted(ending: Fleet) -> None:
    ending.now += 26 * HOUR
    for _ in range(3):
        ending.admit()
        ending.run()
    assert ending.word("a") == "Expired" and there(ending)
    soon(ending, "Delete", "900h")
    assert (ending.held["a"].reason, ending.word("a")) == ("Unreviewed", "Held")
    soon(ending, "Retain", "900h")
    assert ending.held["a"].items[0].endswith("ttl 900h Retain after 0s")  # nobody knows by what document it ended
    ending.ask("approve", consent=ending.held["a"].consent)
    ending.run()
    assert ending.held == {} and ends(ending) > ending.now + 800 * HOUR


def test_an_end_is_that_of_the_document_that_is_admitted() -> None:
    """Whatever keeps a newer one from being admitted."""
    fleet = Fleet(replace(RULES, profile_versions="Immutable"))
    fleet.push(files(policy="Retain", grace="100h", ttl="1h"))
    fleet.run()
    fleet.now += 2 * HOUR
    fleet.admit()
    fleet.run()
    assert fleet.word("a") == "Expired"
    fleet.push(files(**NOW, ttl="1h") | {"web.yaml": profile(pack("base", config_map("two")))})
    assert fleet.held["a"].reason == "ProfileVersionChanged"
    fleet.run()
    fleet.admit()
    fleet.run()
    assert there(fleet)
    fleet.close()


MILDER = [{"protect": True}, {"policy": "Orphan"}, {"grace": "2h"}, {"ttl": "999h"}]


@pytest.mark.parametrize("between", [*MILDER, {}])
@pytest.mark.parametrize("passes", [False, True])
def test_an_approval_of_an_end_is_used_up_by_it(ending: Fleet, between: dict[str, Any], passes: bool) -> None:
    """Whatever was between it and the next one, and whether a pass saw it."""
    first = {"policy": "Retain", "grace": "0s", "ttl": "1h"}
    for deletion in (first | between, first if between else {**first, "ttl": "30m"}):
        ending.push(files(**deletion))
        if passes:
            ending.run()
    assert ending.held["a"].reason == "Unreviewed"


def test_an_approval_is_of_one_ttl(ending: Fleet) -> None:
    """Not of a sooner end, though it is asked for before the first one is admitted."""
    ending.push(files(**NOW, ttl="8000h"))
    first = ending.held["a"]
    ending.push(files(**NOW, ttl="1h"))
    ending.ask("approve", consent=first.consent, items=first.items)
    ending.run()
    assert ending.held["a"].items[0].endswith("ttl 1h Delete after 0s")


@pytest.mark.parametrize("passes", [False, True])
def test_an_approval_given_with_a_file_put_back_is_used_up_too(passes: bool) -> None:
    fleet = Fleet(replace(RULES, unreviewed="Hold"))
    fleet.push(files(policy="Delete", grace="1h"))
    fleet.run()
    fleet.push(KEPT)
    fleet.ask("approve", consent=fleet.held["a"].consent)
    fleet.admit()
    fleet.run()
    soon = files(policy="Delete", grace="1h", ttl="1h")
    fleet.git.commit(soon)
    asked = next(one.held for one in fleet.review().clusters if one.cluster == "a")
    assert asked is not None
    fleet.ask("approve", consent=asked.consent)
    for commit in (soon, files(policy="Delete", grace="1h", ttl="1h", protect=True)):
        fleet.push(commit)
        assert fleet.held == {}
        if passes:
            fleet.run()
    fleet.push(soon)
    assert fleet.held["a"].reason == "Unreviewed"
    fleet.close()


@pytest.mark.parametrize("by", ["file", "longer ttl", "extension"])
@pytest.mark.parametrize("restarts", [False, True])
def test_an_end_that_is_called_off_uses_its_approval_up(ending: Fleet, by: str, restarts: bool) -> None:
    if by == "extension":
        extend(ending, ending.now + 9 * DAY)
    else:
        ending.push(files(policy="Retain", grace="0s", **({"ttl": "999h"} if by == "longer ttl" else {})))
    ending.run()
    if restarts:
        ending.restart()
    ending.now += 10 * HOUR
    soon(ending, "Retain", "30m")
    assert ending.held["a"].reason == "Unreviewed"
