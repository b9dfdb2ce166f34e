"""plan.render_text, lines and summary: what people read."""

import re
from typing import Any

import pytest

from reconciler.errors import printable
from reconciler.model import MISSING, Change, Consent, FieldChange, ObjectRef, Plan, Revision, Target
from reconciler.plan import render_text, summary
from reconciler.plan.lines import Style, show
from tests.reviews import below, review

REVISION = Revision("main", "4f2a1c9")


def change(action: Any, name: str = "a", layer: str = "web/base", *fields: FieldChange, **more: Any) -> Change:
    return Change(
        action, Target("local", "team-a"), ObjectRef("", "ConfigMap", "web", name), layer, fields=fields, **more
    )


def plan(*changes: Change, **more: Any) -> Plan:
    return Plan("team-a", REVISION, changes, **more)


def render(plans: Any, colour: bool = False, **style: Any) -> str:
    """The text below the header."""
    return "\n".join(below(render_text.render(review(plans), Style(**style), colour)))


def test_the_last_line_counts() -> None:
    text = render(plan(change("create"), change("create", "b"), change("configure", "c"), change("unchanged", "d")))
    assert text.splitlines()[-1] == "Plan: 2 to create, 1 to configure, 0 to delete"
    more = plan(
        change("replace"), change("hold", "b"), change("adopt", "c"), change("delete", "d"), change("skip", "e")
    )
    assert render(more).splitlines()[-1] == (
        "Plan: 0 to create, 0 to configure, 1 to delete, 1 to replace, 1 to adopt, 1 held"
    )
    assert render([plan(change("create")), plan(change("create"))]).splitlines()[-1].startswith("Plan: 2 to create")
    assert summary.line(summary.totals(review([]))) == "Plan: 0 to create, 0 to configure, 0 to delete"


def test_one_header_per_cluster_and_layer_and_a_symbol_per_action() -> None:
    todo = plan(
        change("create", "a"),
        change("configure", "b"),
        change("hold", "c", reason="NotOwner"),
        change("replace", "d", "web/top", reason="ImmutableField"),
        change("delete", "e", "web/top"),
    )
    assert render(todo).splitlines()[:-2] == [
        "team-a main@sha1:4f2a1c9",
        "  web/base on local/team-a",
        "    + ConfigMap/web/a",
        "    ~ ConfigMap/web/b",
        "    ! ConfigMap/web/c  (held: exists and is not ours)",
        "  web/top on local/team-a",
        "  -/+ ConfigMap/web/d  (a field that cannot change in place)",
        "  web/top on local/team-a",
        "    - ConfigMap/web/e",
    ]


def test_what_stays_is_shown_in_detail_only() -> None:
    todo = plan(
        change("unchanged"), change("skip", "b", reason="PruneDisabled"), change("skip", "c", reason="NotObserved")
    )
    assert "ConfigMap/web/c  (not read)" in render(todo)
    assert "ConfigMap/web/a" not in render(todo) and "ConfigMap/web/b" not in render(todo)
    assert "web/a" in render(todo, detail=True) and "web/b" in render(todo, detail=True)
    assert "no changes" in render(plan(change("unchanged"))) and "no changes" not in render(todo)


def test_fields_read_old_to_new() -> None:
    fields = [
        FieldChange("spec.replicas", 1, 2),
        FieldChange("data.k", "(none)", "v"),
        FieldChange("data.l", "x", "(none)"),
    ]
    text = render(plan(change("configure", "a", "web/base", *fields)))
    for expected in ("        spec.replicas: 1 -> 2", "        data.k: (none) -> v", "        data.l: x -> (none)"):
        assert expected in text.splitlines()


def test_long_texts_are_compared_by_line_and_cut() -> None:
    old = "".join(f"line {n}\n" for n in range(40))
    new = "".join(f"LINE {n}\n" for n in range(40))
    todo = plan(change("configure", "a", "web/base", FieldChange("data.text", old, new)))
    assert (
        "          - line 3" in render(todo).splitlines() and "          (68 more lines)" in render(todo).splitlines()
    )
    assert "          + LINE 39" in render(todo, detail=True).splitlines()


def test_a_narrow_terminal() -> None:
    long = FieldChange("spec.template.spec.image", "registry.example.com/a:1", "registry.example.com/a:2")
    text = render(plan(change("configure", "a" * 60, "web/base", long)), width=40)
    assert all(len(line) <= 40 for line in text.splitlines())
    lines = text.splitlines()
    at = lines.index("        spec.template.spec.image:")
    assert lines[at + 1].strip() == long.before and lines[at + 2].strip().startswith("-> registry")


def test_colour_is_all_that_colour_adds() -> None:
    todo = plan(change("create"), change("delete", "b"), change("hold", "c", reason="Grace"))
    coloured = render(todo, colour=True)
    assert "\x1b[32m" in coloured and "\x1b[31m" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == render(todo)


@pytest.mark.parametrize("hostile", ["\x1b[2J", "a\rb", "\u202egnp", "x\x9b31m", "\u2028", "two\nlines"])
def test_nothing_from_outside_can_control_the_terminal(hostile: str) -> None:
    ref = ObjectRef("", "ConfigMap", "web", hostile)
    fields = (
        FieldChange(f"data.{hostile}", hostile, [hostile]),
        FieldChange("data.t", hostile + "\n", "b\n" + hostile),
    )
    one = Change("configure", Target("local", hostile), ref, hostile, reason=hostile, flags=(hostile,), fields=fields)
    text = render(Plan(hostile, REVISION, (one,), unknown={hostile: hostile}), detail=True)
    assert all(line.isprintable() for line in text.split("\n"))


def test_values_are_quoted_where_they_could_be_misread() -> None:
    assert [show(one) for one in ("plain", "", " x", 'say "x"', 1, True, None, {"b": 1, "a": []})] == [
        "plain",
        '""',
        '" x"',
        '"say \\"x\\""',
        "1",
        "true",
        "null",
        '{"a": [], "b": 1}',
    ]
    assert show("x" * 200).endswith("…") and len(show("x" * 200)) == 120 and show("x" * 200, 0) == "x" * 200
    assert printable("a\x1b") == "a\\u001b"


def test_names_and_what_a_create_writes_are_never_cut() -> None:
    held = change("hold", "a" * 60, reason="NotOwner")
    made = change(
        "create", "b", "web/base", FieldChange("spec.image", MISSING, "registry.example.com/a/quite/long/name:1")
    )
    text = render(plan(held, made), creates=True, width=40)
    assert "…" not in text
    whole = "".join(text.split())
    assert "a" * 60 in whole and "existsandisnotours" in whole and "a/quite/long/name:1" in whole


def test_unknown_layers_say_why_and_held_destruction_how_to_approve() -> None:
    held = change("hold", reason="ObjectBudget", would="delete")
    todo = plan(held, unknown={"web/top": "RenderFailed: x"}, consent=Consent(("i",), "d1ge57"))
    lines = render(todo, width=60).splitlines()
    assert "    ? web/top  (RenderFailed: x)" in lines and "  approve with: nidus approve d1ge57" in lines
    waiting = plan(change("hold", reason="NotOwner"), consent=Consent(("i",), "d1ge57"))
    assert "approve with" not in render(waiting)
