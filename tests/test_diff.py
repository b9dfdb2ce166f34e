"""plan.diff, plan.walk and plan.redact: what counts as a difference, and what of it may be seen."""

import base64
import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model import MISSING, FieldChange, ObjectRef, Target, replace
from reconciler.plan.diff import diff, without
from reconciler.plan.fields import owned
from reconciler.plan.mark import ref_of
from reconciler.plan.redact import hidden, is_secret_like, mask, of_object, redact
from reconciler.plan.walk import satisfied
from tests.field_corpus import CORPUS

ALL = ("spec", "data", "metadata")
INSIDE = Target("h", "a")
SECRET, CONFIG = ObjectRef("", "Secret", "web", "s"), ObjectRef("", "ConfigMap", "web", "c")
LAST_APPLIED = 'metadata.annotations."kubectl.kubernetes.io/last-applied-configuration"'


def pod(*containers: dict[str, Any], **spec: Any) -> dict[str, Any]:
    metadata = {"name": "p", "namespace": "web"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": list(containers), **spec}}


def container(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "image": "i:1", **more}


def changed(old: dict[str, Any], new: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    return [(one.path, one.before, one.after) for one in diff(new, old, new, ALL, ())]


def test_lists_are_compared_by_key() -> None:
    old = pod(container("a", env=[{"name": "X", "value": "1"}, {"name": "Y", "value": "2"}]), container("b"))
    new = pod(
        container("a", env=[{"name": "N", "value": "0"}, {"name": "X", "value": "1"}, {"name": "Y", "value": "3"}])
    )
    assert changed(old, new) == [
        ("spec.containers[name=a].env[name=N]", MISSING, {"name": "N", "value": "0"}),
        ("spec.containers[name=a].env[name=Y].value", "2", "3"),
        ("spec.containers[name=b]", container("b"), MISSING),
    ]


def test_a_new_order_is_a_change_only_where_it_is_ours() -> None:
    one, two = container("a"), container("b")
    assert changed(pod(one, two), pod(two, one)) == [("spec.containers", ["a", "b"], ["b", "a"])]
    assert not satisfied(pod(two, one), pod(one, two))
    assert satisfied(pod(one, two), pod(one, container("injected"), two))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"a": {}}, {}),
        ({"a": None}, {"a": []}),
        ({}, {"a": {"b": {}}}),
        ({"ports": [{"port": 1, "nodePort": 0}]}, {"ports": [{"port": 1}]}),
        ({"nodePort": 0}, {}),
    ],
)
def test_nothings_are_alike(old: dict[str, Any], new: dict[str, Any]) -> None:
    obj = {"apiVersion": "x.io/v1", "kind": "T", "metadata": {"name": "t"}}
    assert changed({**obj, "spec": old}, {**obj, "spec": new}) == []
    assert satisfied({**obj, "spec": new}, {**obj, "spec": old})


@pytest.mark.parametrize(
    ("old", "new"), [(0, False), ("", None), (0, None), (False, None), ("1", 1), (1, True), ([0], [])]
)
def test_values_are_not_nothings(old: Any, new: Any) -> None:
    obj = {"apiVersion": "x.io/v1", "kind": "T", "metadata": {"name": "t"}}
    assert len(changed({**obj, "spec": {"a": old}}, {**obj, "spec": {"a": new}})) == 1


def test_only_owned_fields_count_and_ignored_ones_do_not() -> None:
    old, new = pod(container("a"), nodeName="x", priority=1), pod(container("a"), nodeName="y", priority=2)
    assert [one.path for one in diff(new, old, new, ("spec.priority",), ())] == ["spec.priority"]
    assert [one.path for one in diff(new, old, new, ALL, ("/spec/nodeName",))] == ["spec.priority"]


def test_without_a_dry_run_only_what_we_ask_for_counts() -> None:
    live = pod(container("a", terminationMessagePath="/dev/x"), restartPolicy="Always")
    assert diff(pod(container("a")), live, None, owned(pod(container("a"))), ()) == ()
    found = diff(pod(container("a", image="i:2")), live, None, ALL, ())
    assert [(one.path, one.after) for one in found] == [("spec.containers[name=a].image", "i:2")]


def test_without_drops_fields_and_items_and_leaves_the_rest() -> None:
    obj = pod(container("a"), container("b"), nodeName="x")
    before = copy.deepcopy(obj)
    less = without(obj, ("/spec/nodeName", "/spec/containers/0", "/spec/absent/x", "/metadata/labels/a~1b"))
    assert less == pod(container("b")) and obj == before


@pytest.mark.parametrize("obj", CORPUS, ids=lambda obj: str(obj["kind"]))
def test_the_walk_and_the_diff_agree_on_every_owned_leaf(obj: dict[str, Any]) -> None:
    for name in ("spec", "data", "rules", "webhooks", "metadata"):
        if name in obj:
            live = copy.deepcopy({key: value for key, value in obj.items() if key != name})
            live.setdefault("metadata", {"name": obj["metadata"]["name"]})
            assert not satisfied(obj, live) and diff(obj, live, obj, owned(obj), ())


def test_a_whole_value_may_carry_what_the_server_fills_in() -> None:
    rules = {"ingress": [{"ports": [{"port": 80}]}]}
    policy = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "p"}, "spec": rules}
    filled = {**policy, "spec": {"ingress": [{"ports": [{"port": 80, "protocol": "TCP"}]}]}}
    opened = {**policy, "spec": {"ingress": [{"ports": [{"port": 80}]}, {}]}}
    wider = {**policy, "spec": {"ingress": [{"ports": [{"port": 80, "endPort": 90}]}]}}
    assert satisfied(policy, filled) and not satisfied(policy, opened) and not satisfied(policy, wider)


@given(st.binary(min_size=4, max_size=40), st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_secret_values_never_appear(value: bytes, salt: bytes, other: bytes) -> None:
    text = base64.b64encode(value).decode()
    paths = (
        "data.k",
        'metadata.annotations."x"',
        LAST_APPLIED,
    )
    found = redact(INSIDE, SECRET, [FieldChange(path, MISSING, text) for path in paths], salt)
    for one in found:
        assert text not in str(one) and one.before == MISSING and f"{len(value)} bytes" in one.after
    assert mask(text, salt) == mask(text, salt) and (salt == other or mask(text, salt) != mask(text, other))


@pytest.mark.parametrize(
    ("target", "ref", "path"),
    [
        (Target("h", "b"), SECRET, "data.k"),
        (INSIDE, replace(SECRET, name="guesses"), "data.k"),
        (INSIDE, SECRET, "data.k1"),
        (INSIDE, CONFIG, LAST_APPLIED),
    ],
)
def test_no_guess_elsewhere_shows_what_a_value_is(target: Target, ref: ObjectRef, path: str) -> None:
    """An author chooses thousands of values for one plan; the value of another field is none of them by its hash."""
    [there] = redact(INSIDE, SECRET, [FieldChange("data.k", "MTIzNA==", "NDMyMQ==")], b"s")
    [guess] = redact(target, ref, [FieldChange(path, MISSING, "MTIzNA==")], b"s")
    assert there.before != guess.after
    assert redact(INSIDE, SECRET, [FieldChange("data.k", MISSING, "MTIzNA==")], b"s")[0].after == there.before


def test_nor_does_a_whole_object() -> None:
    data = {"a": "MTIzNA==", "b": "MTIzNA==", "c": ["x", {"d": "x"}]}
    shown = hidden({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}, "data": data}, b"key")
    assert "MTIzNA==" not in str(shown) and len({str(value) for value in shown["data"].values()}) == 3
    assert shown["data"]["c"][0] != shown["data"]["c"][1]["d"]


NAMES = st.sampled_from(["k", "tls.key", "a b", 'q"', "[0]", "spec", "0"])
VALUES = st.recursive(
    st.sampled_from(["MTIzNA==", "plain", "(none)"]),
    lambda below: st.dictionaries(NAMES, below, min_size=1),
    max_leaves=6,
)


@given(st.dictionaries(NAMES, VALUES, min_size=1), st.sampled_from(["Secret", "DatabaseCredentials", "ConfigMap"]))
def test_a_value_has_one_hash_in_a_plan_and_in_a_render(data: dict[str, Any], kind: str) -> None:
    version = "v1" if kind != "DatabaseCredentials" else "example.com/v1"
    copy_of_all = {"kubectl.kubernetes.io/last-applied-configuration": "MTIzNA=="}
    obj = {"apiVersion": version, "kind": kind, "metadata": {"name": "a", "annotations": copy_of_all}, "data": data}
    ref = ref_of(obj)
    planned = redact(INSIDE, ref, diff(obj, None, None, owned(obj), ()), b"s")
    shown = hidden(obj, of_object(INSIDE, ref, b"s"))
    drawn = {one.path: one.after for one in diff(shown, None, None, owned(shown), ())}
    assert {one.path: one.after for one in planned} == drawn


def test_what_stays_readable() -> None:
    shown = [
        FieldChange("type", "a", "b"),
        FieldChange("metadata.labels.x", "1", "2"),
        FieldChange("immutable", MISSING, True),
    ]
    assert redact(INSIDE, SECRET, shown, b"s") == tuple(shown)
    plain = [FieldChange("data.k", "old", "new")]
    assert redact(INSIDE, CONFIG, plain, b"s") == tuple(plain)
    copy_of_all = FieldChange(LAST_APPLIED, "old", "new")
    assert "new" not in str(redact(INSIDE, CONFIG, [copy_of_all], b"s")[0].after)


@pytest.mark.parametrize("kind", ["Secret", "SealedSecret", "DatabaseCredentials", "AccessToken"])
def test_secret_like_kinds(kind: str) -> None:
    assert is_secret_like(ObjectRef("x.io", kind, "", "a")) and not is_secret_like(
        ObjectRef("x.io", f"{kind}Store", "", "a")
    )
