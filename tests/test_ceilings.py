"""spec.ceilings: every ceiling, inside, at, above and absent; what was accepted stays."""

from typing import Any

import msgspec
import pytest

import schemas
from reconciler import fleet
from reconciler.model import Ceilings, Defaults, Isolation, Quota, Rules, Snapshot, replace
from reconciler.spec import config, resolve
from reconciler.spec.codes import MEANING, Code
from tests import installed
from tests.fleets import NOW, record
from tests.spec_cases import FACTS, RULES, edited, snapshot
from tests.test_validate import CONFIG

FILE = "clusters/team-a.yaml"
DNS = "external-dns.alpha.kubernetes.io/"
LOADED = "spec: {expose: {type: LoadBalancer, annotations: {%s}}}"
TAINT = "spec: {scheduling: {tolerations: [%s]}}"
REFUSED = "refused"
QUOTA, REPLICAS = Code.CEILING_QUOTA, Code.CEILING_REPLICAS
STORED = "{credentials: keys, location: {type: s3, bucket: b, endpoint: 'https://s3.example.com'}}"
TABLE: dict[Code, list[tuple[Any, str, str]]] = {
    QUOTA: [
        ({}, "spec: {quota: {cpu: '100000'}}", ""),
        ({}, "spec: {}", ""),
        ({"quota": {"maximum": {"cpu": "64"}}}, "spec: {quota: {cpu: '63'}}", ""),
        ({"quota": {"maximum": {"cpu": "64"}}}, "spec: {quota: {cpu: '64'}}", ""),
        ({"quota": {"maximum": {"cpu": "64"}}}, "spec: {quota: {cpu: 64000m}}", ""),
        ({"quota": {"maximum": {"cpu": "64"}}}, "spec: {quota: {cpu: '.064k'}}", ""),
        ({"quota": {"maximum": {"cpu": "64"}}}, "spec: {quota: {cpu: 64001m}}", "/spec/quota/cpu"),
        ({"quota": {"maximum": {"cpu": "64"}}}, "spec: {quota: {cpu: 9999999999999999999999E}}", "/spec/quota/cpu"),
        ({"quota": {"maximum": {"memory": "8Ei"}}}, "spec: {quota: {memory: 16Ei}}", "/spec/quota/memory"),
        ({"quota": {"maximum": {"memory": "512Gi"}}}, "spec: {quota: {memory: 0.5Ti}}", ""),
        ({"quota": {"maximum": {"memory": "512G"}}}, "spec: {quota: {memory: 0.5Ti}}", "/spec/quota/memory"),
        ({"quota": {"maximum": {"cpu": "64"}}}, "spec: {}", "/spec/quota"),
        ({"quota": {"maximum": {"cpu": "64"}}}, "spec: {quota: {memory: 1Gi}}", "/spec/quota"),
        ({"quota": {"maximum": {"cpu": "0"}}}, "spec: {quota: {cpu: '0'}}", ""),
        ({"quota": {"maximum": {"storage": "1Ti"}}}, "spec: {quota: {storage: 2Ti}}", "/spec/quota/storage"),
        (
            {"quota": {"maximum": {"ephemeralStorage": "1G"}}},
            "spec: {quota: {ephemeralStorage: 2G}}",
            "/spec/quota/ephemeralStorage",
        ),
        ({"quota": {"maximum": {"pods": 5}}}, "spec: {quota: {pods: 5}}", ""),
        ({"quota": {"maximum": {"pods": 5}}}, "spec: {quota: {pods: 6}}", "/spec/quota/pods"),
        ({"quota": {"maximum": {"services": 5}}}, "spec: {quota: {services: 6}}", "/spec/quota/services"),
        ({"quota": {"maximum": {"loadBalancers": 0}}}, "spec: {quota: {loadBalancers: 0}}", ""),
        (
            {"quota": {"maximum": {"loadBalancers": 0}}},
            "spec: {quota: {loadBalancers: 1}}",
            "/spec/quota/loadBalancers",
        ),
        ({"quota": {"maximum": {"nodePorts": 0}}}, "spec: {quota: {nodePorts: 1}}", "/spec/quota/nodePorts"),
        (
            {"quota": {"maximum": {"extended": {"nvidia.com/gpu": 1}}}},
            "spec: {quota: {extended: {nvidia.com/gpu: 2}}}",
            "/spec/quota/extended/nvidia.com~1gpu",
        ),
        (
            {"quota": {"maximum": {"extended": {"nvidia.com/gpu": 1}}}},
            "spec: {quota: {extended: {amd.com/gpu: 1}}}",
            "/spec/quota",
        ),
        ({"quota": {"required": True}}, "spec: {quota: {cpu: '1', memory: 1Gi}}", ""),
        ({"quota": {"required": True}}, "spec: {quota: {cpu: '1', pods: 4}}", "/spec/quota"),
        (
            {"quota": {"maximum": {"cpu": "2"}}},
            "spec: {quota: {cpu: '1'}, controlPlane: {resources: {requests: {cpu: '2'}}}}",
            "",
        ),
        (
            {"quota": {"maximum": {"cpu": "2"}}},
            "spec: {quota: {cpu: '1'}, controlPlane: {resources: {requests: {cpu: 2001m}}}}",
            "/spec/controlPlane/resources/requests/cpu",
        ),
        (
            {"quota": {"maximum": {"memory": "2Gi"}}},
            "spec: {quota: {memory: 1Gi}, controlPlane: {replicas: 3, store: {type: etcd}, resources: {limits: {memory: 1Gi}}}}",
            "/spec/controlPlane/resources/limits/memory",
        ),
        (
            {"quota": {"maximum": {"ephemeralStorage": "2Gi"}}},
            "spec: {quota: {ephemeralStorage: 1Gi}, controlPlane: {resources: {limits: {ephemeral-storage: 3Gi}}}}",
            "/spec/controlPlane/resources/limits/ephemeral-storage",
        ),
    ],
    Code.CEILING_PRIORITY_CLASS: [
        ({}, "spec: {scheduling: {priorityClassName: ''}}", ""),
        ({}, "spec: {scheduling: {priorityClassName: system-node-critical}}", "/spec/scheduling/priorityClassName"),
        ({"priorityClasses": ["tenants"]}, "spec: {scheduling: {priorityClassName: tenants}}", ""),
        (
            {"priorityClasses": ["tenants"]},
            "spec: {scheduling: {priorityClassName: tenants-high}}",
            "/spec/scheduling/priorityClassName",
        ),
    ],
    Code.CEILING_TOLERATION: [
        ({}, TAINT % "", ""),
        ({}, TAINT % "{operator: Exists}", "/spec/scheduling/tolerations/0"),
        ({"tolerations": [{"operator": "Exists"}]}, TAINT % "{operator: Exists}, {key: a, value: b}", ""),
        (
            {"tolerations": [{"operator": "Exists", "effect": "NoSchedule"}]},
            TAINT % "{operator: Exists}",
            "/spec/scheduling/tolerations/0",
        ),
        (
            {"tolerations": [{"operator": "Exists", "effect": "NoSchedule"}]},
            TAINT % "{key: a, value: b, effect: NoSchedule}",
            "",
        ),
        (
            {"tolerations": [{"key": "pool", "operator": "Exists"}]},
            TAINT % "{operator: Exists}",
            "/spec/scheduling/tolerations/0",
        ),
        ({"tolerations": [{"key": "pool", "operator": "Exists"}]}, TAINT % "{key: pool, value: any}", ""),
        (
            {"tolerations": [{"key": "pool", "operator": "Exists"}]},
            TAINT % "{key: pools, value: any}",
            "/spec/scheduling/tolerations/0",
        ),
        ({"tolerations": [{"key": "pool", "value": "a"}]}, TAINT % "{key: pool, value: a, effect: NoExecute}", ""),
        (
            {"tolerations": [{"key": "pool", "value": "a"}]},
            TAINT % "{key: pool, operator: Exists}",
            "/spec/scheduling/tolerations/0",
        ),
        (
            {"tolerations": [{"key": "pool", "value": "a"}]},
            TAINT % "{key: pool, value: b}",
            "/spec/scheduling/tolerations/0",
        ),
        (
            {"tolerations": [{"key": "pool", "value": "a", "effect": "NoSchedule"}]},
            TAINT % "{key: pool, value: a, effect: NoSchedule}, {key: pool, value: a}",
            "/spec/scheduling/tolerations/1",
        ),
    ],
    Code.CEILING_NODE_SELECTOR: [
        ({}, "spec: {scheduling: {nodeSelector: {}}}", ""),
        (
            {},
            "spec: {scheduling: {nodeSelector: {node-role.kubernetes.io/control-plane: ''}}}",
            "/spec/scheduling/nodeSelector/node-role.kubernetes.io~1control-plane",
        ),
        ({"nodeSelectors": {"pool": ["a", "b"]}}, "spec: {scheduling: {nodeSelector: {pool: b}}}", ""),
        (
            {"nodeSelectors": {"pool": ["a", "b"]}},
            "spec: {scheduling: {nodeSelector: {pool: c}}}",
            "/spec/scheduling/nodeSelector/pool",
        ),
        (
            {"nodeSelectors": {"pool": []}},
            "spec: {scheduling: {nodeSelector: {pool: ''}}}",
            "/spec/scheduling/nodeSelector/pool",
        ),
        (
            {"nodeSelectors": {"pool": ["a"]}},
            "spec: {scheduling: {nodeSelector: {pool: a, zone: a}}}",
            "/spec/scheduling/nodeSelector/zone",
        ),
    ],
    Code.CEILING_RUNTIME_CLASS: [
        ({}, "spec: {isolation: {runtimeClass: gvisor}}", "/spec/isolation/runtimeClass"),
        ({"runtimeClasses": ["gvisor"]}, "spec: {isolation: {runtimeClass: gvisor}}", ""),
        ({"runtimeClasses": ["gvisor"]}, "spec: {isolation: {runtimeClass: kata}}", "/spec/isolation/runtimeClass"),
    ],
    Code.CEILING_NETWORK_POLICY: [
        ({}, "spec: {isolation: {networkPolicy: true}}", ""),
        ({}, "spec: {isolation: {podSecurity: restricted}}", ""),
        ({}, "spec: {isolation: {networkPolicy: false}}", "/spec/isolation/networkPolicy"),
        ({"networkPolicyOff": True}, "spec: {isolation: {networkPolicy: false}}", ""),
    ],
    Code.CEILING_ANNOTATION: [
        ({}, LOADED % "", ""),
        ({}, LOADED % "metallb.io/address-pool: a", "/spec/expose/annotations/metallb.io~1address-pool"),
        ({"annotations": ["metallb.io/"]}, LOADED % "metallb.io/address-pool: a", ""),
        ({"annotations": ["metallb.io/address-pool"]}, LOADED % "metallb.io/address-pool: a", ""),
        (
            {"annotations": ["metallb.io/address-pool"]},
            LOADED % "metallb.io/allow-shared-ip: a",
            "/spec/expose/annotations/metallb.io~1allow-shared-ip",
        ),
        (
            {"annotations": ["metallb.io/"]},
            LOADED % "metallb.universe.tf/address-pool: a",
            "/spec/expose/annotations/metallb.universe.tf~1address-pool",
        ),
    ],
    Code.CEILING_SYNC: [
        ({}, "spec: {sync: {toHost: {networkPolicies: false}}}", ""),
        *(
            ({}, f"spec: {{sync: {{toHost: {{{kind}: true}}}}}}", f"/spec/sync/toHost/{kind}")
            for kind in ("ingresses", "podDisruptionBudgets", "serviceAccounts", "networkPolicies")
        ),
        ({"syncToHost": ["ingresses"]}, "spec: {sync: {toHost: {ingresses: true}}}", ""),
        (
            {"syncToHost": ["ingresses"]},
            "spec: {sync: {toHost: {networkPolicies: true}}}",
            "/spec/sync/toHost/networkPolicies",
        ),
    ],
    REPLICAS: [
        ({}, "spec: {controlPlane: {replicas: 9, store: {type: etcd}}}", ""),
        ({"replicas": 3}, "spec: {controlPlane: {replicas: 1}}", ""),
        ({"replicas": 3}, "spec: {controlPlane: {replicas: 3, store: {type: etcd}}}", ""),
        ({"replicas": 3}, "spec: {controlPlane: {replicas: 4, store: {type: etcd}}}", "/spec/controlPlane/replicas"),
    ],
    Code.CEILING_BACKUP: [
        ({}, "spec: {}", ""),
        ({"backupEndpoints": ["https://s3.example.com"]}, f"spec: {{backup: {STORED}}}", ""),
        ({}, f"spec: {{backup: {STORED}}}", "/spec/backup/location/endpoint"),
        (
            {"backupEndpoints": ["https://s3.example.com:9000", "http://s3.example.com"]},
            f"spec: {{backup: {STORED}}}",
            "/spec/backup/location/endpoint",
        ),
    ],
    Code.CEILING_STORAGE: [
        ({}, "spec: {controlPlane: {store: {size: 999Ti}}}", ""),
        ({"storage": "10Gi"}, "spec: {controlPlane: {store: {size: 9Gi}}}", ""),
        ({"storage": "10Gi"}, "spec: {controlPlane: {store: {size: 10240Mi}}}", ""),
        ({"storage": "10Gi"}, "spec: {controlPlane: {store: {size: 10241Mi}}}", "/spec/controlPlane/store/size"),
        ({"storage": "1Gi"}, "spec: {}", "/spec/controlPlane/store/size"),  # the schema's default of 5Gi
        ({"storage": "15Gi"}, "spec: {controlPlane: {store: {type: etcd, size: 5Gi}}}", ""),
        (
            {"storage": "14Gi"},
            "spec: {controlPlane: {store: {type: etcd, size: 5Gi}}}",
            "/spec/controlPlane/store/size",
        ),
    ],
}
ROWS = [(code, *row) for code, rows in TABLE.items() for row in rows]


def rules(ceilings: dict[str, Any], **more: Any) -> Rules:
    return replace(RULES, ceilings=msgspec.convert(ceilings, Ceilings), **more)


def judged(spec: str, by: Rules) -> Snapshot:
    head = "apiVersion: nidus.dev/v1alpha1\nkind: NestedCluster\nmetadata: {name: team-a}\n"
    return snapshot({FILE: head + spec + "\n"}, rules=by)[0]


@pytest.mark.parametrize(("code", "ceilings", "spec", "pointer"), ROWS)
def test_what_an_author_may_ask_for(code: Code, ceilings: dict[str, Any], spec: str, pointer: str) -> None:
    found = [(one.code, one.pointer) for one in judged(spec, rules(ceilings)).violations]
    assert found == ([(code, pointer)] if pointer else [])
    assert judged(spec, config.anything()).violations == ()


def test_the_table_has_every_ceiling_and_every_code() -> None:
    known = {code for code in MEANING if code.name.startswith("CEILING_")}
    assert known == set(TABLE)
    assert all({bool(pointer) for _, _, pointer in rows} == {True, False} for rows in TABLE.values())
    schema = schemas.load("ControllerConfig")["properties"]["spec"]["properties"]["ceilings"]["properties"]
    assert {name for _, ceilings, _, _ in ROWS for name in ceilings} == set(schema)
    kinds = schemas.load("NestedCluster")["properties"]["spec"]["properties"]["sync"]["properties"]["toHost"]
    switches = {name for name, kind in kinds["properties"].items() if kind["type"] == "boolean"}
    assert set(schema["syncToHost"]["items"]["enum"]) == switches


def test_every_limit_of_a_quota_has_its_maximum() -> None:
    quota = schemas.load("ControllerConfig")["definitions"]["quota"]["properties"]
    tried = {name for ceilings, _, _ in TABLE[QUOTA] for name in ceilings.get("quota", {}).get("maximum", {})}
    assert tried == set(quota)


@pytest.mark.parametrize(("code", "ceilings", "spec", "pointer"), [row for row in ROWS if row[3]])
def test_a_mistake_says_which_ceiling_what_it_allows_and_who_changes_it(
    code: Code, ceilings: dict[str, Any], spec: str, pointer: str
) -> None:
    (one,) = judged(spec, rules(ceilings)).violations
    path = one.message.partition("the controller's ceilings.")[2].partition(" allows ")[0]
    assert path and " allows " in one.message
    assert one.hint.endswith(f"or have the operator of the controller change spec.ceilings.{path}")
    assert one.path == FILE and one.line >= 3 and one.subject == "cluster/team-a"


def test_the_words_of_a_mistake() -> None:
    pool = {"key": "pool", "value": "x", "effect": "NoSchedule"}
    (one,) = judged(TAINT % "{key: a, operator: Exists}", rules({"tolerations": [pool]})).violations
    assert one.message == "tolerates a op=Exists; the controller's ceilings.tolerations allows pool=x:NoSchedule"
    (one,) = judged("spec: {quota: {cpu: '128'}}", rules({"quota": {"maximum": {"cpu": "64"}}})).violations
    assert one.message == "asks for cpu 128; the controller's ceilings.quota.maximum.cpu allows at most 64"
    assert (
        one.hint == "ask for at most 64, or have the operator of the controller change spec.ceilings.quota.maximum.cpu"
    )


def test_a_long_list_is_not_told_whole() -> None:
    names = [f"class-{number}" for number in range(200)]
    (one,) = judged("spec: {scheduling: {priorityClassName: x}}", rules({"priorityClasses": names})).violations
    assert "class-7 and 192 more" in one.message and len(one.message) < 300


@pytest.mark.parametrize("name", ["cpu", "memory", "storage", "ephemeral-storage"])
def test_no_limit_is_written_again_as_an_extended_resource(name: str) -> None:
    """`extended: {cpu: 1000}` would be `requests.cpu` in the same quota, in place of what the ceiling allows."""
    (one,) = judged(f"spec: {{quota: {{cpu: '1', extended: {{{name}: 1000}}}}}}", config.anything()).violations
    assert (one.code, one.pointer) == (Code.WRONG_VALUE, f"/spec/quota/extended/{name}")
    assert (
        judged("spec: {quota: {extended: {hugepages-2Mi: 1, nvidia.com/gpu: 1}}}", config.anything()).violations == ()
    )


def test_a_limit_left_out_is_the_operators_own_default() -> None:
    limited = rules(
        {"quota": {"required": True, "maximum": {"cpu": "64"}}}, defaults=Defaults(quota=Quota(cpu="2", memory="4Gi"))
    )
    assert judged("spec: {}", limited).violations == ()
    assert judged("spec: {quota: {pods: 3}}", limited).violations == ()


def test_a_network_policy_that_the_operator_switched_off_is_no_authors_wish() -> None:
    off = rules({}, defaults=Defaults(isolation=Isolation(network_policy=False)))
    assert judged("spec: {isolation: {networkPolicy: false}}", off).violations == ()


def test_without_ceilings_lists_and_switches_refuse() -> None:
    scheduling = "scheduling: {priorityClassName: system-node-critical, tolerations: [{operator: Exists}]}"
    spec = f"spec: {{{scheduling}, isolation: {{networkPolicy: false}}}}"
    assert {one.code for one in judged(spec, RULES).violations} == {
        Code.CEILING_PRIORITY_CLASS,
        Code.CEILING_TOLERATION,
        Code.CEILING_NETWORK_POLICY,
    }
    assert configured("").spec.ceilings == Ceilings()  # type: ignore[union-attr]


def test_the_deployed_example_is_sound_and_limits_every_cluster() -> None:
    (text,) = [one["data"]["nidus.yaml"] for one in installed.of("ConfigMap")]
    found, violations = config.read(text.encode(), "nidus.yaml")
    assert found and violations == ()
    assert found.spec.ceilings.quota.required
    assert (
        judged("spec: {}", replace(RULES, ceilings=found.spec.ceilings, defaults=found.spec.defaults)).violations == ()
    )


def configured(spec: str) -> Any:
    found, violations = config.read(f"{CONFIG}  {spec}\n".encode(), "nidus.yaml")
    return found or [(one.line, one.code, one.pointer) for one in violations]


@pytest.mark.parametrize(
    ("spec", "code", "pointer"),
    [
        ("ceilings: {quotas: {}}", Code.UNKNOWN_FIELD, "/spec/ceilings/quotas"),
        ("ceilings: {quota: {maximum: {cpu: '1z'}}}", Code.WRONG_VALUE, "/spec/ceilings/quota/maximum/cpu"),
        ("ceilings: {quota: {maximum: {cpu: '-1'}}}", Code.WRONG_VALUE, "/spec/ceilings/quota/maximum/cpu"),
        ("ceilings: {storage: ''}", Code.WRONG_VALUE, "/spec/ceilings/storage"),
        ("ceilings: {replicas: 0}", Code.WRONG_VALUE, "/spec/ceilings/replicas"),
        ("ceilings: {annotations: ['']}", Code.WRONG_VALUE, "/spec/ceilings/annotations/0"),
        ("ceilings: {syncToHost: [secrets]}", Code.WRONG_VALUE, "/spec/ceilings/syncToHost/0"),
        ("ceilings: {nodeSelectors: {pool: a}}", Code.WRONG_TYPE, "/spec/ceilings/nodeSelectors/pool"),
        (
            "ceilings: {tolerations: [{operator: Exists, value: a}]}",
            Code.WRONG_VALUE,
            "/spec/ceilings/tolerations/0/value",
        ),
        ("ceilings: {tolerations: [{}]}", Code.WRONG_VALUE, "/spec/ceilings/tolerations/0/key"),
        (
            "defaults: {quota: {cpu: '65'}}\n  ceilings: {quota: {maximum: {cpu: '64'}}}",
            Code.WRONG_VALUE,
            "/spec/defaults/quota/cpu",
        ),
    ],
)
def test_ceilings_that_are_none(spec: str, code: Code, pointer: str) -> None:
    assert [(one, where) for _, one, where in configured(spec)] == [(code, pointer)]


def test_a_lower_ceiling_leaves_what_runs_as_it_was_accepted() -> None:
    """Nothing of the cluster changes or is deleted, also where its file asks for something else now; the mistake says
    which ceiling."""
    before, _ = snapshot(edited(FILE, "spec:", "spec:\n  quota: {cpu: '100'}"))
    lower = rules({"quota": {"maximum": {"cpu": "64"}}})
    known = {"team-a": record("team-a")}
    for asked in ("100", "90"):
        found, _ = snapshot(
            edited(FILE, "spec:", f"spec:\n  quota: {{cpu: '{asked}'}}"), rules=lower, accepted=before.specs.clusters
        )
        rollout = fleet.admit(found, {"team-a": before.content}, known, (), lower, NOW)
        assert rollout.admitted == {"team-a": before.content}
        assert rollout.tombstones == rollout.held == {}
        assert "ceilings.quota.maximum.cpu allows at most 64" in fleet.invalid(found)["team-a"]
        stays = resolve.bundle("team-a", rollout.admitted["team-a"], lower, FACTS)
        assert stays.digest == resolve.bundle("team-a", before.content, RULES, FACTS).digest
    inside, _ = snapshot(
        edited(FILE, "spec:", "spec:\n  quota: {cpu: '64'}"), rules=lower, accepted=before.specs.clusters
    )
    assert fleet.admit(inside, {"team-a": before.content}, known, (), lower, NOW).admitted == {"team-a": inside.content}
