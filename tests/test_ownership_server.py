"""Fields and their owners on a server (A1): every edit by hand, passes over it, and the object afterwards."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from reconciler.gather import drivers
from reconciler.model import IgnoreRule, Observed
from reconciler.plan.fields import managed
from reconciler.plan.mark import ref_of
from tests import shell
from tests.documents import crd
from tests.memory.failures import answer, on
from tests.memory.server import Server
from tests.one_pass import Done, Entries, live, run
from tests.server_model import HOST, layer, wanted

NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "web"}}
ROLLING = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}}
Obj = dict[str, Any]


class Scene:
    """One server, what Git wants of it, and the inventory as passes leave it."""

    def __init__(self, *objects: Obj) -> None:
        self.server = Server()
        self.server.put(NAMESPACE)
        self.client = shell.client(self.server)
        self.entries: Entries = ()
        first = self.run(*objects)
        assert {outcome for _, outcome in first.outcomes} == {"created"}, first.outcomes

    def run(self, *objects: Obj, **more: Any) -> Done:
        done = run(self.client, objects, self.entries, **more)
        self.entries = done.entries
        return done

    def settle(self, *objects: Obj) -> Done:
        """A pass, and a second one that has nothing to write."""
        first = self.run(*objects)
        self.server.log.clear()
        again = self.run(*objects)
        assert {outcome for _, outcome in again.outcomes} <= {"unchanged"}, again.outcomes
        assert not [call for call in self.server.log if call.writes]
        return first

    def edit(self, obj: Obj, change: Callable[[Obj], object], manager: str = "kubectl-edit", **more: str) -> None:
        """The object written back whole after a change in place, as `kubectl edit` does."""
        there = copy.deepcopy(live(self.client, obj))
        change(there)
        self.server.put(there, manager=manager, **more)

    def default(self, obj: Obj, **spec: Any) -> None:
        """Fields of its spec that the server filled in: there, and owned by nobody."""
        self.edit(obj, lambda it: it["spec"].update(spec), "defaults")
        mine = [one for one in self.live(obj)["metadata"]["managedFields"] if one["manager"] != "defaults"]
        self.edit(obj, lambda it: it["metadata"].update(managedFields=mine), "defaults")

    def live(self, obj: Obj) -> Any:
        return live(self.client, obj)

    def managers(self, obj: Obj) -> list[tuple[str, str]]:
        return sorted((one["manager"], one["operation"]) for one in self.live(obj)["metadata"]["managedFields"])


def config_map(**data: Any) -> Obj:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "conf", "namespace": "web"}, "data": data}


def service(*ports: Obj, name: str = "stream", **spec: Any) -> Obj:
    spec = {"selector": {"app": name}, "ports": list(ports), **spec}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "web"}, "spec": spec}


def deployment(name: str = "app", ports: list[Obj] | None = None, pod: Obj | None = None, **spec: Any) -> Obj:
    container = {"name": "main", "image": "x:1", **({"ports": ports} if ports else {})}
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container], **(pod or {})}}
    body = {"selector": {"matchLabels": {"app": name}}, "template": template, **spec}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": "web"}, "spec": body}


def autoscaler(target: str = "app") -> Obj:
    spec = {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": target}, "maxReplicas": 12}
    metadata = {"name": target, "namespace": "web"}
    return {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": metadata, "spec": spec}


def scale(scene: Scene, obj: Obj, replicas: int, manager: str = "kubectl") -> None:
    scene.edit(obj, lambda it: it["spec"].update(replicas=replicas), manager, subresource="scale")


# Edits by hand


def test_an_equal_key_becomes_ours_and_leaves_with_git() -> None:
    scene = Scene(config_map(a="1"))
    scene.edit(config_map(), lambda it: it["data"].update(same="x", other="y"))
    scene.settle(config_map(a="1", same="x"))
    assert "data.same" in managed(scene.live(config_map()))
    done = scene.settle(config_map(a="1"))
    assert done.removed == ["data.same"] and scene.live(config_map())["data"] == {"a": "1", "other": "y"}


def test_another_value_of_a_key_of_theirs_is_put_right() -> None:
    scene = Scene(config_map(a="1"))
    scene.edit(config_map(), lambda it: it["data"].update(other="y"))
    scene.settle(config_map(a="1", other="z"))
    assert scene.live(config_map())["data"] == {"a": "1", "other": "z"}
    assert ("kubectl-edit", "Update") not in scene.managers(config_map())


def test_an_edited_field_that_leaves_git_before_anybody_looked_goes() -> None:
    scene = Scene(config_map(a="1", b="2"))
    scene.edit(config_map(), lambda it: it["data"].update(b="by hand", theirs="stays"))
    scene.settle(config_map(a="1"))
    assert scene.live(config_map())["data"] == {"a": "1", "theirs": "stays"}


@pytest.mark.parametrize("equal", [True, False])
def test_what_another_applier_owns_is_never_taken(equal: bool) -> None:
    scene = Scene(config_map(a="1"), service({"name": "http", "port": 80}))
    scene.server.apply(config_map(theirs="x"), manager="argocd")
    done = scene.run(config_map(a="2", theirs="x" if equal else "y"), service({"name": "http", "port": 81}))
    outcomes = dict(done.outcomes)
    assert outcomes["Service/web/stream"] == "configured"
    assert outcomes["ConfigMap/web/conf"] == ("configured" if equal else "failed")
    if not equal:
        (failed,) = [one for one in done.results if one.outcome == "failed"]
        assert failed.stalls and failed.reason == "FieldConflict"
        assert "argocd" in failed.error and ".data.theirs" in failed.error
        assert scene.live(config_map())["data"] == {"a": "1", "theirs": "x"}
    scene.run(config_map(a="2"), service({"name": "http", "port": 81}))
    assert scene.live(config_map())["data"] == {"a": "2", "theirs": "x"}
    assert ("argocd", "Apply") in scene.managers(config_map())


def test_an_update_under_our_name_is_somebody_elses() -> None:
    scene = Scene(config_map(a="1"))
    scene.edit(config_map(), lambda it: it["data"].update(a="2"), manager="nidus")
    scene.settle(config_map(a="1"))
    assert scene.live(config_map())["data"] == {"a": "1"}


def test_a_field_that_is_ignored_is_left_whoever_wrote_it() -> None:
    rule = (IgnoreRule(kind="ConfigMap", name="conf", pointers=("/data/a",)),)
    scene = Scene(config_map(a="1", b="1"))
    scene.edit(config_map(), lambda it: it["data"].update(a="by hand"))
    scene.run(config_map(b="2"), ignore=rule)
    assert scene.live(config_map())["data"] == {"a": "by hand", "b": "2"}


# Keyed lists


@pytest.mark.parametrize("commit", [1935, 1936])
def test_an_edited_port_goes_in_the_same_correction(commit: int) -> None:
    scene = Scene(service({"name": "ingest", "port": 1935, "targetPort": 1935}))
    scene.edit(service(), lambda it: it["spec"]["ports"][0].update(port=1940))
    done = scene.settle(service({"name": "ingest", "port": commit, "targetPort": 1935}))
    assert [(one["name"], one["port"]) for one in scene.live(service())["spec"]["ports"]] == [("ingest", commit)]
    assert "spec.ports[port=1940,protocol=TCP]" in done.removed
    assert done.plan.changes[0].reason == ("Drift" if commit == 1935 else "")


def test_an_unnamed_port_is_known_by_the_one_that_is_missing() -> None:
    scene = Scene(service({"port": 80}))
    scene.edit(service(), lambda it: it["spec"]["ports"][0].update(port=8080))
    scene.settle(service({"port": 80}))
    assert [one["port"] for one in scene.live(service())["spec"]["ports"]] == [80]


def test_a_container_port_and_a_variable_renamed_by_hand_go() -> None:
    ports = [{"name": "metrics", "containerPort": 9153}, {"name": "dns", "containerPort": 53, "protocol": "UDP"}]
    wanted = deployment(ports=ports)
    wanted["spec"]["template"]["spec"]["containers"][0]["env"] = [{"name": "MODE", "value": "fast"}]

    def change(it: Obj) -> None:
        container = it["spec"]["template"]["spec"]["containers"][0]
        container["ports"][0]["containerPort"] = 9154
        container["env"][0]["name"] = "MODUS"

    scene = Scene(wanted)
    scene.edit(wanted, change)
    scene.settle(wanted)
    container = scene.live(wanted)["spec"]["template"]["spec"]["containers"][0]
    assert sorted(one["containerPort"] for one in container["ports"]) == [53, 9153]
    assert [one["name"] for one in container["env"]] == ["MODE"]


def test_an_entry_that_somebody_added_stays() -> None:
    wanted = service({"name": "ingest", "port": 1935})
    scene = Scene(wanted)
    scene.edit(wanted, lambda it: it["spec"]["ports"].append({"name": "theirs", "port": 99, "protocol": "TCP"}))
    scene.settle(service({"name": "ingest", "port": 1936}))
    assert sorted(one["name"] for one in scene.live(wanted)["spec"]["ports"]) == ["ingest", "theirs"]


def test_drift_that_is_only_reported_is_not_corrected() -> None:
    wanted = service({"name": "ingest", "port": 1935})
    scene = Scene(wanted)
    scene.edit(wanted, lambda it: it["spec"]["ports"][0].update(port=1940))
    done = scene.run(wanted, drift="report")
    assert [(one.action, one.reason) for one in done.plan.changes] == [("skip", "DriftReported")]
    assert [one["port"] for one in scene.live(wanted)["spec"]["ports"]] == [1940]


# Unions and nulls


@pytest.mark.parametrize("strategy", [{"type": "Recreate"}, {"type": "Recreate", "rollingUpdate": None}])
def test_a_default_block_goes_with_its_type(strategy: Obj) -> None:
    scene = Scene(deployment())
    scene.default(deployment(), strategy=ROLLING)
    scene.settle(deployment())
    assert scene.live(deployment())["spec"]["strategy"] == ROLLING
    done = scene.settle(deployment(strategy=strategy))
    assert done.removed == ["spec.strategy.rollingUpdate"] and done.plan.changes[0].reason == ""
    assert scene.live(deployment())["spec"]["strategy"] == {"type": "Recreate"}
    assert "spec.strategy.rollingUpdate" not in managed(scene.live(deployment()))


def test_a_null_takes_back_what_somebody_wrote_there() -> None:
    wanted = deployment(pod={"nodeSelector": None, "affinity": None, "securityContext": None})
    scene = Scene(wanted)

    def change(it: Obj) -> None:
        pod = it["spec"]["template"]["spec"]
        term = {"topologyKey": "host", "labelSelector": {"matchLabels": {"a": "b"}}}
        weighed = [{"weight": 1, "podAffinityTerm": term}]
        pod["affinity"] = {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": weighed}}
        pod["nodeSelector"], pod["securityContext"] = {"disk": "fast"}, {"runAsUser": 5}

    scene.edit(wanted, change)
    scene.settle(wanted)
    pod = scene.live(wanted)["spec"]["template"]["spec"]
    assert not pod.get("nodeSelector") and not pod.get("affinity") and not pod.get("securityContext")


def test_a_null_where_the_server_has_a_default_is_no_change() -> None:
    wanted = deployment(strategy=None)
    scene = Scene(wanted)
    scene.default(wanted, strategy=ROLLING)
    done = scene.settle(wanted)
    assert done.outcomes == [("Deployment.apps/web/app", "unchanged")]
    assert scene.live(wanted)["spec"]["strategy"] == ROLLING


# Scale


def test_a_count_scaled_by_hand_is_put_back() -> None:
    scene = Scene(deployment(replicas=3))
    scale(scene, deployment(), 7)
    done = scene.settle(deployment(replicas=3))
    assert scene.live(deployment())["spec"]["replicas"] == 3
    assert done.plan.changes[0].reason == "Drift" and "changed by kubectl" in done.plan.changes[0].flags[0]


def test_a_count_is_left_to_a_live_autoscaler_and_taken_back_when_it_is_gone() -> None:
    scene = Scene(deployment(replicas=3))
    scene.server.put(autoscaler())
    scale(scene, deployment(), 7, "kube-controller-manager")
    scene.settle(deployment(replicas=3))
    assert scene.live(deployment())["spec"]["replicas"] == 7
    scene.server.delete("autoscaling", "HorizontalPodAutoscaler", "web", "app")
    scene.settle(deployment(replicas=3))
    assert scene.live(deployment())["spec"]["replicas"] == 3


def test_replicas_stay_where_an_autoscaler_takes_over() -> None:
    scene = Scene(deployment(replicas=6))
    scene.run(deployment(), autoscaler())
    scene.settle(deployment(), autoscaler())
    assert scene.live(deployment())["spec"]["replicas"] == 6
    scale(scene, deployment(), 9, "kube-controller-manager")
    scene.settle(deployment(), autoscaler())
    assert scene.live(deployment())["spec"]["replicas"] == 9


def test_replicas_that_leave_git_with_nobody_to_take_over_are_flagged() -> None:
    scene = Scene(deployment(replicas=6))
    done = scene.settle(deployment())
    assert done.plan.changes[0].flags == ("spec.replicas leaves Git: the server's default applies",)
    assert scene.live(deployment())["spec"].get("replicas", 1) == 1


def test_autoscalers_are_listed_only_where_that_decides_something() -> None:
    scene = Scene(deployment(replicas=3))
    scene.server.log.clear()
    scene.run(deployment(replicas=4))
    assert not [call for call in scene.server.log if call.kind == "HorizontalPodAutoscaler"]


# Between others


def test_a_version_that_moved_meanwhile_does_not_lose_the_correction() -> None:
    """Controllers write status all the time: taking over what an edit left is based on a fresh read then."""
    wanted = service({"name": "ingest", "port": 1935})
    scene = Scene(wanted)
    scene.edit(wanted, lambda it: it["spec"]["ports"][0].update(port=1940))
    moves = iter(range(2))

    def busy(call: Any) -> None:
        if call.verb == "patch" and (move := next(moves, None)) is not None:
            status = {"loadBalancer": {"ingress": [{"ip": f"10.0.0.{move}"}]}}
            scene.edit(wanted, lambda it: it.update(status=status), "lb", subresource="status")

    scene.server.choosers.append(busy)
    done = scene.run(wanted)
    assert done.outcomes == [("Service/web/stream", "configured")]
    assert [one["port"] for one in scene.live(wanted)["spec"]["ports"]] == [1935]
    assert "removes spec.ports[port=1940,protocol=TCP] of kubectl-edit" in done.plan.changes[0].flags


def test_rules_that_the_server_gathers_are_not_sent() -> None:
    rule = {"clusterRoleSelectors": [{"matchLabels": {"gathered": "yes"}}]}
    metadata = {"name": "gathered"}
    role: Obj = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": metadata}
    wanted = {**role, "aggregationRule": rule, "rules": []}
    scene = Scene(wanted)
    rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]
    scene.server.apply({**role, "rules": rules}, manager="clusterrole-aggregation-controller")
    scene.settle(wanted)
    assert scene.live(wanted)["rules"] == rules


SERVED = {"service": {"name": "app", "namespace": "web"}}
REVIEWED = {"name": "a.web.example", "sideEffects": "None", "admissionReviewVersions": ["v1"]}


def called(kind: str, bundle: str) -> tuple[Obj, Callable[[Obj], Obj]]:
    """An object by which Kubernetes calls a Service, and where in it the certificates stand."""
    known = {**SERVED, "caBundle": bundle}
    if kind == "APIService":
        spec = {"group": "web.example", "version": "v1", "groupPriorityMinimum": 1, "versionPriority": 1, **known}
        metadata = {"name": "v1.web.example"}
        return {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": kind,
            "metadata": metadata,
            "spec": spec,
        }, lambda it: it["spec"]
    if kind == "CustomResourceDefinition":
        webhook = {"conversionReviewVersions": ["v1"], "clientConfig": known}
        made: Obj = crd()
        made["spec"]["conversion"] = {"strategy": "Webhook", "webhook": webhook}
        return made, lambda it: it["spec"]["conversion"]["webhook"]["clientConfig"]
    webhooks = [{**REVIEWED, "name": "other.web.example", "clientConfig": SERVED}, {**REVIEWED, "clientConfig": known}]
    whole = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": kind,
        "metadata": {"name": "app"},
        "webhooks": webhooks,
    }
    return whole, lambda it: it["webhooks"][1]["clientConfig"]


@pytest.mark.parametrize("empty", ["", "Cg=="])
@pytest.mark.parametrize(
    "kind",
    ["APIService", "CustomResourceDefinition", "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"],
)
def test_certificates_that_a_controller_fills_in_stay(kind: str, empty: str) -> None:
    """Charts write an empty caBundle, which the software fills in when it starts: it was emptied again at every look."""
    wanted, place = called(kind, empty)
    scene = Scene(wanted)
    scene.edit(wanted, lambda it: place(it).update(caBundle="bmV3"), "injector")
    scene.settle(wanted)
    assert place(scene.live(wanted))["caBundle"] == "bmV3"


def test_certificates_that_git_names_are_ours() -> None:
    wanted, place = called("MutatingWebhookConfiguration", "b3Vycw==")
    scene = Scene(wanted)
    scene.edit(wanted, lambda it: place(it).update(caBundle="bmV3"), "injector")
    scene.settle(wanted)
    assert place(scene.live(wanted))["caBundle"] == "b3Vycw=="


def test_a_count_is_left_where_autoscalers_may_not_be_read() -> None:
    scene = Scene(deployment(replicas=3))
    scale(scene, deployment(), 7)
    scene.server.fail(answer(403), on("list", kind="HorizontalPodAutoscaler"), times=None)
    done = scene.run(deployment(replicas=3))
    assert scene.live(deployment())["spec"]["replicas"] == 7
    assert done.plan.changes[0].flags == ("spec.replicas is left to an autoscaler that may not be read",)


@pytest.mark.parametrize(("names", "driver"), [((), ""), (("keda",), "keda"), (("other",), "")])
def test_managers_that_count_as_autoscalers_are_the_operators_to_name(names: tuple[str, ...], driver: str) -> None:
    scene = Scene(deployment(replicas=3))
    scale(scene, deployment(), 7, "keda")
    one = layer("web/base", HOST)
    desired, ref = [wanted(one, deployment(replicas=3))], ref_of(deployment())
    seen = {ref: Observed(HOST, ref, scene.live(deployment()))}
    found = drivers.told(HOST, seen, desired, scene.entries, lambda _: scene.client, frozenset(names))
    assert found[ref].driven == driver
