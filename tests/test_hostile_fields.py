"""Fields of hostile objects: whatever a nested server answers or a profile points at, the planner returns a plan in a
short time."""

import sys
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.plan import conflict, drift, handover, paths, strays
from reconciler.plan.diff import diff
from reconciler.plan.fields import Owners, leaves, managed, managers, owned, scaled
from reconciler.plan.suspects import lost
from reconciler.plan.walk import satisfied
from tests.examples import examples
from tests.server_model import config_map, tree

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=5), below, max_size=3),
    max_leaves=10,
)
NAME = st.sampled_from(
    [".", "f:a", "f:", "f:data", "f:x y", "k:", "k:{", 'k:{"name":"a"}', 'k:{"a b":1}', "k:[1]", 'k:{"name":{"a":[]}}', "v:",
     'v:"a"', "v:[1]", "v:{}", "v:NaN", "i:1", "i:-1", "i:²", "i:99999999999999999999", "k:" + "[" * 5000, "z", ":", ""]
) | st.text(max_size=6)  # fmt: skip
TREE = st.recursive(JSON, lambda below: st.dictionaries(NAME, below, max_size=3), max_leaves=12)
ENTRY = st.fixed_dictionaries(
    {},
    optional={
        "manager": JSON | st.just("nidus"),
        "operation": JSON | st.sampled_from(["Apply", "Update"]),
        "subresource": JSON | st.sampled_from(["", "scale", "status"]),
        "time": JSON,
        "fieldsV1": TREE,
    },
)
MANAGED = JSON | st.lists(ENTRY | JSON, max_size=4)
BODY = st.dictionaries(st.sampled_from(["spec", "data", "x", "ports", "containers"]), JSON, max_size=3)
PATH = st.text(max_size=20) | st.sampled_from(
    ["[", "[]", "[a]", "[=", "[=[[[]", "[²]", '"\\x"', "a[=1].b", 'a[k="', "a..b", "[a=1,]", "[" + "[" * 3000 + "]"]
)
POINTER = st.text("/~01ab²", max_size=8) | st.sampled_from(
    ["", "/", "/data/a", "/data/²", "/spec/99999999999999999999", "/-"]
)
SOME = examples(40)


def thing(body: dict[str, Any], fields: Any = None) -> dict[str, Any]:
    metadata = {"name": "a", "namespace": "web", "uid": "u", "resourceVersion": "1"}
    more = {} if fields is None else {"managedFields": fields}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {**metadata, **more}, **body}


@SOME
@given(BODY, MANAGED)
def test_managed_fields_of_any_shape_are_read(body: dict[str, Any], fields: Any) -> None:
    live = thing(body, fields)
    found = [*managed(live), *(path for path, _ in scaled(live))]
    for path in found:
        paths.parse(path)
        assert all(isinstance(one.name, str) for one in managers(live, path))
    assert Owners(live).of("data.a") is not None


@pytest.mark.parametrize(
    "fields",
    [
        {"f:data": {"k:{}": {}}},
        {"f:data": {"i:-1": {}}},
        {"f:data": {'v:{"a":1}': {}}},
        {"f:data": {'k:{"a b]":"x"}': {}}},
        {'k:{"a":[1]}': {"k:[": {"i:²": {}}}},
    ],
)
def test_one_patch_of_managed_fields_stops_nothing(fields: dict[str, Any]) -> None:
    """What a tenant may add beside the entries that are there."""
    asked = config_map("a", b="1")
    mine = {"manager": "nidus", "operation": "Apply", "fieldsType": "FieldsV1", "fieldsV1": tree(owned(asked))}
    theirs = {
        "manager": "x",
        "operation": "Update",
        "subresource": "scale",
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
    }
    there = thing({"data": {"b": "2"}}, [mine, theirs])
    assert "data.b" in managed(there)
    assert [one.path for one in diff(asked, there, None, owned(asked), ())] == ["data.b"]
    assert isinstance(list(scaled(there)), list) and isinstance(handover.handed_over(there, managed(there)), list)


@SOME
@given(TREE)
def test_every_leaf_is_a_path(fields: Any) -> None:
    for path in leaves(fields):
        assert paths.ancestors(path)[0] == path
        paths.parse(path)


@SOME
@given(PATH, JSON)
def test_a_path_is_read_or_refused(path: str, value: Any) -> None:
    try:
        elements = paths.parse(path)
    except ValueError:
        return
    assert isinstance(elements, tuple)
    assert paths.Values(value).get(path) == paths.get(value, path)


@pytest.mark.parametrize("levels", [200, 900])
def test_deep_trees_end(levels: int) -> None:
    fields: Any = {}
    for _ in range(levels):
        fields = {"f:a": fields}
    there = thing({}, [{"manager": "nidus", "operation": "Apply", "fieldsV1": fields}])
    assert len(managed(there)) == 1
    handover.handed_over(there, managed(there))


@pytest.mark.parametrize("levels", [200, 400])
def test_deep_values_end(levels: int) -> None:
    def deep(last: Any) -> Any:
        for _ in range(levels):
            last = {"a": last}
        return last

    found = diff(thing({"spec": {}}), thing({"spec": deep(1)}), thing({"spec": deep(2)}), ["spec"], ())
    assert len(found) == 1


# Cost


def calls(work: Callable[[], object]) -> int:
    """How many functions a piece of work calls: what it costs, without a clock."""
    count = 0
    paths.parse.cache_clear()
    paths.part.cache_clear()

    def one(frame: Any, event: str, _: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(one)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def keys(prefix: str, size: int) -> dict[str, str]:
    return {f"{prefix}{number}": "x" for number in range(size)}


def edited(size: int) -> dict[str, Any]:
    live = config_map("a", **keys("new", size))
    fields = tree(f"data.new{number}" for number in range(size))
    hand = {"manager": "kubectl", "operation": "Update", "time": "t", "fieldsV1": fields}
    return {**live, "metadata": {**live["metadata"], "managedFields": [hand]}}


def ports(size: int, start: int) -> dict[str, Any]:
    spec = {"ports": [{"name": f"p{start}-{one}", "port": start + one} for one in range(size)]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a", "namespace": "web"}, "spec": spec}


def finalized(size: int, prefix: str) -> dict[str, Any]:
    return {**thing({}), "metadata": {"name": "a", "finalizers": [f"{prefix}/{one}" for one in range(size)]}}


COSTS: dict[str, Callable[[int], Callable[[], object]]] = {
    "every key replaced": lambda size: (
        lambda: lost(
            config_map("a", **keys("new", size)),
            config_map("a", **keys("old", size)),
            [f"data.old{number}" for number in range(size)],
        )
    ),
    "every key edited": lambda size: (
        lambda: drift.found(
            diff(config_map("a", **keys("new", size)), config_map("a"), None, ["data"], ()),
            edited(size),
            [f"data.new{number}" for number in range(size)],
        )
    ),
    "every key in conflict": lambda size: (
        lambda: conflict.overridden(
            [f".data.new{number}" for number in range(size)], config_map("a", **keys("new", size)), edited(size)
        )
    ),
    "every key abandoned": lambda size: (
        lambda: handover.handed_over(
            edited(size),
            strays.found(config_map("a"), edited(size), [f"data.new{number}" for number in range(size)]).all,
        )
    ),
    "every port renamed": lambda size: lambda: strays.found(ports(size, 1), ports(size, 20000), owned(ports(size, 1))),
    "every finalizer another": lambda size: (
        lambda: diff(finalized(size, "a"), finalized(size, "b"), None, ["metadata"], ())
    ),
    "every port moved": lambda size: lambda: diff(ports(size, 1), ports(size, 1), ports(size, 20000), ["spec"], ()),
}


@given(st.lists(JSON, max_size=3), st.lists(JSON, max_size=3))
def test_sets_hold_anything(some: list[Any], others: list[Any]) -> None:
    asked, live = thing({}), thing({})
    asked["metadata"]["finalizers"], live["metadata"]["finalizers"] = some, others
    assert satisfied(asked, live) in (True, False)
    diff(asked, live, None, ["metadata.finalizers"], ())


@pytest.mark.parametrize("what", COSTS)
def test_the_cost_grows_with_the_size(what: str) -> None:
    """Four times as much may cost five times as many calls, not sixteen."""
    many, few = calls(COSTS[what](320)), calls(COSTS[what](80))
    assert many < 5 * few, (few, many)
