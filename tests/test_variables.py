"""`${{ }}`: typed, total, and nothing is evaluated twice."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from reconciler.model import Variable
from reconciler.spec import linear, values, variables

KNOWN: dict[str, Any] = {
    "variables": {
        "n": 3,
        "f": 1.5,
        "b": True,
        "s": "text",
        "list": [1, "${{ variables.s }}"],
        "map": {"a": 1},
        "nested": "${{ variables.s }}",
    },
    "cluster": {"name": "team-a", "namespace": "vcluster-team-a", "labels": {"team": "a", "example.io/x-y": "z"}},
    "host": {"name": "local"},
    "profile": {"name": "web", "version": "1.2.0"},
}


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        ("${{ variables.n }}", 3),
        ("${{variables.f}}", 1.5),
        ("${{ variables.b }}", True),
        ("${{ variables.list }}", [1, "${{ variables.s }}"]),
        ("${{ variables.map }}", {"a": 1}),
        ("n=${{ variables.n }} b=${{ variables.b }}", "n=3 b=true"),
        (" ${{ variables.n }}", " 3"),
        ("${{ cluster.name }}/${{ cluster.namespace }}", "team-a/vcluster-team-a"),
        ("${{ cluster.labels.team }}", "a"),
        ("${{ cluster.labels.example.io/x-y }}", "z"),
        ("${{ host.name }}", "local"),
        ("${{ profile.name }}@${{ profile.version }}", "web@1.2.0"),
        ("$${{ variables.n }}", "${{ variables.n }}"),
        ("$${{", "${{"),
        ("a $${{ b }} ${{ variables.s }}", "a ${{ b }} text"),
        ("${{ variables.nested }}", "${{ variables.s }}"),
        ("${ variables.n }", "${ variables.n }"),
        ("{{ .Values.x }}", "{{ .Values.x }}"),
        (["${{ variables.n }}", {"k": "${{ variables.s }}", "x": None}], [3, {"k": "text", "x": None}]),
        ({"${{ variables.n }}": 1}, {"${{ variables.n }}": 1}),
        (7, 7),
    ],
)
def test_substitution(given_: Any, expected: Any) -> None:
    filled = variables.fill(given_, KNOWN)
    assert filled == expected and type(filled) is type(expected)


@pytest.mark.parametrize(
    "text",
    [
        "${{ variables.nobody }}",
        "${{ variables }}",
        "${{ cluster.labels.nobody }}",
        "${{ cluster.labels }}",
        "${{ cluster.secret }}",
        "${{ env.HOME }}",
        "${{ variables.n",
        "${{ variables.n + 1 }}",
        "${{ }}",
        "${{ variables.n }} ${{",
        "list: ${{ variables.list }}",
        "${{ variables.map.a }}",
    ],
)
def test_what_means_nothing_is_an_error_never_empty(text: str) -> None:
    with pytest.raises(variables.UnknownVariable):
        variables.fill({"a": [text]}, KNOWN)


def test_the_error_names_the_reference() -> None:
    with pytest.raises(variables.UnknownVariable) as caught:
        variables.fill("${{ variables.nobody }}", KNOWN)
    assert caught.value.name == "variables.nobody"
    assert isinstance(caught.value, ValueError)


def test_references_are_found_where_they_stand() -> None:
    tree = {"a": ["${{ cluster.name }} ${{ host.name }}", "$${{ no }}"], "b": {"c": "${{ open"}}
    assert list(variables.references(tree)) == [(("a", 0), "cluster.name"), (("a", 0), "host.name"), (("b", "c"), "")]


_leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from(["x", "${{ variables.n }}", "a${{ variables.s }}b", "$${{ x }}", "${{ variables.q }}"])
)
_trees = st.recursive(
    _leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
)


@given(_trees)
def test_fill_succeeds_exactly_when_every_reference_has_a_value(tree: Any) -> None:
    known = all(name != "variables.q" for _, name in variables.references(tree))
    try:
        variables.fill(tree, KNOWN)
    except variables.UnknownVariable:
        assert not known
    else:
        assert known


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("string", ["", "x"], [1, None, True, ["x"]]),
        ("integer", [0, -3], ["1", 1.0, True, None]),
        ("number", [1, 1.5], ["1", False]),
        ("boolean", [True, False], [0, "true"]),
        ("ip", ["10.0.0.1", "::1"], ["10.0.0.256", "10.0.0.0/8", 1, "10.0.0.1\n"]),
        ("cidr", ["10.0.0.0/8", "fd00::/8"], ["10.0.0.1/8", "x"]),
        ("version", ["1.2.3", "v1.36.0", "1.0.0-rc.1"], ["1.2", "latest", 1.2]),
        ("quantity", ["1", "250m", "1.5Gi", "2k", "1e3", 1, 0.5], ["1 Gi", "-1", "1gb", -1, True, None]),
        ("duration", ["5m", "1h30m", "250ms", "1d"], ["5", "", "5m1h", "-5m", 5]),
    ],
)
def test_types_of_variables(kind: str, good: list[Any], bad: list[Any]) -> None:
    variable = Variable(name="x", type=kind)
    assert [values.misfit(variable, one) for one in good] == [""] * len(good)
    assert all(values.misfit(variable, one) for one in bad)


def test_limits_of_variables() -> None:
    number = Variable(name="x", type="integer", minimum=1, maximum=3, enum=(1, 2, 5))
    assert [bool(values.misfit(number, one)) for one in (1, 2, 3, 5, 0)] == [False, False, True, True, True]
    assert values.misfit(Variable(name="x", type="boolean", enum=(True,)), True) == ""
    assert values.misfit(Variable(name="x", type="integer", enum=(True,)), 1)


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        ("a+", "aaa", True),
        ("a+", "aab", False),
        ("a+", "aaa\n", False),
        ("a|b", "ab", False),
        ("", "x", True),
        ("x$|y", "y", True),
    ],
)
def test_a_pattern_is_about_the_whole_value(pattern: str, text: str, fits: bool) -> None:
    assert (values.misfit(Variable(name="x", pattern=pattern), text) == "") is fits


@pytest.mark.parametrize("pattern", ["(?=a)b", r"(a)\1", "(", "(a{1000}){1000}", "a)|(b", "(?i)a"])
def test_patterns_the_linear_engine_does_not_know_are_refused(pattern: str) -> None:
    assert [where for where, _ in values.declaration(Variable(name="x", pattern=pattern))] == ["pattern"]


def test_a_pattern_cannot_be_made_to_backtrack() -> None:
    assert not linear.whole("(a+)+", "a" * 100_000 + "!")


def test_defaults_are_filled_in_and_false_is_a_value() -> None:
    declared = (Variable(name="a", default=False, type="boolean"), Variable(name="b", default=None), Variable(name="c"))
    assert values.effective(declared, {"c": 0}) == {"a": False, "b": None, "c": 0}
    assert values.effective(declared, {}) == {"a": False, "b": None}
    assert declared[2].default is UNSET
