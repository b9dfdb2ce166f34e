"""What the process finds or leaves: Git's leftovers, damaged records, a kill in the middle, sources, requests (faults-found.md 6-10)."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml

from devhost.audit import Audit
from reconciler.inventory import requests
from reconciler.kube import edge
from reconciler.model import HostConfig, Request
from tests.faults import proxy
from tests.faults.lab import Lab
from tests.faults.proxy import hangs
from tests.faults.test_lab_host import change, entries, standing
from tests.host.test_input_repository import deletes
from tests.host.test_process_life import syncs

pytestmark = pytest.mark.host

REQUESTS = 400


def mirrors(lab: Lab) -> list[Path]:
    return [one.parent for one in (lab.stage.folder / "data").rglob("HEAD") if (one.parent / "objects").is_dir()]


def test_what_a_killed_git_left_behind(lab: Lab) -> None:
    """Lab 6: a ref's lock and temporary packs are swept before the next fetch."""
    (name,) = standing(lab, "a")
    (mirror,) = mirrors(lab)
    refs = [one for one in (mirror / "refs").rglob("*") if one.is_file()]
    left = [one.with_name(f"{one.name}.lock") for one in (*refs, mirror / "packed-refs", mirror / "HEAD")]
    packs = mirror / "objects" / "pack"
    packs.mkdir(parents=True, exist_ok=True)
    left += [packs / f"tmp_pack_{number}" for number in range(3)]
    for one in left:
        one.write_bytes(b"\0" * 1000)
    commit = change(lab, "two")
    lab.heal("6: what a killed git left", lambda: lab.applied(name, commit))
    assert [one.name for one in left if one.exists()] == []


@pytest.mark.long
def test_a_damaged_record_stops_its_own_cluster_alone(lab: Lab) -> None:
    """Lab 7: at a start one record cannot be read: the other is applied, this one says how it is mended, and goes on once it is."""
    hurt, fine = standing(lab, "a", "b")
    before = entries(lab, hurt)
    assert lab.controller
    lab.controller.stop()
    record = lab.record(hurt)
    assert record
    where = ("v1", "ConfigMap", f"nidus-record-{hurt}", lab.account.namespace)
    damaged = {key: "{" if key == "record" else value for key, value in record["data"].items()}
    lab.admin.patch(*where, {"data": damaged})
    lab.start()
    commit = change(lab, "two", "a", "b")
    lab.heal("7: the healthy one beside a damaged record", lambda: lab.applied(fine, commit))
    lab.until("it is told", lambda: lab.word(hurt) not in ("Ready", ""))
    assert lab.lives
    lab.admin.patch(*where, {"data": record["data"]})
    lab.heal("7: the record is mended", lambda: lab.applied(hurt, commit) and lab.word(hurt) == "Ready")
    assert entries(lab, hurt) == before
    assert deletes(lab) == []


@pytest.mark.long
def test_killed_between_a_record_and_its_status_object(lab: Lab) -> None:
    """Lab 8: the record is gone, the process is killed before the status object is: the next start removes it."""
    gone, kept = standing(lab, "a", "b")
    lab.calm()  # a Lease shorter than a lab's, but long enough for a busy machine

    def deletes_status(one: proxy.Request) -> bool:
        return one.method == "DELETE" and one.path.endswith(f"/nestedclusters/{gone}")

    with lab.proxy.fault(deletes_status, hangs) as fault:
        lab.remove("clusters/a.yaml")
        lab.push("one goes")
        lab.until("its status object is being deleted", lambda: fault.hits, 90)
        assert lab.controller
        lab.controller.kill()
    assert lab.record(gone) is None and lab.status(gone)
    lab.start()
    lab.heal("8: kill between record and status object", lambda: not lab.status(gone))
    assert lab.word(kept) == "Ready"


@pytest.mark.long
def test_a_cluster_moves_to_another_source(lab: Lab) -> None:
    """Lab 9: the second source has it already when the first drops it: it is taken without a commit there."""
    name, _ = standing(lab, "a", "b")  # the last cluster of a source would be held
    assert lab.controller
    lab.controller.stop()
    second = lab.stage.folder / "second.git"
    lab.stage.repository.git("clone", "--quiet", "--bare", str(lab.stage.repository.bare), str(second))
    config = yaml.safe_load(lab.stage.config.read_text())
    config["spec"]["sources"].append({"name": "second", "url": str(second), "branch": "main"})
    lab.stage.config.write_text(yaml.safe_dump(config))
    lab.start()
    lab.remove("clusters/a.yaml")
    lab.push("the first drops it, by policy Delete")
    lab.until("the name is free", lambda: any(line["event"] == "ClusterOver" for line in lab_lines(lab)), 90)

    def taken() -> bool:
        found = lab.admin.get("nidus.dev/v1alpha1", "NestedCluster", name, lab.account.namespace) or {}
        return bool(found.get("spec", {}).get("source") == "second" and lab.word(name) == "Ready")

    lab.heal("9: a cluster moves from one source to another", taken, 60)


def lab_lines(lab: Lab) -> list[dict[str, Any]]:
    assert lab.controller
    return lab.controller.lines()


@pytest.mark.long
def test_a_burst_of_requests(lab: Lab) -> None:
    """Lab 10: 400 approvals at once, and a restart over them: few lists, few syncs, no thread each."""
    standing(lab, "a")
    lab.quiet()
    assert lab.controller
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    answer = lab.admin.request("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", review)
    who = answer["status"]["userInfo"]["username"]
    since, before, threads = lab.account.audit.now(), syncs(lab.controller), [0]

    with closing(edge.host(HostConfig(kubeconfig=str(lab.account.hosted.kubeconfig)))) as admin:
        began = time.monotonic()
        with ThreadPoolExecutor(16) as pool:
            asked = [
                pool.submit(requests.write, admin, lab.account.namespace, approval(n, who)) for n in range(REQUESTS)
            ]
            for one in asked:
                one.result()
                threads.append(threads_of(lab))
        seconds = time.monotonic() - began
    lab.quiet()
    lists, made = lists_of_requests(lab, since), syncs(lab.controller) - before
    print(f"\nlab: 10: {REQUESTS} requests in {seconds:.0f} s: {lists} lists, {made} syncs, {max(threads)} threads")
    assert max(threads) < REQUESTS / 4
    assert lists <= 4 + seconds  # a round waits up to a second for the end of a burst; one more before it and after it
    assert made <= 3 + seconds
    lab.controller.stop()
    since = lab.account.audit.now()
    lab.start()
    lab.quiet()
    lists, made = lists_of_requests(lab, since), syncs(lab.controller)
    print(f"lab: 10: a restart over them: {lists} lists, {made} syncs, {threads_of(lab)} threads")
    assert lists <= 4 and made <= 2


def approval(number: int, who: str) -> Request:
    """An approval of nothing that is held."""
    return Request(
        "approve",
        "platform",
        "",
        who,
        time.time(),
        time.time() + 3600,
        f"{number:064x}",
        name=f"nidus-request-{number}",
    )


def threads_of(lab: Lab) -> int:
    assert lab.controller
    status = Path(f"/proc/{lab.controller.process.pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("Threads:")))


def lists_of_requests(lab: Lab, since: Audit) -> int:
    """By the audit log of the host."""
    return len(since.events(lab.account.user, verbs=("list",), resource="requests"))
