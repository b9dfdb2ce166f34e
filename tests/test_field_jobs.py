"""Field case 18: a Job that its ttl removes runs once for each content in Git, and how it ended is kept."""

from typing import Any

import pytest

from reconciler.plan import render_text
from reconciler.plan.lines import Style
from tests.passes import Fleet, cluster, config_map, pack, profile


def job(ttl: int | None = 3, image: str = "m:1") -> dict[str, Any]:
    pod = {"restartPolicy": "Never", "containers": [{"name": "m", "image": image}]}
    spec = {"template": {"spec": pod}, **({"ttlSecondsAfterFinished": ttl} if ttl is not None else {})}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "once"}, "spec": spec}


def pushed(fleet: Fleet, one: dict[str, Any]) -> None:
    packs = pack("base", one), pack("next", config_map("two"), dependsOn=["base"])
    fleet.push({"p.yaml": profile(*packs), "a.yaml": cluster("a")})
    fleet.run()


def ended(fleet: Fleet, how: str) -> None:
    """The Job ends, which is seen, and is removed."""
    (live,) = fleet.nested["a"].objects("batch", "Job")
    status = {
        "startTime": "2026-01-01T00:00:00Z",
        "conditions": [{"type": how, "status": "True", "reason": "X", "message": "m"}],
    }
    fleet.nested["a"].put({**live, "status": status}, manager="kube-controller-manager", subresource="status")
    looked(fleet)
    fleet.nested["a"].delete("batch", "Job", "web", "once")
    looked(fleet)


def looked(fleet: Fleet) -> None:
    fleet.queue.add("a")
    fleet.run()


def test_18_a_job_that_ended_and_is_gone_is_not_made_again() -> None:
    fleet = Fleet()
    pushed(fleet, job())
    ended(fleet, "Complete")
    for _ in range(2):
        looked(fleet)
        assert (fleet.names("a", "batch", "Job"), fleet.names("a")) == ([], ["two"])
        assert fleet.word("a") == "Ready", fleet.condition("a").message
    assert "ttlSecondsAfterFinished removed it" in fleet.layer("a", "web/base").message
    assert "it runs again when it changes in Git" in render_text.render(fleet.review(), Style())
    fleet.restart()
    looked(fleet)
    assert fleet.names("a", "batch", "Job") == []
    pushed(fleet, job(image="m:2"))
    assert fleet.names("a", "batch", "Job") == ["once"]


def test_a_job_that_failed_and_is_gone_stays_failed() -> None:
    fleet = Fleet()
    pushed(fleet, job())
    ended(fleet, "Failed")
    assert fleet.layer("a", "web/base").state == "Failed"
    assert "it failed and its ttlSecondsAfterFinished removed it" in fleet.layer("a", "web/base").message
    assert (fleet.names("a", "batch", "Job"), fleet.names("a")) == ([], [])


@pytest.mark.parametrize("how", ["Complete", "Failed"])
def test_a_job_without_a_ttl_that_somebody_deletes_is_made_again(how: str) -> None:
    fleet = Fleet()
    pushed(fleet, job(ttl=None))
    ended(fleet, how)
    assert fleet.names("a", "batch", "Job") == ["once"]
