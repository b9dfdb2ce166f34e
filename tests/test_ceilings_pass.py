"""A cluster above a ceiling that was lowered, through real passes: it stays as it runs."""

from copy import deepcopy
from typing import Any

import pytest

from reconciler.model import Ceilings, Object, Quota, QuotaCeiling, Toleration, replace
from tests.passes import RULES, Fleet, cluster, config_map, pack, profile

WIDE = replace(
    RULES, ceilings=Ceilings(tolerations=(Toleration(operator="Exists"),), quota=QuotaCeiling(maximum=Quota(cpu="64")))
)
LOWER = replace(RULES, ceilings=Ceilings(quota=QuotaCeiling(maximum=Quota(cpu="8"))))
ASKED: dict[str, Any] = {"quota": {"cpu": "32"}, "scheduling": {"tolerations": [{"operator": "Exists"}]}}
KINDS = (("", "Namespace"), ("", "ResourceQuota"), ("apps", "StatefulSet"), ("networking.k8s.io", "NetworkPolicy"))


def files(said: str = "one", **spec: Any) -> dict[str, str]:
    web = {"name": "web", "version": "1.0.0"}
    first = pack("base", config_map("greeting", text=said))
    return {"p.yaml": profile(first), "a.yaml": cluster("a", profiles=[web], **spec)}


def standing(fleet: Fleet) -> list[Object]:
    """Everything of the cluster on the host and inside, as it is now."""
    found = [one for group, kind in KINDS for one in fleet.host.objects(group, kind)]
    return deepcopy([*found, *fleet.nested["a"].objects("", "ConfigMap")])


def limits(fleet: Fleet) -> Any:
    quota = next(one for one in fleet.host.objects("", "ResourceQuota") if one["metadata"]["name"] == "nidus")
    return dict(quota["spec"]["hard"])


def text(fleet: Fleet) -> Any:
    (said,) = [one for one in fleet.nested["a"].objects("", "ConfigMap") if one["metadata"]["name"] == "greeting"]
    return said["data"]["text"]


@pytest.fixture
def fleet() -> Any:
    made = Fleet(WIDE, cached=True)
    made.push(files(**ASKED))
    made.run()
    assert made.word("a") == "Ready"
    yield made
    made.close()


@pytest.mark.parametrize("git", [True, False])
def test_it_stays_as_it_is_and_is_told_why(fleet: Fleet, git: bool) -> None:
    before = standing(fleet)
    fleet.rules = LOWER
    fleet.restart(git=git)
    fleet.run()
    assert standing(fleet) == before
    if not git:
        assert fleet.word("a") == "Ready"
        fleet.admit()
        fleet.run()
        assert standing(fleet) == before
    assert fleet.word("a") == "Invalid"
    assert "the controller's ceilings.quota.maximum.cpu allows at most 8" in fleet.condition("a", "Stalled").message
    assert fleet.condition("a").status == "True"


def test_what_was_accepted_is_still_enforced(fleet: Fleet) -> None:
    """Drift of what guards the tenant is corrected to the accepted quota, and a commit above the ceiling changes nothing."""
    wanted = limits(fleet)
    fleet.rules = LOWER
    fleet.restart()
    fleet.push(files("two", **{**ASKED, "quota": {"cpu": "16"}}))
    fleet.run()
    meta = {"name": "nidus", "namespace": "vcluster-a"}
    fleet.host.put(
        {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": meta, "spec": {"hard": {"requests.cpu": "1"}}}
    )
    fleet.run()
    assert limits(fleet) == wanted and wanted["requests.cpu"] != "1"
    assert text(fleet) == "one"
    fleet.push(files("two", quota={"cpu": "8"}))
    fleet.run()
    assert fleet.word("a") == "Ready"
    assert text(fleet) == "two"
