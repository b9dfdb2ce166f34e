"""Marks on Source objects: a time of the far future, which anybody with the right to patch could write, is no mark."""

import time
from functools import partial
from typing import Any

import pytest

from reconciler.controller import sync_requests
from reconciler.controller.service import Service
from reconciler.controller.sync_requests import Marker
from reconciler.errors import ApiError
from reconciler.model import ObjectRef
from tests.memory.failures import REFUSED, on
from tests.memory.server import Server
from tests.shell import client
from tests.test_service import NAMESPACE, House, house, server
from tests.waiting import until

__all__ = ["house", "server"]
FUTURE = 9_200_000_000_000_000_000  # the year 2261, in nanoseconds
SOURCE: dict[str, Any] = {
    "apiVersion": "nidus.dev/v1alpha1",
    "kind": "Source",
    "metadata": {"name": "platform", "namespace": NAMESPACE},
}


@pytest.mark.parametrize("annotation", [sync_requests.REQUESTED, sync_requests.RESYNC])
def test_a_mark_of_the_future_makes_nobody_deaf(house: House, annotation: str) -> None:
    service = house.leads()
    sync_requests.store(service.host, NAMESPACE, "platform", annotation, FUTURE)
    assert until(lambda: _heard(service, annotation, FUTURE))
    assert service.sources is not None
    mark, wake = time.time_ns(), service.sources.following["platform"].wake
    sync_requests.store(service.host, NAMESPACE, "platform", annotation, mark)
    assert until(lambda: _heard(service, annotation, mark))
    assert until(lambda: mark in (wake.generation, wake.resync), seconds=60)


def _heard(service: Service, annotation: str, mark: int) -> bool:
    """Whether the watch has brought the mark."""
    ref = ObjectRef("nidus.dev", "Source", NAMESPACE, "platform")
    item = service.watches._cache.get(ref) if service.watches else None
    return item is not None and (item["metadata"].get("annotations") or {}).get(annotation) == str(mark)


def test_a_served_mark_of_the_future_is_forgotten_by_the_next_process(house: House) -> None:
    house.server.put({**SOURCE, "spec": {}})
    house.server.apply({**SOURCE, "status": {"generation": FUTURE}}, subresource="status")
    service = house.leads()
    assert service.sources is not None
    wake = service.sources.following["platform"].wake
    assert max(wake.generation, wake.resync) <= time.time_ns()


def _source(server: Server, **annotations: int) -> None:
    marks = {f"nidus.dev/{name}": str(mark) for name, mark in annotations.items()}
    server.put({**SOURCE, "metadata": {**SOURCE["metadata"], "annotations": marks}, "spec": {}})


def _mark(server: Server, annotation: str) -> int:
    found = server.get("nidus.dev", "Source", NAMESPACE, "platform")
    assert found is not None
    return int(found["metadata"]["annotations"][annotation])


def test_a_mark_that_cannot_be_stored_wakes_the_source_of_the_leader(house: House) -> None:
    """Few forges deliver again. Before: such a push was seen at the next interval only."""
    house.server.put({**SOURCE, "spec": {}})
    service = house.leads()
    assert service.sources is not None
    source = service.sources.following["platform"]
    assert source.read_once.wait(60)
    before = source._fetched
    house.server.fail(REFUSED, on("apply", kind="Source"), times=None)
    with pytest.raises(ApiError):
        Marker(service.bare, NAMESPACE, "platform", partial(service._marked, "platform")).mark()
    assert until(lambda: source._fetched > before)


@pytest.mark.parametrize("before", ["requested", "resync"])
@pytest.mark.parametrize("annotation", [sync_requests.REQUESTED, sync_requests.RESYNC])
def test_marks_rise_though_the_clock_of_their_writer_is_behind(server: Server, annotation: str, before: str) -> None:
    """Another replica, whose clock is ahead, wrote one; both kinds are served by one number."""
    ahead = time.time_ns() + sync_requests.AHEAD // 2
    _source(server, **{before: ahead})
    for _ in range(2):
        last = ahead
        ahead = sync_requests.rise(client(server), NAMESPACE, "platform", annotation)
        assert _mark(server, annotation) == ahead > last


def test_a_mark_rises_above_the_one_served_last(server: Server) -> None:
    ahead = time.time_ns() + sync_requests.AHEAD // 2
    _source(server)
    server.apply({**SOURCE, "status": {"generation": ahead}}, subresource="status")
    assert sync_requests.rise(client(server), NAMESPACE, "platform", sync_requests.RESYNC) == ahead + 1


def test_the_first_mark_makes_its_source(server: Server) -> None:
    made = sync_requests.rise(client(server), NAMESPACE, "platform", sync_requests.REQUESTED)
    assert _mark(server, sync_requests.REQUESTED) == made


def test_a_mark_written_beside_another_is_above_it(server: Server) -> None:
    """The other was stored between our read and our write."""
    ahead = time.time_ns() + sync_requests.AHEAD // 2
    _source(server)
    marked = {**SOURCE["metadata"], "annotations": {sync_requests.REQUESTED: str(ahead)}}
    others = [lambda: server.apply({**SOURCE, "metadata": marked})]

    def fence() -> None:
        if others:
            others.pop()()

    made = sync_requests.rise(client(server, fence), NAMESPACE, "platform", sync_requests.RESYNC)
    assert made == _mark(server, sync_requests.RESYNC) == ahead + 1


def test_whoever_writes_to_a_source_without_end_deafens_no_webhook(server: Server) -> None:
    """An operator may ask for syncs of it, and status is written to it: each write comes between our read and our write."""
    _source(server)
    others: list[int] = []

    def fence() -> None:
        others.append(sync_requests.rise(client(server), NAMESPACE, "platform", sync_requests.RESYNC))

    made = sync_requests.rise(client(server, fence), NAMESPACE, "platform", sync_requests.REQUESTED)
    assert _mark(server, sync_requests.REQUESTED) == made > max(others)
    assert len(others) == sync_requests.TRIES + 1
    now = time.time_ns()
    assert sync_requests.believed(made, now) == made
    assert sync_requests.rise(client(server), NAMESPACE, "platform", sync_requests.REQUESTED) == made + 1


def test_marks_beside_others_rise_without_end_and_are_all_heard(server: Server) -> None:
    """Writers that never rest: each mark is above the last one, and none is so far ahead that a reader takes it for none."""
    _source(server)
    writer, last = client(server), 0
    for _ in range(2 * sync_requests.AHEAD // sync_requests.BESIDE):
        made = sync_requests._risen(writer, NAMESPACE, "platform", sync_requests.REQUESTED, beside=True)
        assert sync_requests.believed(made, time.time_ns()) == made > last
        last = made
    assert sync_requests.rise(writer, NAMESPACE, "platform", sync_requests.RESYNC) == last + 1
