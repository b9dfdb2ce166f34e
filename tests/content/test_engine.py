"""The engine's chart from elsewhere: configured by digest, fetched beside the passes, and read again without a restart."""

import hashlib
import threading
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler import settings
from reconciler.controller.configuration import Configuration
from reconciler.model import EngineChart, Remote, replace
from reconciler.spec import config
from tests.content.conftest import Allowed, Sites
from tests.content.server import packed
from tests.content.test_passes import desk
from tests.documents import cluster, config_map, pack, profile
from tests.passes import RULES, Fleet
from tests.repository import BLOBS

DIGEST = "sha256:" + "1" * 64
OCI = {"oci": "oci://registry.example.com/vcluster", "version": "0.36.1", "digest": DIGEST}
REPO = {"repo": "https://charts.example.com", "name": "vcluster", "version": "0.36.1", "digest": DIGEST}


def text(chart: dict[str, Any], *prefixes: str, version: str = "0.36.1") -> str:
    spec = {
        "sources": [{"name": "platform", "url": "https://example.com/platform.git"}],
        "engine": {"versions": [{"version": version, "chart": chart}]},
        "content": {"allow": [{"prefix": one} for one in prefixes]},
    }
    return yaml.safe_dump({"apiVersion": "nidus.dev/v1alpha1", "kind": "ControllerConfig", "spec": spec})


@pytest.mark.parametrize(
    ("chart", "prefixes", "told"),
    [
        (OCI, ("oci://registry.example.com/",), ""),
        (REPO, ("https://charts.example.com",), ""),
        (OCI, ("https://registry.example.com/",), "content may not come from"),
        ({**OCI, "digest": ""}, (), "not a digest"),
        ({key: OCI[key] for key in ("oci", "version")}, ("oci://registry.example.com/",), "the chart has no digest"),
        ({**REPO, "version": "0.37.0"}, ("https://charts.example.com",), "another version than the engine"),
        ({**REPO, "path": "/charts"}, (), "expected exactly one of path, repo, oci"),
        ({"path": "/charts", "digest": DIGEST}, (), "digest is of charts from elsewhere"),
    ],
)
def test_a_chart_from_elsewhere_has_a_digest_and_is_allowed(
    chart: dict[str, Any], prefixes: tuple[str, ...], told: str
) -> None:
    found, wrong = config.read(text(chart, *prefixes).encode(), "nidus.yaml")
    assert (found is None) == bool(told)
    assert not told or (told in wrong[0].message and wrong[0].pointer.startswith("/spec/engine/versions/0/chart"))


def test_an_edit_of_it_counts_without_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "nidus.yaml"
    file.write_text(text(OCI, "oci://registry.example.com/"))
    running = Configuration(settings.load(str(file)))
    running.look()
    (before,) = running.settings.engines
    file.write_text(text({**OCI, "digest": "sha256:" + "2" * 64}, "oci://registry.example.com/"))
    verdict = running.look()
    assert verdict is not None and verdict.reason == "ConfigurationTaken"
    (after,) = running.settings.engines
    assert (before.digest, after.digest) == ("1" * 64, "2" * 64)
    file.write_text(text(OCI))
    refused = running.look()
    assert refused is not None and refused.reason == "ConfigurationRefused"
    assert running.settings.engines == (after,)


def test_a_cluster_waits_for_its_engine_and_then_starts(sites: Sites, allowed: Allowed) -> None:
    site = sites(plain=True)
    files = {oid.removeprefix("engine:"): data.decode() for oid, data in BLOBS.items()}
    digest = site.chart("vcluster", "0.36.1", {**files, "templates/made.yaml": ""})
    site.pages["/charts/index.yaml"].after = free = threading.Event()
    remote = Remote("chart", f"{site.url}/charts", digest, "vcluster", "0.36.1")
    rules = replace(RULES, engines=(EngineChart("0.36.1", remote.digest, ((str(remote), remote.oid),)),))
    fleet = Fleet(rules)
    try:
        of = desk(fleet, allowed, site)
        fleet.push({"p.yaml": profile(pack("base", config_map("base"))), "a.yaml": cluster("a")})
        fleet.run()
        assert fleet.layer("a", "engine").message.startswith("fetching ")
        assert fleet.layer("a", "policies").state == "Current"
        free.set()
        of.heard()
        assert fleet.word("a") == "Ready"
    finally:
        fleet.close()


def test_a_chart_of_another_version_than_it_is_taken_for_is_refused(sites: Sites, allowed: Allowed) -> None:
    site, fleet = sites(plain=True), Fleet(replace(RULES, content=None))
    try:
        archive = packed(version="9.9.9")
        site.chart(version="1.2.3")
        site.put("/charts/web-1.2.3.tgz", archive)
        of = desk(fleet, allowed, site)
        digest = f"sha256:{hashlib.sha256(archive).hexdigest()}"
        chart = {"repo": f"{site.url}/charts", "name": "web", "version": "1.2.3", "digest": digest}
        fleet.push(
            {"p.yaml": profile({"name": "front", "namespace": "web", "helm": {"chart": chart}}), "a.yaml": cluster("a")}
        )
        fleet.run()
        of.heard()
        assert fleet.layer("a", "web/front").message == "ChartInvalid: the chart is version 9.9.9, and not 1.2.3"
    finally:
        fleet.close()
