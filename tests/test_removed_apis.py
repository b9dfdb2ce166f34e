"""Objects of packs whose API version the wanted Kubernetes does not serve are named in plans, before they fail (O11)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from reconciler.model import NO_VERSIONS, Bundle, Desired, Layer, Revision, Target, Versions
from reconciler.operations import removed_apis
from reconciler.plan import render_json, render_markdown
from reconciler.plan.lines import Style, lines
from tests.passes import RULES, Fleet, cluster, config_map, pack, profile

FLOW = {"apiVersion": "flowcontrol.apiserver.k8s.io/v1beta3", "kind": "FlowSchema", "metadata": {"name": "fair"}}
GROUP = "flowcontrol.apiserver.k8s.io"
SAID = f"web/base: FlowSchema.{GROUP}/fair is of {GROUP}/v1beta3, which is not served from Kubernetes 1.32 on: write {GROUP}/v1"


def told(version: str, *objects: Any, ahead: tuple[str, ...] = (), nested: str = "a") -> tuple[str, ...]:
    layer = Layer("web/base", Target("local", nested), "manifests", {}, "")
    versions = Versions("0.36.1", version) if version else NO_VERSIONS
    later = tuple(Versions("0.36.1", one) for one in ahead)
    bundle = Bundle("a", "vcluster-a", Revision("main", ""), (layer,), "", versions=versions, ahead=later)
    return removed_apis.told(bundle, [Desired(layer, objects)])


@pytest.mark.parametrize(
    ("version", "ahead", "warned"),
    [
        ("v1.30.0", (), False),
        ("v1.31.0", (), True),  # the minor after it
        ("v1.32.0", (), True),
        ("v1.36.0", (), True),
        ("v1.30.0", ("v1.31.0", "v1.32.0"), True),  # a walk
        ("", (), False),
        ("latest", (), False),
    ],
)
def test_what_the_wanted_version_or_the_next_does_not_serve(version: str, ahead: tuple[str, ...], warned: bool) -> None:
    assert told(version, FLOW, ahead=ahead) == ((SAID,) if warned else ())


def of(version: str, kind: str) -> dict[str, Any]:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": "one", "namespace": "web"}}


@pytest.mark.parametrize(
    ("obj", "minor", "instead"),
    [
        (of("batch/v1beta1", "CronJob"), 25, "batch/v1"),
        (of("batch/v1", "CronJob"), None, ""),
        (of("policy/v1beta1", "PodDisruptionBudget"), 25, "policy/v1"),
        (of("policy/v1beta1", "PodSecurityPolicy"), 25, ""),
        (of("storage.k8s.io/v1beta1", "CSIStorageCapacity"), 27, "storage.k8s.io/v1"),
        (of("storage.k8s.io/v1beta1", "StorageClass"), 22, "storage.k8s.io/v1"),
        (of("storage.k8s.io/v1beta1", "VolumeAttributesClass"), None, ""),
        (of("extensions/v1beta1", "Ingress"), 22, "networking.k8s.io/v1"),
        (of("extensions/v1beta1", "Deployment"), 16, "apps/v1"),
        (of("example.com/v1beta1", "Deployment"), None, ""),
    ],
)
def test_the_published_removals(obj: Any, minor: int | None, instead: str) -> None:
    found = removed_apis.removal(obj)
    assert (found.minor if found else None, found.instead if found else "") == (minor, instead)


def test_the_host_side_is_none_of_the_packs() -> None:
    assert told("v1.36.0", FLOW, nested="") == ()


def test_a_long_list_is_cut_and_its_length_told() -> None:
    many = [of("batch/v1beta1", "CronJob") | {"metadata": {"name": f"c{n}", "namespace": "web"}} for n in range(30)]
    found = told("v1.36.0", *many)
    assert (len(found), found[-1]) == (removed_apis.SHOWN + 1, "and 10 more")


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    made = Fleet(RULES)
    yield made
    made.close()


def test_the_plan_of_an_upgrade_names_them_in_every_form(fleet: Fleet) -> None:
    jobs = {**of("batch/v1beta1", "CronJob"), "spec": {}}
    fleet.push(
        {
            "p.yaml": profile(pack("base", config_map("one", a="b"))),
            "a.yaml": cluster("a", kubernetes={"version": "v1.35.0"}),
        }
    )
    fleet.run()
    assert fleet.plans()["a"].removed == ()
    files = {"p.yaml": profile(pack("base", jobs)), "a.yaml": cluster("a", kubernetes={"version": "v1.36.0"})}
    fleet.push(files)
    review = fleet.review()
    (one,) = review.clusters
    said = "web/base: CronJob.batch/web/one is of batch/v1beta1, which is not served from Kubernetes 1.25 on: write batch/v1"
    assert f"  {said}" in [line.text for line in lines(one, Style())]
    assert render_json.render(review)["clusters"][0]["removedAPIs"] == [said]
    assert "is not served from Kubernetes 1.25 on" in render_markdown.render(review, Style())
