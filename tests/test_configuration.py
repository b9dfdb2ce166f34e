"""An edit of the configuration file of a running controller: taken, refused with its mistakes, or told to wait for a restart."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler import settings
from reconciler.controller.service import Service
from reconciler.model import replace
from tests import installed
from tests.content.server import Site
from tests.memory.http import Front
from tests.memory.server import Server
from tests.test_service import NAMESPACE, House, metric, server
from tests.waiting import until

__all__ = ["server"]
CLUSTER = {
    "clusters/a.yaml": "apiVersion: nidus.dev/v1alpha1\nkind: NestedCluster\nmetadata: {name: a}\n"
    "spec: {quota: {cpu: 8, memory: 1Gi}}\n"
}


@pytest.fixture
def desk(server: Server, tmp_path: Path) -> Iterator["Desk"]:
    with Front(server) as front:
        house = House(server, front.url, tmp_path)
        yield Desk(house)
        house.end()


class Desk:
    """A controller with a configuration file, and an operator who edits it."""

    def __init__(self, house: House) -> None:
        self.house = house
        house.work.commit(CLUSTER)
        self.file = house.folder / "nidus.yaml"
        self.charts("0.36.1")
        self.spec: dict[str, Any] = {
            "sources": [{"name": "platform", "url": str(house.work.folder), "interval": "1h"}],
            "host": {"kubeconfig": str(house.kubeconfig)},
            "engine": {"versions": [self.version("0.36.1")]},
            "ceilings": {"quota": {"maximum": {"cpu": "4"}}},
            "server": {"internal": "127.0.0.1:0", "webhook": "127.0.0.1:0"},
            "lease": {"duration": "20s"},
            "workers": 2,
        }
        self.write()
        self.service = self.controller("one")

    def charts(self, version: str) -> None:
        folder = self.house.folder / "charts" / version
        folder.mkdir(parents=True)
        (folder / "Chart.yaml").write_text(f"apiVersion: v2\nname: vcluster\nversion: {version}\n")

    def version(self, version: str) -> dict[str, Any]:
        return {"version": version, "chart": {"path": str(self.house.folder / "charts" / version)}}

    def controller(self, name: str) -> Service:
        told = replace(settings.load(str(self.file)), data=self.house.folder / name, identity=name)
        made = Service(told)
        self.house.services.append(made)
        return made

    def lead(self) -> None:
        self.house.start(self.service).join(60)
        assert self.house.errors == []
        assert until(lambda: self.service.sources is not None and not self.service.sources.unread())

    def write(self) -> None:
        head = {"apiVersion": "nidus.dev/v1alpha1", "kind": "ControllerConfig"}
        self.file.write_text(yaml.safe_dump({**head, "spec": self.spec}))

    def edit(self, **more: Any) -> None:
        self.spec |= more
        self.write()
        self.service._edited.ask()

    def source(self) -> dict[str, Any]:
        found = self.house.server.get("nidus.dev", "Source", NAMESPACE, "platform") or {}
        return dict(found.get("status") or {})

    def quota(self, name: str) -> str | None:
        """A bound of cluster a's share on the host."""
        found = self.house.server.objects("", "ResourceQuota", "vcluster-a")
        bounds = [one["spec"]["hard"][name] for one in found if name in one["spec"]["hard"]]
        return bounds[0] if bounds else None

    def engine(self) -> str:
        """What is told of cluster a's engine layer."""
        found = self.house.server.get("nidus.dev", "NestedCluster", NAMESPACE, "a") or {}
        layers = (found.get("status") or {}).get("layers") or []
        return next((str(one.get("message", "")) for one in layers if one["name"] == "engine"), "")

    def mistakes(self) -> list[str]:
        return [one["code"] for one in self.source().get("violations") or ()]

    def events(self) -> list[tuple[str, str]]:
        found = self.house.server.objects("events.k8s.io", "Event")
        return [(one["regarding"]["kind"], one["reason"]) for one in found if one["reason"].startswith("Conf")]


def test_a_raised_ceiling_counts_without_a_restart(desk: Desk) -> None:
    desk.lead()
    assert until(lambda: desk.mistakes() == ["NID170"])
    desk.edit(ceilings={"quota": {"maximum": {"cpu": "16"}}})
    assert until(lambda: desk.source().get("accepted") == 1 and desk.mistakes() == [])
    assert until(lambda: ("Lease", "ConfigurationTaken") in desk.events())
    assert metric(desk.service, "nidus_configuration_in_force") == 1


@pytest.mark.parametrize("broken", [False, True], ids=["sound", "with a mistake in its file"])
def test_another_default_reaches_the_clusters_that_run(desk: Desk, broken: bool) -> None:
    desk.spec["ceilings"] = {}
    desk.spec["defaults"] = {"quota": {"pods": 30}}
    desk.write()
    desk.service = desk.controller("one")
    desk.lead()
    assert until(lambda: desk.quota("pods") is not None)
    before = int(desk.quota("pods") or 0)
    if broken:
        desk.house.work.commit({"clusters/a.yaml": CLUSTER["clusters/a.yaml"] + "more: 1\n"})
        assert until(lambda: desk.mistakes() == ["NID122"])
    desk.edit(defaults={"quota": {"pods": 50}})
    assert until(lambda: int(desk.quota("pods") or 0) == before + 20)


def test_budgets_policies_and_versions_count_without_a_restart(desk: Desk) -> None:
    desk.lead()
    desk.charts("0.37.0")
    desk.edit(
        policy={"profileVersions": "Mutable", "dnsPattern": "*.example.com"},
        deletion={"grace": "2h", "budget": {"clusters": 5}},
        engine={"versions": [desk.version("0.36.1"), desk.version("0.37.0")], "kubernetesVersions": ["v1.35.0"]},
    )
    assert until(lambda: desk.service.registry.rules.grace == 7200)
    rules = desk.service.registry.rules
    assert (rules.profile_versions, rules.dns_pattern, rules.budget.clusters) == ("Mutable", "*.example.com", 5)
    assert [one.version for one in rules.engines] == ["0.36.1", "0.37.0"]
    assert rules.kubernetes_versions == ("v1.35.0",)
    chart = dict(rules.engines[1].files)["Chart.yaml"]
    assert desk.service.sources is not None
    assert b"0.37.0" in desk.service.sources.read("platform", [chart])[chart]


def test_a_mistake_is_refused_and_what_was_read_before_stays_in_force(desk: Desk) -> None:
    desk.lead()
    before = desk.service.settings
    desk.edit(ceilings={"quotas": {}})
    assert until(lambda: "nidus.yaml" in desk.source().get("configuration", ""))
    assert "quotas" in desk.source()["configuration"]
    assert until(lambda: ("Lease", "ConfigurationRefused") in desk.events())
    assert metric(desk.service, "nidus_configuration_in_force") == 0
    assert desk.service.settings is before
    desk.edit(ceilings={"quota": {"maximum": {"cpu": "4"}}})
    assert until(lambda: "configuration" not in desk.source())
    assert metric(desk.service, "nidus_configuration_in_force") == 1


def test_a_chart_that_is_not_there_yet_is_looked_for_again(desk: Desk) -> None:
    desk.lead()
    desk.edit(engine={"versions": [desk.version("0.36.1"), desk.version("0.37.0")]})
    assert until(lambda: "0.37.0" in desk.source().get("configuration", ""))
    desk.charts("0.37.0")
    desk.service._edited.ask()
    assert until(lambda: len(desk.service.registry.rules.engines) == 2)
    assert until(lambda: "configuration" not in desk.source())


def test_what_needs_a_restart_says_so_and_the_rest_is_taken(desk: Desk) -> None:
    desk.lead()
    desk.edit(workers=3, deletion={"grace": "2h"})
    assert until(lambda: "restart of the controller: spec.workers" in desk.source().get("configuration", ""))
    assert desk.service.registry.rules.grace == 7200
    assert desk.service.settings.config.workers == 2
    desk.edit(workers=2)
    assert until(lambda: "configuration" not in desk.source())


def test_a_standby_leads_with_the_newest_file(desk: Desk) -> None:
    desk.lead()
    other = desk.controller("two")
    thread = desk.house.start(other)
    desk.spec["deletion"] = {"grace": "3h"}
    desk.write()
    desk.service.interrupt()
    desk.service.stop()
    thread.join(60)
    assert other.registry.rules.grace == 10800


def test_a_lost_file_is_refused_too(desk: Desk) -> None:
    desk.lead()
    desk.file.unlink()
    desk.service._edited.ask()
    assert until(lambda: "nidus.yaml" in desk.source().get("configuration", ""))
    desk.edit()
    assert until(lambda: "configuration" not in desk.source())


def test_an_edit_of_the_config_map_reaches_the_file() -> None:
    """The kubelet never renews a file that is mounted by subPath."""
    (pod,) = (one["spec"]["template"]["spec"] for one in installed.of("Deployment"))
    (container,) = pod["containers"]
    (config,) = (one["name"] for one in pod["volumes"] if "configMap" in one)
    (mount,) = (one for one in container["volumeMounts"] if one["name"] == config)
    assert "subPath" not in mount
    assert Path(container["args"][-1]).parent == Path(mount["mountPath"])


def test_an_engines_chart_from_elsewhere_comes_without_a_restart(desk: Desk) -> None:
    """Its prefix is allowed and its chart is named in one edit; the running controller fetches it beside its passes (K3)."""
    site = Site()
    try:
        digest = site.chart("vcluster", "0.36.1")
        chart = {"repo": f"{site.url}/charts", "name": "vcluster", "version": "0.36.1", "digest": f"sha256:{digest}"}
        desk.spec["ceilings"] = {}
        desk.write()
        desk.service = desk.controller("one")
        desk.lead()
        assert until(lambda: desk.engine() == "the control plane does not exist yet")
        site.pages["/charts/index.yaml"].after = free = threading.Event()
        content = {"allow": [{"prefix": site.url, "plainHTTP": True}]}
        desk.edit(engine={"versions": [{"version": "0.36.1", "chart": chart}]}, content=content)
        assert until(lambda: desk.engine() == f"fetching {site.url}/charts vcluster 0.36.1")
        free.set()
        assert until(lambda: desk.house.server.get("", "ConfigMap", "vcluster-a", "made") is not None)
        assert site.paths() == ["/charts/index.yaml", "/charts/vcluster-0.36.1.tgz"]
    finally:
        site.close()
