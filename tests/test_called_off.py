"""What admission decided about the end of a cluster counts for the next admission, whether a pass stored it or not (AD1, AD2, D1, O6)."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from reconciler.controller import verify
from reconciler.model import Record, Rules, Violation, replace
from tests.memory.failures import Call, answer
from tests.memory.server import Server
from tests.passes import RULES, START, Fleet, cluster, config_map, pack, profile
from tests.test_expiry import DAY, HOUR, ends, extend

KEPT = {name: cluster(name[0]) for name in ("y.yaml", "z.yaml")} | {
    "web.yaml": profile(pack("base", config_map("one")))
}
HOLD = replace(RULES, unreviewed="Hold")


def files(name: str = "a", **deletion: Any) -> dict[str, str]:
    return {f"{name}.yaml": cluster(name, deletion={"policy": "Delete", "grace": "1h", **deletion}), **KEPT}


@pytest.fixture
def made() -> Iterator[Callable[..., Fleet]]:
    fleets: list[Fleet] = []

    def begin(rules: Rules = RULES, **deletion: Any) -> Fleet:
        fleets.append(Fleet(rules))
        fleets[-1].push(files(**deletion))
        fleets[-1].run()
        return fleets[-1]

    yield begin
    for fleet in fleets:
        fleet.close()


def there(fleet: Fleet, name: str = "a") -> bool:
    return fleet.host.get("", "Namespace", "", f"vcluster-{name}") is not None


def record(fleet: Fleet) -> Record:
    state = fleet.state("a")
    assert state is not None
    return state.record


def removed(fleet: Fleet) -> Fleet:
    """Its removal was approved where that is asked for, and is in its grace period."""
    fleet.push(KEPT)
    if fleet.held:
        fleet.ask("approve", consent=fleet.held["a"].consent)
        fleet.admit()
    fleet.run()
    assert record(fleet).tombstone is not None
    return fleet


def later(fleet: Fleet, seconds: float) -> None:
    fleet.now += seconds
    fleet.admit()
    fleet.run()


def test_a_file_put_back_begins_the_grace_period_anew_before_any_pass_of_it(made: Callable[..., Fleet]) -> None:
    fleet = removed(made())
    fleet.now += HOUR - 100
    fleet.push(files())
    assert fleet.registry.meant(START + fleet.now)["a"].record.tombstone is None  # so do reviews of change requests
    fleet.push(KEPT)
    later(fleet, 200)
    assert there(fleet)
    later(fleet, HOUR)
    assert not there(fleet)


def test_a_file_put_back_uses_the_approval_up_before_any_pass_of_it(made: Callable[..., Fleet]) -> None:
    fleet = removed(made(HOLD))
    for _ in range(2):  # also within one moment
        fleet.push(files())
        fleet.push(KEPT)
        assert fleet.held["a"].reason == "Unreviewed"
        fleet.ask("approve", consent=fleet.held["a"].consent)
        fleet.admit()
        assert fleet.held == {}
    fleet.run()
    back = record(fleet).put_back
    assert back and record(fleet).tombstone is not None
    fleet.restart()
    fleet.push(files())
    fleet.run()
    assert record(fleet).put_back > back


def test_what_is_called_off_is_stored_before_anything_is_read(made: Callable[..., Fleet]) -> None:
    """A new process knows of it, though the pass ended in an error."""
    fleet = removed(made(HOLD))
    fleet.bugs.add("a")
    fleet.push(files())
    fleet.run()
    assert fleet.word("a") == "Degraded"
    fleet.restart()
    fleet.push(KEPT)
    assert fleet.held["a"].reason == "Unreviewed"


def withdrawn(fleet: Fleet) -> None:
    """From now on no cluster can be resolved."""
    fleet.rules = replace(fleet.rules, engines=())
    fleet.registry.govern(fleet.rules)


@pytest.mark.parametrize("restarts", [False, True])
def test_what_is_called_off_is_stored_where_the_cluster_cannot_be_resolved(
    made: Callable[..., Fleet], restarts: bool
) -> None:
    fleet = removed(made(HOLD))
    withdrawn(fleet)
    fleet.push(files())
    fleet.run()
    assert fleet.held["a"].reason == "VersionWithdrawn"
    assert record(fleet).tombstone is None and record(fleet).put_back
    if restarts:
        fleet.restart()
    fleet.push(KEPT)
    assert fleet.held["a"].reason == "Unreviewed"


@pytest.mark.parametrize("over", [False, True])
@pytest.mark.parametrize("restarts", [False, True])
def test_an_end_put_off_does_not_come_where_the_cluster_cannot_be_resolved(
    made: Callable[..., Fleet], over: bool, restarts: bool
) -> None:
    """Neither where it slept at its end, nor where its data was retained after it."""
    fleet = made(ttl="72h", policy="Retain")
    later(fleet, 3 * DAY + 1)
    if over:
        later(fleet, HOUR)
        later(fleet, HOUR)
    assert fleet.word("a") == "Expired" and (record(fleet).tombstone is not None) is over
    withdrawn(fleet)
    fleet.push(files(ttl="900h"))
    fleet.run()
    if restarts:
        fleet.restart()
    for _ in range(3):
        later(fleet, HOUR)
    assert record(fleet).tombstone is None and there(fleet)


def test_a_removal_that_no_pass_stored_goes_on(made: Callable[..., Fleet]) -> None:
    """Its grace period does not begin anew with every commit, and it is not counted again."""
    fleet = made()
    fleet.push({**files(), **files("b")})
    fleet.run()
    fleet.push(files("b"))
    fleet.now += HOUR / 2
    fleet.push(KEPT)
    assert fleet.held == {}
    later(fleet, HOUR / 2 + 1)
    assert not there(fleet) and there(fleet, "b")


def test_an_end_called_off_uses_its_approval_up_before_any_pass_of_it(made: Callable[..., Fleet]) -> None:
    fleet = made(HOLD)
    fleet.push(files(ttl="1h"))
    fleet.ask("approve", consent=fleet.held["a"].consent)
    fleet.admit()
    assert fleet.held == {}
    fleet.push(files())
    fleet.push(files(ttl="1h"))
    assert fleet.held["a"].reason == "Unreviewed"


@pytest.mark.parametrize("by", ["ttl", "extension"])
def test_an_end_that_moved_counts_before_any_pass_of_it(made: Callable[..., Fleet], by: str) -> None:
    fleet = made(ttl="72h")
    born = record(fleet).born
    fleet.now = 3 * DAY + 1
    fleet.run()
    assert fleet.word("a") == "Expired"
    fleet.now += HOUR - 10
    if by == "ttl":
        fleet.push(files(ttl="200h"))
    else:
        extend(fleet, fleet.now + DAY, run=False)
    fleet.now += 20
    fleet.admit()
    fleet.run()
    assert (fleet.word("a"), record(fleet).born) == ("Ready", born)


@pytest.mark.parametrize("resolved", [False, True])
def test_what_is_asked_after_an_extension_can_be_approved(made: Callable[..., Fleet], resolved: bool) -> None:
    """It is asked at once, and is the same whoever looks and when."""
    fleet = made(HOLD, ttl="72h")
    if not resolved:
        withdrawn(fleet)
        fleet.admit()
        fleet.run()
    fleet.push(KEPT)
    first = fleet.held["a"].consent
    extend(fleet, 100 * HOUR, run=False)
    asked = fleet.held["a"].consent
    assert asked != first
    for look in (fleet.admit, fleet.run, fleet.admit, fleet.restart):
        fleet.now += 60
        look()
        assert fleet.held["a"].consent == asked
    fleet.ask("approve", consent=first)
    fleet.run()
    assert fleet.held["a"].consent == asked
    fleet.ask("approve", consent=asked)
    fleet.run()
    assert "a" not in fleet.held


def test_a_file_that_moved_may_be_below_a_folder_that_cannot_be_read(made: Callable[..., Fleet]) -> None:
    fleet = made()
    fleet.push({"teams/a.yaml": files()["a.yaml"], **KEPT})
    fleet.git.commit(KEPT)
    found = replace(fleet.git.read(fleet.git.newest, RULES), unread=(Violation("teams", 1, 1, "NID2", "a submodule"),))
    rollout, _ = fleet.registry.revise(found, START + fleet.now)
    assert rollout.held["a"].reason == "Unparsed"


def test_what_was_retained_is_not_made_again_for_a_file_that_left(made: Callable[..., Fleet]) -> None:
    fleet = removed(made(policy="Retain"))
    later(fleet, HOUR + 1)
    assert fleet.host.get("apps", "StatefulSet", "vcluster-a", "a") is None
    fleet.push(files(policy="Retain"))
    fleet.push(KEPT)
    fleet.run()
    assert fleet.host.get("apps", "StatefulSet", "vcluster-a", "a") is None
    later(fleet, HOUR + 1)
    assert record(fleet).tombstone is not None and there(fleet)


def test_a_record_of_before_its_file_was_put_back_uses_the_approval_up(made: Callable[..., Fleet]) -> None:
    """A host restored from a backup has it: no admission since saw that tombstone."""
    fleet = removed(made())
    before = fleet.state("a")
    fleet.push(files())
    fleet.run()
    assert before is not None and record(fleet).tombstone is None
    back = record(fleet).put_back
    known = fleet.state("a")
    assert known is not None
    fleet.registry.keep(replace(known, record=replace(before.record, put_back=back)))
    fleet.admit()
    fleet.queue.add("a")
    fleet.run()
    assert record(fleet).tombstone is None and record(fleet).put_back > back


def at_first_delete(server: Server, does: Callable[[], None]) -> list[str]:
    """Let this happen before the first deletion is done; the kinds that are deleted."""
    found: list[str] = []

    def hear(call: Call) -> None:
        if call.verb == "delete":
            found.append(call.kind)
            if len(found) == 1:
                does()

    server.choosers.append(hear)
    return found


def test_a_removal_called_off_while_it_is_carried_out_goes_no_further(made: Callable[..., Fleet]) -> None:
    fleet = removed(made())
    fleet.now += HOUR + 1
    fleet.admit()
    found = at_first_delete(fleet.host, lambda: fleet.push(files()))
    fleet.run()
    assert (len(found), there(fleet), fleet.word("a")) == (1, True, "Ready")


def test_what_another_commit_wants_again_is_not_deleted_by_the_pass_before_it(made: Callable[..., Fleet]) -> None:
    fleet = made()
    both = {
        **files(),
        "web.yaml": profile(pack("base", config_map("one")), pack("more", config_map("two"), config_map("three"))),
    }
    fleet.push(both)
    fleet.run()
    found = at_first_delete(fleet.nested["a"], lambda: fleet.push(both))
    fleet.push(files())
    fleet.run()
    assert (len(found), fleet.names("a")) == (1, ["one", "three", "two"])


def test_a_record_is_written_by_passes_alone_where_the_cluster_cannot_be_resolved(made: Callable[..., Fleet]) -> None:
    """A comparison that was under way would write what the pass has just replaced."""
    fleet = removed(made(HOLD))
    withdrawn(fleet)
    fleet.push(files())
    fleet.host.delete("", "ConfigMap", "nidus-system", "nidus-record-a")
    verify.records(fleet.store, fleet.registry, fleet.queue)
    assert fleet.state("a") is None
    fleet.run()
    assert record(fleet).tombstone is None and record(fleet).put_back
    fleet.host.delete("", "ConfigMap", "nidus-system", "nidus-record-a")
    verify.records(fleet.store, fleet.registry, fleet.queue)
    fleet.run()
    assert record(fleet).put_back


BROKEN = {"x.yaml": "apiVersion: nidus.dev/v1alpha1\nkind: NestedCluster\nmetadata: [\n"}


def engine(fleet: Fleet) -> bool:
    return fleet.host.get("apps", "StatefulSet", "vcluster-a", "a") is not None


@pytest.mark.parametrize("begun", [False, True])
def test_somebody_elses_broken_file_holds_a_removal_where_it_is(made: Callable[..., Fleet], begun: bool) -> None:
    """It neither goes on nor is called off, also where the engine is gone; once all can be read it goes on, by the approval it has."""
    fleet = removed(made(HOLD))
    known = record(fleet)
    fleet.host.fail(answer(500), lambda call: call.verb == "delete" and call.kind == "Namespace", times=None)
    if begun:
        later(fleet, HOUR + 1)
    fleet.push({**KEPT, **BROKEN})
    for look in (fleet.run, fleet.restart, lambda: later(fleet, HOUR + 1)):
        look()
        assert (fleet.held["a"].reason, engine(fleet), there(fleet)) == ("Unparsed", not begun, True)
        assert (record(fleet).tombstone, record(fleet).put_back) == (known.tombstone, 0.0)
    assert fleet.word("a") == "Held"
    fleet.host.heal()
    fleet.push(KEPT)
    assert fleet.held == {}
    fleet.run()
    assert not there(fleet)


def test_a_removal_that_no_pass_stored_is_held_too(made: Callable[..., Fleet]) -> None:
    fleet = made()
    fleet.push(KEPT)
    fleet.push({**KEPT, **BROKEN})
    fleet.run()
    assert (
        fleet.held["a"].reason == "Unparsed" and record(fleet).tombstone is not None and record(fleet).put_back == 0.0
    )


def test_without_git_no_removal_goes_on(made: Callable[..., Fleet]) -> None:
    fleet = removed(made())
    fleet.now += HOUR + 1
    fleet.restart(git=False)
    fleet.run()
    assert engine(fleet) and record(fleet).tombstone is not None


def test_a_name_that_is_free_is_of_the_source_that_takes_it(made: Callable[..., Fleet]) -> None:
    """Though its file cannot be resolved, and the first source still has one."""
    fleet = made(ttl="72h")
    later(fleet, 3 * DAY + 1)
    later(fleet, HOUR)
    later(fleet, HOUR)
    assert not there(fleet) and fleet.word("a") == "Expired"
    withdrawn(fleet)
    fleet.git.commit(files())
    found = replace(fleet.git.read(fleet.git.newest, fleet.rules), source="other")
    fleet.registry.revise(found, START + fleet.now)
    fleet.queue.add("a")
    fleet.run()
    assert record(fleet).source == "other"


def test_what_cannot_be_resolved_is_born_again_all_the_same(made: Callable[..., Fleet]) -> None:
    fleet = made(ttl="72h", policy="Retain")
    for seconds in (3 * DAY + 1, HOUR, HOUR):
        later(fleet, seconds)
    rules = fleet.rules
    withdrawn(fleet)
    fleet.push(files(ttl="80h", policy="Retain"))
    fleet.run()
    assert (record(fleet).born, record(fleet).expiry) == (record(fleet).put_back, None)
    fleet.rules = rules
    fleet.registry.govern(rules)
    later(fleet, 60)
    assert fleet.word("a") == "Ready" and ends(fleet) > fleet.now + 79 * HOUR


def test_what_is_not_asked_for_any_more_cannot_be_approved(made: Callable[..., Fleet]) -> None:
    fleet = made(HOLD)
    for asks in (KEPT, files(ttl="1h")):
        fleet.push(asks)
        asked = fleet.held["a"].consent
        fleet.push(files())
        fleet.run()
        fleet.ask("approve", consent=asked)
        fleet.push(asks)
        assert fleet.held["a"].reason == "Unreviewed"
