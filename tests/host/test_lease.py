"""One writer at a time (H1, M16, F16, F17), against a real API server, as the controller's own account."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from devhost.account import Account
from devhost.hosting import TestHost
from reconciler.controller.leadership import Lease, boottime
from reconciler.errors import ApiError, ErrorClass, LeaseLost
from reconciler.kube import edge
from reconciler.kube.client import Client
from reconciler.model import HostConfig, ObjectRef
from tests.proxy import Proxy
from tests.waiting import eventually

pytestmark = [pytest.mark.host, pytest.mark.xdist_group("empty_host")]
DURATION = 2.0
PATIENT = 6.0  # of a Lease that is to be kept: a busy machine may not come to renew one of two seconds
WAIT = 60.0


@pytest.fixture
def client(account: Account, empty_host: TestHost) -> Iterator[Client]:
    with closing(edge.host(HostConfig(kubeconfig=str(account.kubeconfig)))) as made:
        yield made


class Candidate:
    """A Lease of the test's and what became of it."""

    def __init__(
        self, client: Client, account: Account, name: str, clock: Any = boottime, duration: float = DURATION
    ) -> None:
        self.lost = threading.Event()
        self.reasons: list[str] = []
        self.lease = Lease(client, account.namespace, "nidus", name, duration, on_lost=self._lose, clock=clock)

    def _lose(self, reason: str) -> None:
        self.reasons.append(reason)
        self.lost.set()

    def may_write(self) -> bool:
        try:
            self.lease.fence()
        except LeaseLost:
            return False
        return True


def test_a_second_one_waits_until_the_first_gives_it_back(client: Client, account: Account) -> None:
    one, two = (Candidate(client, account, name, duration=PATIENT) for name in ("one", "two"))
    assert not one.may_write()
    assert one.lease.acquire(WAIT)
    assert one.may_write()
    assert not two.lease.acquire(PATIENT * 1.2)
    assert two.lease.holder == "one"
    assert not two.may_write()
    one.lease.release()
    assert not one.may_write()
    assert two.lease.acquire(WAIT)
    assert two.may_write()
    live = client.get(ObjectRef("coordination.k8s.io", "Lease", account.namespace, "nidus"))
    assert live is not None
    assert (live["spec"]["holderIdentity"], live["spec"]["leaseTransitions"]) == ("two", 1)
    assert (one.reasons, two.reasons) == ([], [])
    two.lease.release()


def test_one_that_hangs_stops_writing_before_another_begins(client: Client, account: Account, tmp_path: Path) -> None:
    with Proxy(account.kubeconfig, tmp_path) as proxy, closing(_through(proxy)) as cut:
        one, two = Candidate(cut, account, "one"), Candidate(client, account, "two")
        assert one.lease.acquire(WAIT)
        proxy.hold()
        began = time.monotonic()
        closed: list[float] = []
        threading.Thread(target=lambda: closed.append(_until_closed(one)), daemon=True).start()
        assert two.lease.acquire(WAIT)
        taken = time.monotonic()
        assert one.lost.wait(WAIT)
        assert closed
        assert closed[0] < taken
        assert taken - began >= DURATION * 0.6
        two.lease.release()


def _until_closed(candidate: Candidate) -> float:
    while candidate.may_write():
        threading.Event().wait(0.01)
    return time.monotonic()


def _through(proxy: Proxy) -> Client:
    return edge.host(HostConfig(kubeconfig=str(proxy.kubeconfig)))


def test_a_short_outage_loses_nothing(client: Client, account: Account, tmp_path: Path) -> None:
    with Proxy(account.kubeconfig, tmp_path) as proxy, closing(_through(proxy)) as cut:
        one = Candidate(cut, account, "one", duration=PATIENT)
        assert one.lease.acquire(WAIT)
        before = _renewed(client, account)
        proxy.reset()
        eventually(lambda: _renewed(client, account) != before)
        assert not one.lost.is_set()
        assert one.may_write()
        one.lease.release()


def _renewed(client: Client, account: Account) -> str:
    live = client.get(ObjectRef("coordination.k8s.io", "Lease", account.namespace, "nidus"))
    assert live is not None
    return str(live["spec"]["renewTime"])


def test_another_writer_of_the_lease_ends_us_at_once(client: Client, account: Account) -> None:
    one = Candidate(client, account, "one", duration=PATIENT)
    assert one.lease.acquire(WAIT)
    ref = ObjectRef("coordination.k8s.io", "Lease", account.namespace, "nidus")
    while True:
        live = client.get(ref)
        assert live is not None
        try:
            client.replace({**live, "spec": {**live["spec"], "holderIdentity": "thief"}})
            break
        except ApiError as error:
            assert error.kind is ErrorClass.RACED
    assert one.lost.wait(WAIT)
    assert one.reasons == ["the Lease nidus is held by thief"]
    assert not one.may_write()


def test_a_machine_that_slept_may_not_write(client: Client, account: Account) -> None:
    ahead = [0.0]
    one = Candidate(client, account, "one", clock=lambda: boottime() + ahead[0])
    assert one.lease.acquire(WAIT)
    ahead[0] = 3600.0
    assert not one.may_write()
    assert one.lost.wait(WAIT)
    assert one.reasons == ["the Lease nidus could not be renewed in time"]


def test_a_lease_it_may_not_have_is_an_error_not_a_wait(client: Client) -> None:
    lease = Lease(client, "default", "nidus", "one", DURATION, on_lost=lambda reason: None)
    with pytest.raises(ApiError) as error:
        lease.acquire()
    assert error.value.kind is ErrorClass.DENIED
