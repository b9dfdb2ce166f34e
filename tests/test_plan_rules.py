"""plan.compute and plan.guard where it is dangerous: replacing, deleting, drift, approval, secrets."""

import base64
from typing import Any

import pytest

from reconciler.model import (
    Change,
    Consent,
    Held,
    IgnoreRule,
    InventoryEntry,
    ObjectRef,
    Observed,
    Permit,
    Plan,
    Request,
    Tombstone,
    replace,
)
from reconciler.plan import consent
from reconciler.plan.compute import compute
from reconciler.plan.guard import guard
from reconciler.plan.kinds import NAMESPACED
from reconciler.plan.mark import ref_of
from tests.memory import facts
from tests.server_model import (
    HOST,
    NESTED,
    NONCE,
    SALT,
    Server,
    actions,
    bundle,
    config_map,
    entry,
    execute,
    layer,
    plan,
    wanted,
)

A = ObjectRef("", "ConfigMap", "web", "a")
CLAIMS = {"volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"]}}]}


def thing(kind: str, name: str, api: str = "v1", opted: bool = True, **body: Any) -> dict[str, Any]:
    annotations = {"nidus.dev/replace": "true"} if opted else {}
    metadata = {"name": name, "namespace": "vcluster-team-a", "annotations": annotations}
    return {"apiVersion": api, "kind": kind, "metadata": metadata, **body}


def refused(obj: dict[str, Any], **seen: Any) -> Change:
    """The change of one live object of ours on the host whose dry-run was refused."""
    one = layer("engine", HOST)
    desired = [wanted(one, obj)]
    server = Server()
    inventory = execute(server, plan(server, desired))
    key = (HOST, ref_of(obj))
    observed = {key: Observed(*key, server.objects[key], **seen)}
    return compute(bundle(one), desired, observed, inventory, salt=SALT, unknown={}, nonce=NONCE).changes[0]


def test_an_immutable_change_replaces_only_what_opted_in() -> None:
    assert refused(thing("Job", "j", "batch/v1"), immutable=True).action == "replace"
    held = refused(thing("Job", "j", "batch/v1", opted=False), immutable=True)
    assert (held.action, held.reason, held.desired) == ("hold", "ImmutableField", None)


@pytest.mark.parametrize(
    "obj",
    [
        thing("PersistentVolumeClaim", "data"),
        thing("Namespace", "n"),
        thing("StatefulSet", "team-a", "apps/v1", spec=CLAIMS),
        thing("Service", "team-a"),
        thing("CustomResourceDefinition", "x.y", "apiextensions.k8s.io/v1"),
    ],
    ids=lambda obj: str(obj["kind"]),
)
def test_what_holds_data_or_owns_the_tenant_is_never_replaced(obj: dict[str, Any]) -> None:
    assert refused(obj, immutable=True).action == "hold"
    assert refused(thing("Service", "team-a-headless"), immutable=True).action == "replace"


def test_what_the_server_refuses_is_tried_and_told() -> None:
    change = refused(thing("ConfigMap", "c"), refused="Invalid: data: too long")
    assert (change.action, change.reason) == ("configure", "Refused") and "too long" in change.flags[-1]
    secret = refused(thing("Secret", "s"), refused="Invalid: hunter2 is bad")
    assert "hunter2" not in str(secret.flags)


def test_what_cannot_be_asked_yet_is_known_after_apply() -> None:
    key = (NESTED, A)
    desired = [wanted(layer(), config_map("a"))]
    observed = {key: Observed(*key, None, unknown="KindMissing")}
    todo = compute(bundle(layer()), desired, observed, [], salt=SALT, unknown={}, nonce=NONCE)
    assert [(c.action, c.flags) for c in todo.changes] == [("create", ("known after apply",))]


def test_layers_of_a_control_plane_that_is_not_up() -> None:
    desired = [wanted(layer(), config_map("a"))]
    todo = compute(bundle(layer()), desired, {}, [entry(A)], salt=SALT, unknown={"web/base": ""}, nonce=NONCE)
    assert todo.changes == () and todo.unknown == {"web/base": "known after the control plane is up"}


def test_two_layers_that_claim_one_object() -> None:
    first, second = layer("web/a"), layer("web/b")
    todo = plan(Server(), [wanted(second, config_map("a")), wanted(first, config_map("a"))], of=bundle(first, second))
    assert [(c.layer, c.action, c.reason) for c in todo.changes] == [
        ("web/a", "create", ""),
        ("web/b", "hold", "ClaimedTwice"),
    ]


def test_what_is_going_away_is_waited_for() -> None:
    server, inventory, desired = drifted("correct")
    server.objects[NESTED, A]["metadata"]["deletionTimestamp"] = "2026-11-21T10:00:00Z"
    assert actions(plan(server, desired, inventory)) == [("skip", "ConfigMap/web/a", "Terminating")]
    assert actions(plan(server, [wanted(desired[0].layer)], inventory)) == [("skip", "ConfigMap/web/a", "Terminating")]


# Drift


def drifted(policy: str, **more: Any) -> tuple[Server, list[InventoryEntry], list[Any]]:
    """An object somebody edited: the server lists them, not us, as manager of the field."""
    one = layer(drift=policy, **more)
    desired = [wanted(one, config_map("a", k="ours", other="x"))]
    server = Server()
    inventory = execute(server, plan(server, desired))
    server.edit(NESTED, config_map("a", k="theirs"), "kubectl-edit", time="2026-11-21T09:00:00Z")
    return server, inventory, desired


def test_drift_is_corrected_reported_or_ignored() -> None:
    server, inventory, desired = drifted("correct")
    change = plan(server, desired, inventory).changes[0]
    assert (change.action, change.reason, change.fields[0].after) == ("configure", "Drift", "ours")
    server, inventory, desired = drifted("report")
    change = plan(server, desired, inventory).changes[0]
    assert (change.action, change.reason, change.desired) == ("skip", "DriftReported", None)
    assert change.flags == ("changed by kubectl-edit at 2026-11-21T09:00:00Z",) and change.fields
    server, inventory, desired = drifted("ignore")
    change = plan(server, desired, inventory).changes[0]
    assert (change.action, change.reason, change.fields) == ("unchanged", "DriftIgnored", ())


def test_a_commit_is_applied_whatever_the_drift_policy() -> None:
    server, inventory, desired = drifted("report")
    again = [wanted(desired[0].layer, config_map("a", k="ours", other="new"))]
    assert [c.action for c in plan(server, again, inventory).changes] == ["configure"]


def test_an_object_somebody_deleted() -> None:
    for policy, action in (("correct", "create"), ("report", "skip"), ("ignore", "unchanged")):
        server, inventory, desired = drifted(policy)
        server.objects.clear()
        assert [c.action for c in plan(server, desired, inventory).changes] == [action]


def test_ignored_fields_are_no_difference_and_stay_as_they_are() -> None:
    rules = (IgnoreRule(kind="ConfigMap", pointers=("/data/k",)),)
    server, inventory, desired = drifted("correct", ignore=rules)
    assert actions(plan(server, desired, inventory)) == [("unchanged", "ConfigMap/web/a", "")]
    again = [wanted(desired[0].layer, config_map("a", k="ours", other="new"))]
    change = plan(server, again, inventory).changes[0]
    assert [one.path for one in change.fields] == ["data.other"] and "k" not in (change.desired or {})["data"]


# Deletion


def grave(policy: str, *, protect: bool = False, due: float = 10.0) -> Tombstone:
    return Tombstone(since=0.0, due=due, policy=policy, protect=protect)


def buried(policy: str, now: float = 20.0, **more: Any) -> Plan:
    server = Server()
    space, engine, base = layer("namespace", HOST), layer("engine", HOST), layer("web/base")
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "vcluster-team-a"}}
    engine_objects = [
        thing("StatefulSet", "team-a", "apps/v1", spec=CLAIMS),
        thing("Service", "team-a"),
        thing("Service", "team-a-headless"),
        thing("Secret", "vc-config-team-a"),
        thing("PersistentVolumeClaim", "data-team-a-0"),
    ]
    limits = layer("policies", HOST)
    quota = thing("ResourceQuota", "nidus")
    desired = [wanted(space, namespace), wanted(limits, quota), wanted(engine, *engine_objects)]
    desired.append(wanted(base, config_map("a")))
    inventory = execute(server, plan(server, desired))
    return plan(server, [], inventory, of=bundle(tombstone=grave(policy, **more)), now=now)


def test_retain_deletes_compute_and_keeps_data() -> None:
    todo = {(c.ref.kind, c.ref.name): (c.action, c.reason) for c in buried("Retain").changes}
    assert todo == {
        ("StatefulSet", "team-a"): ("delete", ""),
        ("Service", "team-a-headless"): ("delete", ""),
        ("Service", "team-a"): ("skip", "Retained"),
        ("Secret", "vc-config-team-a"): ("skip", "Retained"),
        ("PersistentVolumeClaim", "data-team-a-0"): ("skip", "Retained"),
        ("Namespace", "vcluster-team-a"): ("skip", "Retained"),
        ("ConfigMap", "a"): ("skip", "GoesWithCluster"),
        ("ResourceQuota", "nidus"): ("delete", ""),
    }


def test_delete_takes_all_and_the_namespace_last() -> None:
    todo = buried("Delete")
    gone = [c for c in todo.changes if c.action == "delete"]
    assert [c.layer for c in gone] == ["engine"] * 5 + ["policies", "namespace"]
    assert gone[-1].flags == ("volume at risk",) and len(todo.consent.items) == 7


def test_orphan_touches_nothing() -> None:
    assert {(c.action, c.reason) for c in buried("Orphan").changes} == {("skip", "Orphaned")}


def test_nothing_is_deleted_before_its_time_or_under_protection() -> None:
    early = buried("Delete", now=5.0)
    assert {c.reason for c in early.changes if c.action == "hold"} == {"Grace"}
    kept = buried("Delete", protect=True)
    assert {c.reason for c in kept.changes if c.action == "hold"} == {"Protected"}
    assert not [c for c in (*early.changes, *kept.changes) if c.action == "delete"]


@pytest.mark.parametrize(
    ("live", "kept", "expected"),
    [
        (None, {}, ("skip", "Gone")),
        ("uid-2", {}, ("skip", "NotOwner")),
        ("uid-1", {"state": "retained"}, ("skip", "Retained")),
        ("uid-1", {"name": "web/keep"}, ("skip", "PruneDisabled")),
        ("uid-1", {"name": "old/pack"}, ("delete", "")),
    ],
)
def test_what_pruning_leaves(live: str | None, kept: dict[str, str], expected: tuple[str, str]) -> None:
    base, keep = layer("web/base"), layer("web/keep", prune=False)
    obj = {**config_map("a"), "metadata": {"name": "a", "namespace": "web", "uid": live}}
    seen = {(NESTED, A): Observed(NESTED, A, obj if live else None)}
    todo = compute(
        bundle(base, keep), [wanted(base), wanted(keep)], seen, [entry(A, **kept)], salt=SALT, unknown={}, nonce=NONCE
    )
    assert [(c.action, c.reason) for c in todo.changes] == [expected]


def test_a_layer_that_was_not_rendered_prunes_nothing() -> None:
    seen = {(NESTED, A): Observed(NESTED, A, {**config_map("a"), "metadata": {"uid": "uid-1"}})}
    todo = compute(bundle(layer()), [], seen, [entry(A)], salt=SALT, unknown={}, nonce=NONCE)
    assert [(c.action, c.reason) for c in todo.changes] == [("skip", "LayerUnknown")]


# Approval


def destructive() -> Plan:
    server = Server()
    inventory = execute(server, plan(server, [wanted(layer(), config_map("a"), config_map("b"))]))
    return plan(server, [wanted(layer(), config_map("c"))], inventory)


def approve(**more: Any) -> Request:
    return Request(
        **{"kind": "approve", "source": "platform", "cluster": "team-a", "who": "me", "created": 0.0, **more}
    )


def test_unapproved_destruction_is_held_and_the_rest_goes_on() -> None:
    todo = destructive()
    why = Held("ObjectBudget", "more than 3 objects")
    for permit in (Permit(held={todo.consent.digest: why}), Permit(held={"team-a": why})):
        held = guard(todo, permit, [], 0.0, "platform")
        assert [(c.action, c.reason) for c in held.changes] == [
            ("create", ""),
            ("hold", "ObjectBudget"),
            ("hold", "ObjectBudget"),
        ]
        assert held.changes[1].why == "ObjectBudget: over the cluster's budget, or it holds data or other objects"
        assert held.changes[1].would == "delete" and held.consent == todo.consent
    assert guard(todo, Permit(), [], 0.0, "platform").changes[1].reason == "AwaitsApproval"


def test_what_is_to_be_taken_over_does_not_say_that_it_goes() -> None:
    taken = replace(destructive().changes[1], action="adopt")
    todo = replace(destructive(), changes=(taken,), consent=consent.of((taken,), frozenset({"adopt"})))
    (held,) = guard(todo, Permit(held={"team-a": Held("Unreviewed", "x")}), [], 0.0, "platform").changes
    assert held.why == "Unreviewed: nobody reviewed that it is taken over"


def test_what_approves() -> None:
    todo = destructive()
    digest, items = todo.consent.digest, todo.consent.items
    assert guard(todo, Permit(frozenset({digest})), [], 0.0, "platform") == todo
    good = [approve(consent=digest), approve(items=(*items, "more")), approve(consent=digest, expires=10.0)]
    assert all(guard(todo, Permit(), [one], 5.0, "platform") == todo for one in good)
    bad = [
        approve(consent=digest, expires=10.0),
        approve(consent="other"),
        approve(items=items[:1]),
        approve(consent=digest, cluster="team-b"),
        approve(consent=digest, source="other"),
        approve(consent=digest, source="other", cluster=""),
        approve(consent=digest, kind="resume"),
    ]
    assert all(guard(todo, Permit(), [one], 10.0, "platform") != todo for one in bad)


def test_consent_is_free_of_commits_order_and_values() -> None:
    todo = destructive()
    assert todo.consent.items == tuple(sorted(todo.consent.items)) and len(todo.consent.digest) == 64
    assert consent.of(reversed(todo.changes)) == todo.consent
    other = replace(todo.changes[1], uid="uid-9")
    assert consent.of([other]).digest != consent.of([todo.changes[1]]).digest
    assert consent.of([]) == Consent() and consent.within(Consent(), ())


def test_a_name_with_a_line_break_reads_like_no_other_set() -> None:
    """Kubernetes allows them in names of roles: the approval of one odd object would be that of two others."""
    first, second, *_ = sorted(destructive().changes, key=consent.line)
    both = consent.of([first, second])
    name = f"{first.ref.name} {first.uid} {first.action}\n{consent.line(second).rsplit(' ', 2)[0]}"
    odd = replace(second, ref=replace(first.ref, name=name))
    assert len(both.items) == 2 and consent.of([odd]).digest != both.digest


# Values


def test_a_plan_says_what_restarts_the_control_plane() -> None:
    engine = layer("engine", HOST)
    server = Server()
    before = thing("StatefulSet", "team-a", "apps/v1", spec={"template": {"metadata": {"annotations": {"h": "1"}}}})
    inventory = execute(server, plan(server, [wanted(engine, before)]))
    after = thing("StatefulSet", "team-a", "apps/v1", spec={"template": {"metadata": {"annotations": {"h": "2"}}}})
    assert plan(server, [wanted(engine, after)], inventory).changes[0].flags == ("restarts the control plane",)


def test_secrets_are_compared_and_never_shown() -> None:
    def secret(value: str) -> dict[str, Any]:
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "s", "namespace": "web"},
            "stringData": {"k": value},
        }

    server = Server()
    inventory = execute(server, plan(server, [wanted(layer(), secret("hunter2"))]))
    assert [c.action for c in plan(server, [wanted(layer(), secret("hunter2"))], inventory).changes] == ["unchanged"]
    change = plan(server, [wanted(layer(), secret("correct horse"))], inventory).changes[0]
    assert change.action == "configure" and change.fields[0].before.endswith(", 7 bytes)")
    for value in ("hunter2", "correct horse"):
        assert value not in repr(change) and base64.b64encode(value.encode()).decode() not in repr(change)


def test_scaled_replicas_stay_and_are_told() -> None:
    def web(replicas: int, image: str) -> dict[str, Any]:
        spec = {"replicas": replicas, "template": {"spec": {"containers": [{"name": "a", "image": image}]}}}
        return {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "w", "namespace": "web"},
            "spec": spec,
        }

    server = Server()
    inventory = execute(server, plan(server, [wanted(layer(), web(2, "i:1"))]))
    live = server.objects[NESTED, ObjectRef("apps", "Deployment", "web", "w")]
    live["spec"]["replicas"] = 5
    scale = {"manager": "hpa", "operation": "Update", "subresource": "scale", "time": "t"}
    live["metadata"]["managedFields"].append({**scale, "fieldsV1": {"f:spec": {"f:replicas": {}}}})
    driven = {"Deployment.apps/web/w": "HorizontalPodAutoscaler.autoscaling/web/w"}
    change = plan(server, [wanted(layer(), web(2, "i:2"))], inventory, driven=driven).changes[0]
    assert "replicas" not in (change.desired or {})["spec"]
    assert change.flags == ("spec.replicas is left to HorizontalPodAutoscaler.autoscaling/web/w",)
    nobody = plan(server, [wanted(layer(), web(2, "i:1"))], inventory).changes[0]
    assert (nobody.desired or {})["spec"]["replicas"] == 2
    assert [one.path for one in change.fields] == ["spec.template.spec.containers[name=a].image"]


def test_the_scope_of_every_kind_that_kubernetes_serves_is_known() -> None:
    served = {(kind["group"], kind["kind"]): kind["namespaced"] for kind in facts.read()["kinds"]}
    assert len(served) >= 60
    assert {kind: NAMESPACED.get(kind) for kind in served} == served
