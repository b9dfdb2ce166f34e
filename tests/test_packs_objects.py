"""What leaves a render is objects whose metadata has the types that Kubernetes takes: everything after it relies on that."""

from typing import Any

import pytest

from reconciler.errors import Stalled
from reconciler.packs.objects import collect, without
from reconciler.plan import mark

SECRET = {"apiVersion": "v1", "kind": "Secret"}


def thing(more: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", **metadata}, **more}


@pytest.mark.parametrize(
    "body",
    [
        thing({}, labels=["a"]),
        thing({}, labels="x"),
        thing({}, labels={"a": 1}),
        thing({}, labels={"a": {}}),
        thing({}, annotations=True),
        thing({}, annotations={"a": False}),
        thing({}, finalizers={"a": "b"}),
        thing({}, ownerReferences="x"),
        thing({**SECRET, "data": ["a"]}),
        thing({**SECRET, "stringData": "x"}),
    ],
)
def test_metadata_of_another_type_is_refused(body: dict[str, Any]) -> None:
    with pytest.raises(Stalled) as error:
        collect([("a.yaml:1", body)], "web")
    assert error.value.reason == "ObjectInvalid" and error.value.message.startswith("a.yaml:1: ")


@pytest.mark.parametrize("body", [thing({}, labels=None, annotations={"a": None}), thing({**SECRET, "data": None})])
def test_what_charts_leave_empty_passes(body: dict[str, Any]) -> None:
    (found,) = collect([("a.yaml:1", body)], "web")
    assert mark.mark(found, cluster="c", layer="l", nonce="n", nested=True)["metadata"]["labels"]


def left(*names: str, **entry: str) -> list[str]:
    """What is left of Secrets `names`, each in a namespace of its name, where `entry` is excluded."""
    objects = [{**SECRET, "metadata": {"name": name, "namespace": name}} for name in names]
    one = {"group": "", "kind": "Secret", "name": "", "namespace": "", **entry}
    return [found["metadata"]["name"] for found in without(objects, [one])]


def test_what_the_pack_excludes_is_left_out() -> None:
    assert left("a", "b", name="a") == ["b"]
    assert left("a", "b", name="a", namespace="a") == ["b"]


@pytest.mark.parametrize(
    "entry",
    [
        {"name": "c"},
        {"name": "a", "namespace": "b"},
        {"name": "a", "kind": "ConfigMap"},
        {"name": "a", "group": "x.io"},
    ],
)
def test_an_exclusion_that_meets_nothing_is_refused(entry: dict[str, str]) -> None:
    with pytest.raises(Stalled, match="exclude: the pack has no ") as error:
        left("a", "b", **entry)
    assert error.value.hint


def test_an_exclusion_means_one_object() -> None:
    """Two kinds of one name in different groups, or one name in two namespaces: nobody guesses."""
    with pytest.raises(Stalled, match="exclude: 2 objects are Service web"):
        without(SERVICES, [{"group": "", "kind": "Service", "namespace": "", "name": "web"}])
    kept = without(SERVICES, [{"group": "x.io", "kind": "Service", "namespace": "", "name": "web"}])
    assert [found["apiVersion"] for found in kept] == ["v1"]


SERVICES = [
    {"apiVersion": version, "kind": "Service", "metadata": {"name": "web", "namespace": "a"}}
    for version in ("v1", "x.io/v1")
]
