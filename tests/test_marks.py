"""Marks on Source objects: a time of the far future, which anybody with the right to patch could write, is no mark."""

import time

import pytest

from reconciler.controller import sync_requests
from reconciler.controller.service import Service
from reconciler.model import ObjectRef
from tests.test_service import NAMESPACE, House, house, server, until

__all__ = ["house", "server"]
FUTURE = 9_200_000_000_000_000_000  # the year 2261, in nanoseconds
SOURCE = {
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
    assert until(lambda: mark in (wake.generation, wake.resync), seconds=5)


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
