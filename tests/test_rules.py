"""The rules that need no cluster: one mistake each, reported once, at its place, with what it affects (V3, V4)."""

import pytest

from reconciler.model import replace
from reconciler.spec.codes import Code
from tests.spec_cases import CLUSTER, FILES, RULES, edited, snapshot, told

CLUSTER_FILE, PROFILE_FILE = "clusters/team-a.yaml", "profiles/web.yaml"
IN_CLUSTER, IN_PROFILE = "cluster/team-a", "profile/web@1.2.0"


ODD = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  {}\n"


@pytest.mark.parametrize(
    ("old", "new", "line", "code"),
    [
        ('"1.2.x"', '"2.x"', 7, Code.NO_VERSION),
        ('"1.2.x"', '"~> 1"', 7, Code.BAD_RANGE),
        ("name: web, version", "name: wep, version", 7, Code.NO_PROFILE),
        ("domain: a.example.com", "domain: A", 7, Code.VARIABLE_VALUE),
        ("domain: a.example.com", "domain: 1", 7, Code.VARIABLE_VALUE),
        ("domain: a.example.com", 'domain: "a\\n"', 7, Code.VARIABLE_VALUE),
        ("domain: a.example.com", "domain: a.b, replicas: 11", 7, Code.VARIABLE_VALUE),
        ("domain: a.example.com", 'domain: a.b, replicas: "2"', 7, Code.VARIABLE_VALUE),
        ("domain: a.example.com", "domain: a.b, replicas: true", 7, Code.VARIABLE_VALUE),
        ("domain: a.example.com", "domain: a.b, nobody: 1", 7, Code.VARIABLE_UNKNOWN),
        ("domain: a.example.com", "domain: {fromSecret: {name: a, key: b}}", 7, Code.VARIABLE_VALUE),
        ("domain: a.example.com", "replicas: 3", 7, Code.VARIABLE_MISSING),
        ("labels: {team: a}}\nspec", "labels: {x: a}}\nspec", 7, Code.VARIABLE_MISSING),
        ("front: {debug", "base: {debug", 7, Code.NO_PACK),
        ("debug: true", 'debug: "${{ variables.nobody }}"', 7, Code.REFERENCE),
        ("spec:", "spec:\n  host: elsewhere", 5, Code.HOST),
        ("spec:", "spec:\n  engine: {version: 0.30.0}", 5, Code.ENGINE),
        ("spec:", "spec:\n  kubernetes: {version: v1.20.0}", 5, Code.ENGINE),
        ("spec:", "spec:\n  controlPlane: {replicas: 2}", 5, Code.ENGINE),
        ("[{name: web, labels", "[{name: kube-system, labels", 5, Code.RESERVED_NAME),
        ("[{name: web, labels: {team: a}", "[{name: web}, {name: web, labels: {team: a}", 5, Code.DUPLICATE_ITEM),
        (
            "labels: {team: a}, quota",
            "labels: {pod-security.kubernetes.io/enforce: privileged}, quota",
            5,
            Code.POD_SECURITY_LABEL,
        ),
        (
            "  profiles:\n",
            "  profiles:\n    - {name: web, version: 1.2.0, variables: {domain: b.c}}\n",
            8,
            Code.DUPLICATE_ITEM,
        ),
    ],
)
def test_rules_of_a_cluster(old: str, new: str, line: int, code: Code) -> None:
    found, _ = snapshot(edited(CLUSTER_FILE, old, new))
    mine = [one for one in told(found) if one[2] != Code.CLAIMED_TWICE]
    assert mine == [(CLUSTER_FILE, line, code, IN_CLUSTER)]
    assert found.specs.clusters == {}
    assert set(found.specs.profiles) == {("web", "1.2.0")}


@pytest.mark.parametrize(
    ("old", "new", "line", "code"),
    [
        ("default: 2,", "default: 0,", 8, Code.VARIABLE_DECLARATION),
        ("default: 2,", "default: two,", 8, Code.VARIABLE_DECLARATION),
        ("'[a-z.]+'", "'(?=a)b'", 7, Code.VARIABLE_DECLARATION),
        ("'[a-z.]+'", "'(a{1000}){1000}'", 7, Code.VARIABLE_DECLARATION),
        ("name: zone, immutable", "name: domain, immutable", 9, Code.DUPLICATE_ITEM),
        ("{name: zone, immutable: true, default: a}", "{name: zone, minimum: 1}", 9, Code.VARIABLE_DECLARATION),
        ("- name: front", "- name: base", 14, Code.DUPLICATE_ITEM),
        ("- name: front", "- name: front\n      dependsOn: [nobody]", 15, Code.DEPENDENCY),
        ("- name: front", "- name: front\n      dependsOn: [front]", 15, Code.CYCLE),
        ("web/*.yaml", "none/*.yaml", 13, Code.NO_FILE),
        ("web/*.yaml", "../../outside.yaml", 13, Code.NO_FILE),
        ("web/*.yaml", "../charts/front/templates/a.yaml", 13, Code.FILE_KIND),
        ("../charts/front", "../charts/nobody", 16, Code.NOT_A_CHART),
        ("../charts/front", "../../charts", 16, Code.NO_FILE),
        ("[front.yaml]", "[nobody.yaml]", 18, Code.NO_FILE),
        ("variables.replicas }}", "variables.nobody }}", 17, Code.REFERENCE),
        ("${{ variables.replicas }}", "${{ variables.replicas", 17, Code.REFERENCE),
        ("variables.replicas }}", "cluster.secrets }}", 17, Code.REFERENCE),
    ],
)
def test_rules_of_a_profile(old: str, new: str, line: int, code: Code) -> None:
    found, _ = snapshot(edited(PROFILE_FILE, old, new))
    assert [one for one in told(found) if one[0] == PROFILE_FILE] == [(PROFILE_FILE, line, code, IN_PROFILE)]
    assert (CLUSTER_FILE, 7, Code.BROKEN_PROFILE, IN_CLUSTER) in told(found)


@pytest.mark.parametrize(
    ("path", "text", "line", "code"),
    [
        (
            "profiles/web/config.yaml",
            "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ndata: {a: b}\n",
            4,
            Code.SECRET_DATA,
        ),
        (
            "profiles/web/config.yaml",
            "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringData: {a: b}\n",
            4,
            Code.SECRET_DATA,
        ),
        (
            "profiles/web/config.yaml",
            "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Secret\n  metadata: {name: a}\n  data: {a: b}\n",
            7,
            Code.SECRET_DATA,
        ),
        (
            "profiles/web/config.yaml",
            "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: a\n  labels:\n    pod-security.kubernetes.io/enforce: privileged\n",
            6,
            Code.POD_SECURITY_LABEL,
        ),
        ("profiles/web/config.yaml", "a: 1\n", 1, Code.NOT_AN_OBJECT),
        ("profiles/web/config.yaml", "- a\n", 1, Code.NOT_AN_OBJECT),
        ("profiles/web/config.yaml", ODD.format("labels: [a]"), 5, Code.NOT_AN_OBJECT),
        ("profiles/web/config.yaml", ODD.format("labels: {a: 1}"), 5, Code.NOT_AN_OBJECT),
        ("profiles/web/config.yaml", ODD.format("annotations: x"), 5, Code.NOT_AN_OBJECT),
        ("profiles/web/config.yaml", ODD.format("finalizers: x"), 5, Code.NOT_AN_OBJECT),
        ("profiles/web/config.yaml", "kind: [\n", 2, Code.SYNTAX),
        (
            "profiles/web/config.yaml",
            FILES["profiles/web/config.yaml"].replace("cluster.name", "cluster.nam"),
            4,
            Code.REFERENCE,
        ),
        ("profiles/front.yaml", "a: yes\n", 1, Code.AMBIGUOUS),
        ("profiles/front.yaml", "- a\n", 1, Code.FILE_KIND),
        ("profiles/front.yaml", "a:\n  b: ${{ variables.x }}\n", 2, Code.REFERENCE),
    ],
)
def test_rules_of_files_a_profile_names(path: str, text: str, line: int, code: Code) -> None:
    found, _ = snapshot({**FILES, path: text})
    assert [one for one in told(found) if one[0] == path] == [(path, line, code, IN_PROFILE)]
    assert found.specs.clusters == {}


def test_an_empty_secret_is_no_secret_data() -> None:
    text = "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ntype: kubernetes.io/service-account-token\n"
    assert snapshot({**FILES, "profiles/web/config.yaml": text})[0].violations == ()


def test_secret_values_are_in_no_message() -> None:
    text = "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringData: {a: hunter2}\n"
    for one in snapshot({**FILES, "profiles/web/config.yaml": text})[0].violations:
        assert "hunter2" not in one.message + one.hint
    found, _ = snapshot(edited(CLUSTER_FILE, "a.example.com", "HUNTER2"))
    assert found.violations and all("HUNTER2" not in one.message + one.hint for one in found.violations)


INLINE = """
    - name: again
      namespace: web
      dependsOn: []
      manifests:
        objects: [{apiVersion: v1, kind: ConfigMap, metadata: {name: config}}]
"""


def test_an_object_claimed_by_two_packs_names_both() -> None:
    found, _ = snapshot({**FILES, PROFILE_FILE: FILES[PROFILE_FILE] + INLINE})
    messages = [one.message for one in found.violations if one.code == Code.CLAIMED_TWICE]
    assert len(messages) == 1
    assert "profiles/web/config.yaml:1 (pack base)" in messages[0] and "(pack again)" in messages[0]


def test_an_object_claimed_by_two_profiles_of_a_cluster_names_both() -> None:
    other = """\
apiVersion: nidus.dev/v1alpha1
kind: ClusterProfile
metadata: {name: other}
spec:
  version: 1.0.0
  packs:
    - name: again
      manifests: {objects: [{apiVersion: v1, kind: ConfigMap, metadata: {name: config, namespace: web}}]}
"""
    files = {**FILES, "other.yaml": other, CLUSTER_FILE: CLUSTER + "    - {name: other, version: 1.0.0}\n"}
    assert told(snapshot(files)[0]) == [(CLUSTER_FILE, 8, Code.CLAIMED_TWICE, IN_CLUSTER)]


def test_a_reference_may_be_escaped() -> None:
    assert snapshot(edited(PROFILE_FILE, "${{ variables.replicas }}", "$${{ anything"))[0].violations == ()


@pytest.mark.parametrize(
    ("before", "after", "pointer"),
    [
        (
            "controlPlane: {store: {size: 5Gi}}",
            "controlPlane: {store: {size: 4096Mi}}",
            "/spec/controlPlane/store/size",
        ),
        (
            "controlPlane: {store: {type: sqlite}}",
            "controlPlane: {store: {type: etcd}}",
            "/spec/controlPlane/store/type",
        ),
        ("controlPlane: {}", "controlPlane: {store: {storageClass: b}}", "/spec/controlPlane/store/storageClass"),
        (
            "controlPlane: {store: {type: etcd, members: 1}}",
            "controlPlane: {store: {type: etcd}}",
            "/spec/controlPlane/store/members",
        ),
        ("kubernetes: {version: v1.36.0}", "kubernetes: {version: v1.35.0}", "/spec/kubernetes/version"),
    ],
)
def test_what_cannot_change_is_checked_against_the_accepted_document(before: str, after: str, pointer: str) -> None:
    accepted, _ = snapshot(edited(CLUSTER_FILE, "spec:", f"spec:\n  {before}"))
    assert accepted.violations == ()
    files = edited(CLUSTER_FILE, "spec:", f"spec:\n  {after}")
    found, known = snapshot(files, accepted=accepted.specs.clusters)
    assert [(one.code, one.pointer, one.line) for one in found.violations] == [(Code.IMMUTABLE, pointer, 5)]
    assert snapshot(files, known)[0].violations == ()


def test_a_volume_may_grow() -> None:
    accepted, _ = snapshot(FILES)
    files = edited(CLUSTER_FILE, "spec:", "spec:\n  controlPlane: {store: {size: 6Gi}}")
    found, _ = snapshot(files, accepted=accepted.specs.clusters)
    assert found.violations == ()


def test_a_version_may_rise_by_one_minor_and_a_size_be_written_otherwise() -> None:
    accepted, _ = snapshot(edited(CLUSTER_FILE, "spec:", "spec:\n  kubernetes: {version: v1.35.0}"))
    grown = "spec:\n  kubernetes: {version: v1.36.0}\n  controlPlane: {store: {size: 5120Mi}}"
    assert snapshot(edited(CLUSTER_FILE, "spec:", grown), accepted=accepted.specs.clusters)[0].violations == ()


def test_an_immutable_variable_stays_also_when_it_was_a_default() -> None:
    accepted, _ = snapshot(FILES)
    files = edited(CLUSTER_FILE, "domain: a.example.com", "domain: a.example.com, zone: b")
    found, _ = snapshot(files, accepted=accepted.specs.clusters)
    assert [(one.code, one.pointer) for one in found.violations] == [
        (Code.IMMUTABLE, "/spec/profiles/0/variables/zone")
    ]


def test_host_names_stay_inside_the_pattern_of_the_controller() -> None:
    rules = replace(RULES, dns_pattern="*.nested.example.com")
    exposed = "spec:\n  expose: {type: Ingress, host: a.evil.com}"
    found, _ = snapshot(edited(CLUSTER_FILE, "spec:", exposed), rules=rules)
    assert told(found) == [(CLUSTER_FILE, 5, Code.EXPOSE_HOST, IN_CLUSTER)]
    inside = exposed.replace("a.evil.com", "a.nested.example.com")
    assert snapshot(edited(CLUSTER_FILE, "spec:", inside), rules=rules)[0].violations == ()


@pytest.mark.parametrize(
    ("pattern", "name"),
    [("kube-{name}", "team-a"), ("{name}", "nidus-system"), ("{name}", "default"), ("{name}", "kube-x")],
)
def test_a_host_namespace_is_never_one_of_kubernetes_or_of_the_controller(pattern: str, name: str) -> None:
    files = {**FILES, CLUSTER_FILE: CLUSTER.replace("name: team-a", f"name: {name}")}
    found, _ = snapshot(files, rules=replace(RULES, namespace_pattern=pattern))
    assert [(one.code, one.line) for one in found.violations] == [(Code.RESERVED_NAMESPACE, 3)]


def test_without_a_controller_versions_are_not_judged() -> None:
    rules = replace(RULES, engines=(), kubernetes_versions=())
    files = edited(CLUSTER_FILE, "spec:", "spec:\n  engine: {version: 0.99.0}\n  kubernetes: {version: v1.99.0}")
    assert snapshot(files, rules=rules)[0].violations == ()


def test_a_change_of_policy_is_not_answered_from_memory() -> None:
    _, known = snapshot(FILES)
    found, _ = snapshot(FILES, known, replace(RULES, namespace_pattern="kube-{name}"))
    assert [one.code for one in found.violations] == [Code.RESERVED_NAMESPACE]
