"""`nidus sync` looks fresh: the host is listed anew before the clusters are looked at again (R1, S2)."""

import threading
from types import SimpleNamespace

import pytest

from reconciler.controller.sources import SMALL, Sources
from reconciler.controller.trigger import Trigger
from reconciler.kube.cache import Cache, Selection
from reconciler.model import ObjectRef
from tests import shell
from tests.passes import RULES, Fleet, cluster, config_map, pack, profile
from tests.spec_cases import snapshot

FILES = {"p.yaml": profile(pack("base", config_map("one"))), "a.yaml": cluster("a")}


@pytest.mark.parametrize("forced", [True, False])
def test_a_forced_look_believes_nothing_that_was_known(forced: bool) -> None:
    fleet = Fleet()
    fleet.push(FILES)
    fleet.run()
    kinds = [Selection("", "Namespace", (("app.kubernetes.io/managed-by", "nidus"),))]
    cache = Cache(shell.client(fleet.host), kinds, lambda seen: None)
    cache.start()
    assert cache.wait_synced(10)
    ref = ObjectRef("", "Namespace", "", "vcluster-a")
    assert cache.get(ref) is not None
    with fleet.host.core.lock:  # a DELETED event that nobody gets
        del fleet.host.core.storage._objects[("", "namespaces")][("", "vcluster-a")]
    sources = Sources(None, fleet.registry, fleet.queue, fleet.reporter, threading.Event(), lambda: cache.refresh(10))  # type: ignore[arg-type]
    wake = Trigger(lists=True)
    sources.following["platform"] = SimpleNamespace(wake=wake)  # type: ignore[assignment]
    if forced:
        wake.up("sync", forced=True, resync=1)
        assert not wake.take().forced  # before the lists nothing is looked at
        sources._list()
    taken = wake.take()
    sources._revise(snapshot(FILES, rules=RULES)[0], taken.forced)
    assert (cache.get(ref) is None) == forced
    assert fleet.queue.depth()[0] == forced
    cache.stop()
    fleet.close()


@pytest.mark.parametrize("clusters", [SMALL, SMALL + 1])
def test_a_small_change_goes_before_one_of_more_than_eight_clusters(clusters: int) -> None:
    fleet = Fleet()
    sources = Sources(None, fleet.registry, fleet.queue, fleet.reporter, threading.Event())  # type: ignore[arg-type]
    files = {"p.yaml": FILES["p.yaml"], **{f"c{n}.yaml": cluster(f"c{n}") for n in range(clusters)}}
    sources._revise(snapshot(files, rules=RULES)[0], False)
    sources._revise(snapshot({**files, "a.yaml": cluster("a")}, rules=RULES)[0], False)
    taken = []
    while (key := fleet.queue.take(0.0)) is not None:
        taken.append(key)
        fleet.queue.done(key)
    assert len(taken) == clusters + 1
    assert taken.index("a") == (0 if clusters > SMALL else clusters)
    fleet.close()
