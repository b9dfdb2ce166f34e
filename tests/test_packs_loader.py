"""The tolerant loader reads what Helm's own YAML library reads, except where it must refuse (V1, M1-M3)."""

from typing import Any

import helm_python
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import Stalled
from reconciler.packs import loader
from reconciler.packs.objects import collect
from tests.examples import examples

SCALARS = """yes|Yes|y|On|oN|off|N|true|TRUE|~|null|NULL|1|-1|+1|012|0o12|09|0x1F|0b11|1_000|1__0|_1|.5|1.|1.0|1.50|1e3|1E-2|-0
0.10|1e400|2020-01-01|2020-01-01T00:00:00Z|1:20|1:20.5|12345678901234567890|123456789012345678901234567890|=|a b|v1.2|1.2.3|.|+|0x|0x_1
1,000|-.5|+.5e1|"yes"|'012'|!!str 1|!!binary aGk=|0777|18446744073709551615|1e21|0o8|1e""".replace("\n", "|").split("|")


@pytest.mark.parametrize("text", SCALARS)
def test_scalars_mean_what_they_mean_to_helm(text: str) -> None:
    (read,) = loader.load(f"a: {text}", "x") or [{}]
    helm = {key: value for key, value in helm_python.values_from_yaml(f"a: {text}").items() if value is not None}
    assert read == helm or float(read["a"]) == float(helm["a"])
    assert type(read.get("a")) in (type(helm.get("a")), float)


@pytest.mark.parametrize(
    "document",
    [
        "1: a",
        "true: a",
        "off: a",
        "a: |\n  x\n   y\n",
        "a: >-\n  x\n  y\n",
        "x: &b {c: 1, e: 2}\na: {c: 5, <<: *b}\n",
        "x: &b {c: 1, e: 2}\ny: &d {c: 3, f: 4}\na: {<<: [*b, *d], e: 5}\n",
        "? a\n: b",
    ],
)
def test_structure_is_read_as_helm_reads_it(document: str) -> None:
    (read,) = loader.load(document, "x")
    assert read == helm_python.values_from_yaml(document)


TEXT = st.text(
    st.characters(min_codepoint=32, max_codepoint=0x2FF, exclude_characters="\x7f\x85"), max_size=12
) | st.from_regex(r"[-+]?[0-9_]{1,4}([.:eExob][0-9a-f_]{0,4})?", fullmatch=True)
VALUES = st.recursive(
    st.booleans() | st.integers(-(1 << 40), 1 << 40) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


@examples(20)
@given(st.dictionaries(TEXT, VALUES, min_size=1, max_size=4), st.booleans())
def test_any_document_is_read_as_helm_reads_it(value: dict[str, Any], flow: bool) -> None:
    """PyYAML's writer leaves plain what other readers take for numbers: both must then take it for the same."""
    document = yaml.safe_dump(value, default_flow_style=flow, allow_unicode=True)
    try:
        helm = helm_python.values_from_yaml(document)
    except helm_python.HelmError:
        return
    try:
        (read,) = loader.load(document, "x") or [{}]
    except Stalled as refused:
        assert refused.message.endswith("a key must be text; quote it")
    else:
        assert read == without_nulls(helm)


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    return [without_nulls(item) for item in value] if isinstance(value, list) else value


def test_equal_duplicates_are_one() -> None:
    assert loader.load("a: {b: 1}\na: {b: 1}\n", "x") == [{"a": {"b": 1}}]


def test_nulls_and_empty_documents_are_left_out() -> None:
    assert loader.load("---\n# only words\n---\na: null\nb: {}\nc: [null]\n---\n{}\n---\n", "x") == [
        {"b": {}, "c": [None]}
    ]


def test_documents_end_where_helm_ends_them() -> None:
    """releaseutil.SplitManifests: text may follow on the line, and an indented `---` is text."""
    glued = "a: 1\n---# a comment\nb: 2\n---c: 3\n---  \nd: |\n  x\n  ---\n  y\n"
    assert loader.load(glued, "x") == [{"a": 1}, {"b": 2}, {"c": 3}, {"d": "x\n---\ny\n"}]
    with pytest.raises(Stalled, match="line 4 of what"):
        loader.load("a: 1\n---b: 2\nc: 3\nb: 4\n", "x")
    with pytest.raises(Stalled, match="line 5 of what"):
        loader.load("a: 1\n---\nb: 2\n---c: [\n", "x")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", "line 3 .*'a' stands twice"),
        ("a: .inf", "no meaning in JSON"),
        ("a: [1", "did not find"),
        ("? [a]\n: 1", "a key must be text"),
        ("1.10: a", "a key must be text; quote it"),
        ("a: *b", "alias"),
        ("a: &a [*a]", "no finished anchor"),
        ("[" * 50_000, "deeper than 200"),
        ("{a: " * 50_000, "deeper than 200"),
        ("\n".join(f"x{i}: &x{i} [{', '.join([f'*x{i - 1}'] * 10) if i else 'y'}]" for i in range(9)), "more than"),
    ],
)
def test_what_has_no_one_meaning_is_refused(text: str, message: str) -> None:
    with pytest.raises(Stalled, match=message) as refused:
        loader.load(text, "web/templates/a.yaml")
    assert refused.value.message.startswith("web/templates/a.yaml: line ")
    assert refused.value.reason == "RenderFailed"


def named(kind: str, name: str, **more: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, **more}


def test_lists_are_flattened() -> None:
    inner = {"apiVersion": "v1", "kind": "ConfigMapList", "items": [named("ConfigMap", "b")]}
    outer = {"apiVersion": "v1", "kind": "List", "items": [named("ConfigMap", "a"), inner]}
    assert [found["metadata"]["name"] for found in collect([("x", outer)], "")] == ["a", "b"]


def test_a_kind_that_ends_in_list_may_be_an_object() -> None:
    assert collect([("x", named("AllowList", "a", spec={}))], "")


def test_one_object_twice_names_both_places() -> None:
    other = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}}
    older = {**other, "apiVersion": "apps/v1beta1"}
    with pytest.raises(Stalled, match=r"Deployment\.apps a is in one\.yaml and in two\.yaml") as refused:
        collect([("one.yaml", other), ("two.yaml", older)], "web")
    assert refused.value.reason == "ObjectClaimedTwice"


def test_no_namespace_means_the_layers() -> None:
    plain, placed = named("ConfigMap", "a"), named("ConfigMap", "a")
    placed["metadata"]["namespace"] = "web"
    assert len(collect([("one", plain), ("two", placed)], "jobs")) == 2
    with pytest.raises(Stalled, match="ConfigMap a is in one and in two"):
        collect([("one", plain), ("two", placed)], "web")


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([1], "is not an object"),
        ("text", "is not an object"),
        ({"kind": "A"}, "has no apiVersion"),
        ({"apiVersion": "v1", "kind": 3}, "has no kind"),
        ({"apiVersion": "v1", "kind": "Job", "metadata": {"generateName": "a-"}}, "has no metadata.name"),
        ({"apiVersion": "v1", "kind": "Job", "metadata": {"name": 3}}, "has no metadata.name"),
        ({"apiVersion": "v1", "kind": "Job"}, "has no metadata.name"),
        ({"apiVersion": "v1", "kind": "Job", "metadata": {"name": "a", "namespace": 1}}, "namespace is not text"),
    ],
)
def test_what_is_no_object_is_refused_by_its_file(document: Any, message: str) -> None:
    with pytest.raises(Stalled, match=rf"a\.yaml: .*{message}") as refused:
        collect([("a.yaml", document)], "")
    assert refused.value.reason == "ObjectInvalid"


def test_empty_labels_mean_none() -> None:
    (found,) = collect([("x", {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "labels": {}}})], "")
    assert found["metadata"] == {"name": "a"}
