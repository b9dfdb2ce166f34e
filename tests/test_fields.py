"""plan.fields and plan.paths: the notation, fieldsV1, managers, and what a request leaves out."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model import MISSING, IgnoreRule
from reconciler.plan import paths
from reconciler.plan.fields import leaves, left_out, managed, managers, owned
from reconciler.plan.mark import label, mark, marked, ref_of
from reconciler.plan.request import ignored, path_of, request
from reconciler.plan.walk import satisfied
from tests.field_corpus import CORPUS
from tests.server_model import NONCE, config_map, layer, tree

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(min_size=1, max_size=5), below, max_size=3),
    max_leaves=12,
)
SCALAR = st.text(max_size=8) | st.integers() | st.booleans()
ELEMENT = (
    st.text(min_size=1, max_size=8)
    | st.integers(min_value=0, max_value=99)
    | st.dictionaries(st.sampled_from("abc"), SCALAR, min_size=1).map(lambda keys: tuple(sorted(keys.items())))
    | SCALAR.map(lambda value: (("", value),))
)


def entry(fields: Any, **more: str) -> dict[str, Any]:
    return {"manager": "nidus", "operation": "Apply", "time": "2026-11-21T10:00:00Z", "fieldsV1": fields, **more}


def live(obj: dict[str, Any], *entries: dict[str, Any]) -> dict[str, Any]:
    return {**obj, "metadata": {**obj["metadata"], "managedFields": list(entries)}}


def web(replicas: int = 2) -> dict[str, Any]:
    containers = [
        {"name": "app", "image": "a:1", "ports": [{"containerPort": 80}], "env": [{"name": "A", "value": "1"}]}
    ]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "web",
            "namespace": "web",
            "labels": {"app.kubernetes.io/name": "web"},
            "finalizers": ["x/y"],
        },
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "a"}},
            "template": {"spec": {"containers": containers, "volumes": [{"name": "v", "emptyDir": {}}]}},
        },
    }


def test_owned_names_leaves_by_key() -> None:
    container = "spec.template.spec.containers[name=app]"
    assert owned(web()) == (
        "metadata.finalizers[=x/y]",
        'metadata.labels."app.kubernetes.io/name"',
        "spec.replicas",
        "spec.selector",
        f"{container}.env[name=A].name",
        f"{container}.env[name=A].value",
        f"{container}.image",
        f"{container}.name",
        f"{container}.ports[containerPort=80,protocol=TCP].containerPort",
        "spec.template.spec.volumes[name=v].emptyDir",
        "spec.template.spec.volumes[name=v].name",
    )


def test_owned_never_names_identity_or_status() -> None:
    metadata = {"name": "a", "namespace": "b", "uid": "u", "resourceVersion": "1", "generation": 1}
    assert owned({"apiVersion": "v1", "kind": "X", "metadata": metadata, "status": {"a": 1}}) == ()


def test_managed_reads_our_apply_only() -> None:
    ours = {"f:data": {"f:k": {}, "f:dotted.key": {}}, "f:metadata": {"f:finalizers": {".": {}, 'v:"x/y"': {}}}}
    obj = live(
        config_map("a"),
        entry(ours),
        entry({"f:data": {"f:theirs": {}}}, manager="kubectl"),
        entry({"f:data": {"f:update": {}}}, operation="Update"),
        entry({"f:status": {"f:x": {}}}, subresource="status"),
    )
    assert managed(obj) == ('data."dotted.key"', "data.k", "metadata.finalizers[=x/y]")


@pytest.mark.parametrize("obj", CORPUS, ids=lambda obj: str(obj["kind"]))
def test_the_corpus_survives_the_servers_notation(obj: dict[str, Any]) -> None:
    """tests/host proves `owned` equal to the server's answer; here the form is read back, and the walk agrees with itself."""
    assert managed(live(obj, entry(tree(owned(obj))))) == owned(obj)
    assert satisfied(obj, json.loads(json.dumps(obj)))
    assert all(paths.get(obj, path) is not MISSING for path in owned(obj))


@given(st.lists(ELEMENT, min_size=1, max_size=5))
def test_paths_read_back(elements: list[paths.Element]) -> None:
    text = ""
    for one in elements:
        if isinstance(one, str):
            text = paths.child(text, one)
        elif isinstance(one, int):
            text = f"{text}[{one}]"
        else:
            text = paths.member(text, one[0][1]) if one[0][0] == "" else paths.item(text, one)
    assert paths.parse(text) == tuple(elements)
    assert [str(type(e)) for e in _values(paths.parse(text))] == [str(type(e)) for e in _values(tuple(elements))]
    ups = paths.ancestors(text)
    assert ups[0] == text and len(ups) == len(elements) and all(paths.covers(up, text) for up in ups)


def _values(elements: tuple[paths.Element, ...]) -> list[Any]:
    return [value for one in elements if isinstance(one, tuple) for _, value in one]


@given(st.dictionaries(st.text(min_size=1, max_size=5), JSON, max_size=4))
def test_owned_and_fields_v1_agree_on_anything(spec: dict[str, Any]) -> None:
    obj = {"apiVersion": "x.io/v1", "kind": "Thing", "metadata": {"name": "a"}, "spec": spec}
    assert set(leaves(tree(owned(obj)))) == set(owned(obj))
    assert satisfied(obj, json.loads(json.dumps(obj)))


def test_managers_name_everyone_newest_first() -> None:
    fields = {"f:spec": {"f:replicas": {}}}
    obj = live(
        web(), entry(fields), entry(fields, manager="kubectl-edit", operation="Update", time="2026-11-21T11:00:00Z")
    )
    assert [one.name for one in managers(obj, "spec.replicas")] == ["kubectl-edit", "nidus"]
    assert managers(obj, "spec.template") == []


def test_who_applied_an_empty_map_owns_nothing_in_it() -> None:
    empty = entry({"f:data": {}}, manager="argocd")
    edit = entry({"f:data": {"f:a": {}}}, manager="kubectl-edit", operation="Update")
    assert [one.name for one in managers(live(config_map("a"), empty, edit), "data.a")] == ["kubectl-edit"]
    assert [one.name for one in managers(live(config_map("a"), empty), "data.a")] == ["argocd"]


def test_left_out_is_what_a_subresource_wrote() -> None:
    scale = entry({"f:spec": {"f:replicas": {}}}, manager="hpa", operation="Update", subresource="scale")
    status = entry({"f:status": {"f:replicas": {}}}, manager="kcm", operation="Update", subresource="status")
    assert left_out(live(web(5), scale, status), web()) == ("/spec/replicas",)
    assert left_out(live(web(5), status), web()) == ()
    sent = request(web(), layer(), live(web(5), scale), "HorizontalPodAutoscaler.autoscaling/web/web")
    assert "replicas" not in sent["spec"] and sent["spec"]["selector"]
    assert request(web(), layer(), live(web(5), scale)) == web()


def test_an_ignored_field_goes_whole_on_create_and_as_it_is_later() -> None:
    rules = layer(ignore=(IgnoreRule(kind="Deployment", name="web", pointers=("/spec/replicas", "/spec/absent")),))
    assert request(web(), rules, None) == web()
    mine = live(web(5), entry({"f:spec": {"f:replicas": {}}}))
    theirs = live(web(5), entry({"f:spec": {"f:replicas": {}}}, manager="other", operation="Update"))
    assert request(web(), rules, mine)["spec"]["replicas"] == 5
    assert "replicas" not in request(web(), rules, theirs)["spec"]


@pytest.mark.parametrize("pointer", ["", "/kind", "/apiVersion", "/metadata", "/metadata/name", "/metadata/namespace"])
def test_what_an_object_is_called_is_never_ignored(pointer: str) -> None:
    rules = layer(ignore=(IgnoreRule(kind="Deployment", pointers=(pointer, "/spec/replicas")),))
    assert ignored(rules.ignore, ref_of(web())) == ("/spec/replicas",)
    assert ref_of(request(web(), rules, live(web(5)))) == ref_of(web())


@pytest.mark.parametrize("taken", [{"f:metadata": {}}, {"f:kind": {}}, {"f:metadata": {"f:name": {}}}])
def test_no_autoscaler_takes_what_an_object_is_called(taken: dict[str, Any]) -> None:
    """A tenant may write any managedFields, also as if through /scale."""
    scale = entry(taken, manager="hpa", operation="Update", subresource="scale")
    assert ref_of(request(web(), layer(), live(web(5), scale), "hpa")) == ref_of(web())


def test_a_pointer_into_a_keyed_list_means_the_item() -> None:
    assert path_of(web(), "/spec/template/spec/containers/0/image") == "spec.template.spec.containers[name=app].image"
    assert path_of(web(), "/metadata/labels/app.kubernetes.io~1name") == 'metadata.labels."app.kubernetes.io/name"'


def test_marks_say_whose_and_nested_marks_never_look_like_host_marks() -> None:
    host = mark(config_map("a"), cluster="team-a", layer="web/base", nonce=NONCE, nested=False)
    inside = mark(config_map("a"), cluster="team-a", layer="web/base", nonce=NONCE, nested=True)
    assert host["metadata"]["labels"]["nidus.dev/layer"] == "web.base"
    assert not any(key.startswith(("nidus.dev", "app.kub")) for key in inside["metadata"]["labels"])
    for obj, nested in ((host, False), (inside, True)):
        there = live(dict(obj), entry({}))
        assert marked(there, cluster="team-a", nonce=NONCE, nested=nested)
        assert not marked(there, cluster="team-a", nonce="other", nested=nested)
        assert not marked(there, cluster="team-a", nonce=NONCE, nested=not nested)
        assert not marked(dict(obj), cluster="team-a", nonce=NONCE, nested=nested)


def test_string_data_becomes_data() -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"k": "v"}}
    assert mark(secret, cluster="c", layer="l", nonce="n", nested=True)["data"] == {"k": "dg=="}


@given(st.text(min_size=1, max_size=120))
def test_layer_labels_are_valid(name: str) -> None:
    import re

    assert re.fullmatch(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?", label(name)) and len(label(name)) <= 63
