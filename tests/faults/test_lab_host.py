"""Answers of the host that get lost, fail or lie, on the running product (faults-found.md 1, 2, 5, 8, 11)."""

import json
from typing import Any

import pytest

from tests.faults.lab import Lab, writes_record
from tests.faults.proxy import Request, answers, loses_the_answer
from tests.host.field import nested_cluster
from tests.host.test_input_repository import deletes
from tests.host.test_process_life import greeting, one_cluster

pytestmark = pytest.mark.host


def standing(lab: Lab, *suffixes: str, hurried: bool = False) -> list[str]:
    """Clusters that are Ready under a running controller."""
    names = [bounded(lab, suffix) for suffix in suffixes]
    lab.push()
    if hurried:
        lab.start_hurried(every=8.0, silence=6.0)  # longer than what the reflector takes for a watch that failed
    else:
        lab.start()
    for name in names:
        lab.wait(name)
    return names


def bounded(lab: Lab, suffix: str, text: str = "one") -> str:
    """One cluster with a quota, so that there is something on the host that drifts."""
    name = one_cluster(lab, suffix, text)
    lab.write(
        f"clusters/{suffix}.yaml",
        nested_cluster(
            name,
            quota={"pods": 20},
            profiles=[{"name": "web", "version": "1.0.0"}],
            deletion={"policy": "Delete", "grace": "1s"},
        ),
    )
    return name


def change(lab: Lab, text: str, *suffixes: str) -> str:
    for suffix in suffixes or ("a",):
        bounded(lab, suffix, text)
    return lab.push(f"greeting {text}")


def test_a_record_whose_version_is_another_than_remembered(lab: Lab) -> None:
    """Lab 1: the answers to a POST and to PUTs lost, an annotation put on it, deleted by hand; the next commit is applied each time."""
    one_cluster(lab)
    name = lab.cluster("a")
    lab.push()
    with lab.proxy.fault(writes_record(name), loses_the_answer, times=1) as lost:
        lab.start()
        lab.until("the record's create lost its answer", lambda: lost.hits)
    assert lost.hits[0].method == "POST"
    lab.heal("1: POST of the record lost", lambda: lab.word(name) == "Ready")
    with lab.proxy.fault(lambda one: writes_record(name)(one) and one.method == "PUT", loses_the_answer, 1) as lost:
        commit = change(lab, "two")
        lab.until("the record's update lost its answer", lambda: lost.hits)
    lab.heal("1: PUT of the record lost", lambda: lab.applied(name, commit))
    lab.admin.patch(
        "v1", "ConfigMap", f"nidus-record-{name}", lab.account.namespace, {"metadata": {"annotations": {"a": "hand"}}}
    )
    commit = change(lab, "three")
    lab.heal("1: annotation on the record", lambda: lab.applied(name, commit))
    uid = entries(lab, name)
    lab.admin.delete("v1", "ConfigMap", f"nidus-record-{name}", lab.account.namespace)
    commit = change(lab, "four")
    lab.heal("1: record deleted by hand", lambda: lab.applied(name, commit) and lab.record(name))
    assert entries(lab, name) == uid
    assert greeting(lab, name) == "four"
    assert lab.lives and deletes(lab) == []


def entries(lab: Lab, name: str) -> dict[str, str]:
    return {str(entry.ref): entry.uid for entry in lab.entries(name)}


def quota_of(lab: Lab, name: str) -> str:
    found = lab.until("it has a quota", lambda: lab.admin.list("v1", "ResourceQuota", f"vcluster-{name}")["items"])
    return str(found[0]["metadata"]["name"])


def is_deletion(name: str, namespace: str) -> Any:
    def matches(event: dict[str, Any]) -> bool:
        meta = event["object"].get("metadata", {})
        return event["type"] == "DELETED" and (meta.get("name"), meta.get("namespace")) == (name, namespace)

    return matches


@pytest.mark.long
def test_a_deletion_that_no_watch_told(lab: Lab) -> None:
    """Lab 2: the one DELETED event is lost. The next look at that kind finds it, in turn (10 minutes, here 8 s) or by `nidus sync`."""
    (name,) = standing(lab, "a", hurried=True)
    quota, where = quota_of(lab, name), f"vcluster-{name}"

    def lose_it() -> None:
        with lab.proxy.swallowed(is_deletion(quota, where)) as lost:
            lab.admin.delete("v1", "ResourceQuota", quota, where)
            assert lost.over.wait(60)

    def stands() -> bool:
        return lab.admin.get("v1", "ResourceQuota", quota, where) is not None

    lose_it()
    lab.heal("2: DELETED lost, each kind listed anew every 8 s", stands)
    assert lab.controller
    lab.controller.stop()
    lab.start()
    lab.wait(name)
    lab.quiet()
    lose_it()
    lab.sync()
    lab.heal("2: DELETED lost, `nidus sync`", stands)
    lab.heal("2: status after it", lambda: lab.word(name) == "Ready")
    assert deletes(lab) == []


def test_one_failed_read_and_one_failed_status(lab: Lab) -> None:
    """Lab 5: one 500 on a GET of the host, one on the PATCH of a status: seconds, not five minutes."""
    name = lab.cluster("a")
    one_cluster(lab)
    lab.push()

    def reads(one: Request) -> bool:
        return one.method == "GET" and one.namespace == f"vcluster-{name}" and not one.watches

    with lab.proxy.fault(reads, answers(500), times=1) as failed:
        lab.start()
        lab.until("a read failed", lambda: failed.hits)
    lab.heal("5: one 500 on a GET", lambda: lab.word(name) == "Ready")

    def status(one: Request) -> bool:
        return one.method == "PATCH" and one.path.endswith(f"/nestedclusters/{name}/status")

    with lab.proxy.fault(status, answers(500), times=1) as failed:
        commit = change(lab, "two")
        lab.until("a status write failed", lambda: failed.hits)
    lab.heal("5: one 500 on the PATCH of a status", lambda: lab.applied(name, commit))
    assert lab.lives and deletes(lab) == []


@pytest.mark.long
def test_status_objects_that_nobody_owned(lab: Lab) -> None:
    """Lab 8: one deleted by hand comes back, and one whose delete failed once goes with its cluster."""
    kept, gone = standing(lab, "a", "b")
    lab.admin.delete("nidus.dev/v1alpha1", "NestedCluster", kept, lab.account.namespace)
    lab.sync()
    lab.heal("8: status object deleted by hand, `nidus sync`", lambda: lab.word(kept) == "Ready")

    def deletes_status(one: Request) -> bool:
        return one.method == "DELETE" and one.path.endswith(f"/nestedclusters/{gone}")

    with lab.proxy.fault(deletes_status, answers(500), times=1) as failed:
        lab.remove("clusters/b.yaml")
        lab.push("one goes")
        lab.until("its status object could not be deleted", lambda: failed.hits, 90)
    lab.heal("8: DELETE of a status object failed once", lambda: not lab.status(gone))
    assert lab.record(gone) is None
    assert lab.word(kept) == "Ready"


@pytest.mark.long
def test_watches_whose_bytes_do_not_come(lab: Lab) -> None:
    """Lab 11: all watches held back, connections open: begun again after 90 s of silence, here 6; drift is put back meanwhile."""
    (name,) = standing(lab, "a", hurried=True)
    quota, where = quota_of(lab, name), f"vcluster-{name}"
    before = hard(lab, quota, where)
    with lab.proxy.watches_held():
        lab.admin.patch("v1", "ResourceQuota", quota, where, {"spec": {"hard": {"pods": "999"}}})
        lab.heal("11: watches silent, drift put back", lambda: hard(lab, quota, where) == before)
    assert lab.lives and deletes(lab) == []


def hard(lab: Lab, quota: str, where: str) -> str:
    found = lab.admin.get("v1", "ResourceQuota", quota, where)
    return json.dumps(found and found["spec"]["hard"], sort_keys=True)
