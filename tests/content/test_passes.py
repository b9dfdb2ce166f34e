"""Whole passes with content from elsewhere: a layer waits, and nothing else does (K3)."""

import hashlib
import queue
import threading
from collections.abc import Iterator

import pytest

from reconciler.model import replace
from reconciler.packs import apis
from reconciler.packs.content.background import Background
from reconciler.packs.content.client import Timeouts
from tests.content.conftest import Allowed, Sites
from tests.content.server import Page, packed
from tests.passes import RULES, Fleet, cluster, config_map, pack, profile

MANIFEST = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: remote}\ndata: {text: '${{ stays }}'}\n"
SHA = hashlib.sha256(MANIFEST).hexdigest()


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    made = Fleet(replace(RULES, content=None))
    yield made
    made.close()


class Desk:
    """The content of a fleet, and whom it woke."""

    def __init__(self, fleet: Fleet, background: Background, woken: "queue.Queue[str]") -> None:
        self.fleet, self.background, self.woken = fleet, background, woken
        fleet.content = background

    def heard(self) -> None:
        """One wake comes, and is worked on."""
        self.fleet.queue.add(self.woken.get(timeout=60.0))
        self.fleet.run()


def desk(fleet: Fleet, allowed: Allowed, *sites: object, timeouts: Timeouts | None = None) -> Desk:
    woken: queue.Queue[str] = queue.Queue()
    means = allowed(*sites, timeouts=timeouts)
    return Desk(fleet, Background(means, woken.put, lambda what, error: None), woken)


def files(site_url: str, sha: str = SHA, **more: object) -> dict[str, str]:
    remote = {
        "name": "remote",
        "namespace": "web",
        "dependsOn": [],
        "manifests": {"urls": [{"url": f"{site_url}/m.yaml", "sha256": sha}]},
    }
    web = profile(
        pack("base", config_map("base")),
        remote,
        pack("beside", config_map("beside"), dependsOn=[]),
        pack("after", config_map("after"), dependsOn=["remote"]),
    )
    other = profile(pack("base", config_map("other")), name="other")
    return {
        "p.yaml": web,
        "o.yaml": other,
        "a.yaml": cluster("a"),
        "b.yaml": cluster("b", profiles=[{"name": "other", "version": "1.x"}]),
    }


def test_a_pass_never_waits_for_a_server_that_does_not_answer(fleet: Fleet, sites: Sites, allowed: Allowed) -> None:
    site = sites(plain=True)
    site.put("/m.yaml", hang=True)
    of = desk(fleet, allowed, site, timeouts=Timeouts(5.0, 60.0, 60.0))
    fleet.push(files(site.url))
    fleet.run()
    remote = fleet.layer("a", "web/remote")
    assert (remote.state, remote.message) == ("Waiting", f"fetching {site.url}/m.yaml")
    assert fleet.layer("a", "web/after").message == "waits for web/remote"
    assert [fleet.layer("a", f"web/{one}").state for one in ("base", "beside")] == ["Current", "Current"]
    assert {"base", "beside"} <= set(fleet.names("a"))
    assert fleet.word("a") == "Provisioning"
    assert fleet.word("b") == "Ready"
    of.background.close()


def test_a_layer_is_applied_when_its_content_is_here(fleet: Fleet, sites: Sites, allowed: Allowed) -> None:
    site = sites(plain=True)
    site.put("/m.yaml", MANIFEST)
    of = desk(fleet, allowed, site)
    fleet.push(files(site.url))
    fleet.run()
    of.heard()
    assert fleet.word("a") == "Ready"
    made = fleet.nested["a"].get("", "ConfigMap", "web", "remote")
    assert made is not None and made["data"] == {"text": "${{ stays }}"}
    site.close()  # what is stored goes on
    fleet.queue.add("a")
    before = fleet.nested["a"].core.storage.version
    fleet.run()
    assert fleet.word("a") == "Ready"
    assert fleet.nested["a"].core.storage.version == before


def test_other_content_than_was_reviewed_is_not_applied(fleet: Fleet, sites: Sites, allowed: Allowed) -> None:
    """What stood stays: nothing of the layer is pruned."""
    site = sites(plain=True)
    site.put("/m.yaml", MANIFEST)
    of = desk(fleet, allowed, site)
    fleet.push(files(site.url))
    fleet.run()
    of.heard()
    fleet.push(files(site.url, "0" * 64))
    fleet.run()
    of.heard()
    failed = fleet.layer("a", "web/remote")
    assert failed.state == "Failed" and failed.message.startswith(
        f"ContentRefused: {site.url}/m.yaml: the content has the digest"
    )
    assert "remote" in fleet.names("a")


def test_a_chart_from_a_repository_is_rendered(fleet: Fleet, sites: Sites, allowed: Allowed) -> None:
    site = sites(plain=True)
    digest = site.chart(version="1.2.3")
    of = desk(fleet, allowed, site)
    chart = {"repo": f"{site.url}/charts", "name": "web", "version": "1.2.3", "digest": f"sha256:{digest}"}
    fleet.push(
        {"p.yaml": profile({"name": "front", "namespace": "web", "helm": {"chart": chart}}), "a.yaml": cluster("a")}
    )
    fleet.run()
    of.heard()
    assert fleet.word("a") == "Ready"
    made = fleet.nested["a"].get("", "ConfigMap", "web", "made")
    assert made is not None and made["data"] == {"version": "1.2.3"}


def test_content_of_no_form_is_a_failure_of_its_layer(fleet: Fleet, sites: Sites, allowed: Allowed) -> None:
    site, data = sites(plain=True), packed()[:100]
    site.pages["/m.yaml"] = Page(data)
    of = desk(fleet, allowed, site)
    fleet.push(files(site.url, hashlib.sha256(data).hexdigest()))
    fleet.run()
    of.heard()
    assert fleet.layer("a", "web/remote").message == f"RenderFailed: {site.url}/m.yaml: not UTF-8 text"
    assert fleet.word("b") == "Ready"


def test_a_fleet_that_names_nothing_from_elsewhere_starts_no_thread(fleet: Fleet, allowed: Allowed) -> None:
    before = set(threading.enumerate())
    desk(fleet, allowed)
    fleet.push({"p.yaml": profile(pack("base", config_map("base"))), "a.yaml": cluster("a")})
    fleet.run()
    assert fleet.word("a") == "Ready"
    assert set(threading.enumerate()) <= before


def test_an_archive_is_looked_through_for_what_it_asks() -> None:
    """Only a chart that asks depends on what its target serves (K6); what cannot be looked through may ask."""
    quiet = packed(files={"README.md": "x" * (3 << 20)})
    asks = packed(files={"templates/a.yaml": "{{ if .Capabilities.APIVersions.Has `v1` }}a: b{{ end }}"})
    nested = packed(files={"charts/sub.tgz": "x"})
    for data, found in (
        (quiet, frozenset()),
        *((one, apis.ANYTHING) for one in (asks, nested, quiet[:100], quiet + asks)),
    ):
        assert apis.asked({"https://charts.example.com web 1.0.0": data}) == found
