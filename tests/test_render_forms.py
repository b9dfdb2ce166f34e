"""Text, markdown and JSON of one review: they agree, JSON is as its schema says, and markdown holds whatever comes in."""

import html.parser
import json
import re
from collections import Counter
from typing import Any, get_args

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

import schemas
from reconciler.model import (
    MISSING,
    Action,
    Change,
    ClusterReview,
    Consent,
    FieldChange,
    Held,
    ObjectRef,
    Plan,
    Review,
    Revision,
    Target,
    Tombstone,
    Violation,
)
from reconciler.plan import render_json, render_markdown, render_text, shown, summary
from reconciler.plan.lines import SYMBOLS, Style
from tests.examples import examples
from tests.reviews import AT, review

REVISION = Revision("main", "4f2a1c9" * 5 + "abcde")
HOSTILE = [
    "`",
    "``` \n```\n# x",
    "<script>alert(1)</script>",
    "</code></summary><img src=x onerror=y>",
    "@everyone",
    "#17",
    "[x](https://evil.example)",
    "https://evil.example",
    "a|b\n\n</details>",
    "\x1b[2J\u202e",
    "~~~~",
    "``",
]
SCHEMA = jsonschema.Draft7Validator(schemas.load("Plan"))
TEXT = st.sampled_from(HOSTILE) | st.text(max_size=12)
FIELD = st.builds(FieldChange, TEXT, TEXT | st.just(MISSING) | st.integers(), TEXT | st.none())
CHANGE = st.builds(
    Change,
    st.sampled_from(get_args(Action)),
    st.builds(Target, TEXT, TEXT),
    st.builds(ObjectRef, TEXT, TEXT, TEXT, TEXT),
    TEXT,
    fields=st.lists(FIELD, max_size=3).map(tuple),
    reason=st.sampled_from(["", "Drift", "NotObserved"]) | TEXT,
    would=st.sampled_from([None, "delete", "replace"]),
    flags=st.lists(TEXT, max_size=2).map(tuple),
)
CONSENT = st.just(Consent()) | st.just(Consent(("one",), "d" * 64))
UNKNOWN = st.dictionaries(TEXT, TEXT, max_size=3)
BEHIND = st.dictionaries(TEXT, st.lists(TEXT, min_size=1, max_size=2).map(tuple), max_size=2)
HELD = st.builds(Held, TEXT, TEXT, st.sampled_from(["", "e" * 64]))
PLAN = st.builds(Plan, TEXT, st.just(REVISION), st.lists(CHANGE, max_size=6).map(tuple), CONSENT, UNKNOWN)


@st.composite
def clusters(draw: st.DrawFn) -> ClusterReview:
    plan = draw(st.none() | PLAN)
    later = draw(st.sets(st.sampled_from(sorted(plan.unknown)))) if plan and plan.unknown else set[str]()
    unseen = "" if plan else draw(TEXT.filter(bool))
    stone = draw(st.none() | st.just(Tombstone(AT, AT + 60, "Delete", False)))
    behind = draw(BEHIND) if plan else {}
    return ClusterReview(
        draw(TEXT), plan, draw(st.none() | HELD), stone, frozenset(later), unseen, draw(st.just("") | TEXT), behind
    )


VIOLATION = st.builds(Violation, TEXT, st.integers(0, 9), st.integers(0, 9), st.just("NID101"), TEXT)
REVIEW = st.builds(
    Review,
    TEXT,
    st.builds(Revision, TEXT, st.just("4f2a1c9" * 5 + "abcde"), st.booleans()),
    TEXT,
    st.just(AT),
    st.lists(clusters(), max_size=4).map(tuple),
    st.lists(VIOLATION, max_size=3).map(tuple),
    st.integers(0, 3),
    st.integers(0, 3),
    st.lists(TEXT, max_size=2).map(tuple),
)


class _Outside(html.parser.HTMLParser):
    """The text outside <code>, and the tags that are there."""

    def __init__(self) -> None:
        super().__init__()
        self.text, self.tags, self.depth = "", set[str](), 0

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.add(tag)
        self.depth += tag in ("code", "pre")

    def handle_endtag(self, tag: str) -> None:
        self.depth -= tag in ("code", "pre")

    def handle_data(self, data: str) -> None:
        self.text += "" if self.depth else data


def outside(markdown: str) -> _Outside:
    found = _Outside()
    found.feed(MarkdownIt("commonmark").render(markdown))
    return found


@examples(12)
@given(REVIEW)
def test_text_markdown_and_json_agree(given_: Review) -> None:
    text = render_text.render(given_, Style(detail=True))
    plain = json.loads(json.dumps(render_json.render(given_)))
    markdown = render_markdown.render(given_, Style(detail=True))
    title = summary.line(summary.totals(given_))
    assert text.splitlines()[-1] == title and title in markdown.splitlines()[0]
    sums = plain["summary"]
    told = {word: int(number) for number, word in re.findall(r"(\d+) (to \w+|held)", title)}
    assert all(told.get(word, 0) == sums[action] for action, word in summary.WORDS.items() if action != "hold")
    actions = Counter(one["action"] for cluster in plain["clusters"] for one in cluster.get("changes", ()))
    assert all(sums[action] == actions[action] for action in summary.WORDS)
    assert sums["unknownLayers"] + sums["laterLayers"] == sum(len(one.get("unknown", ())) for one in plain["clusters"])
    assert plain["complete"] == (not title.startswith("Plan (incomplete)"))
    for action in ("create", "delete", "replace", "hold"):
        symbol = SYMBOLS[action]
        assert sums[action] == sum(line[:6] == f"  {symbol:>3} " for line in text.splitlines())
        assert sums[action] == sum(line[:4] == f"{symbol:<3} " for line in markdown.splitlines())


@examples(12)
@given(REVIEW)
def test_json_is_what_the_schema_says(given_: Review) -> None:
    SCHEMA.validate(render_json.render(given_))


@examples(12)
@given(REVIEW)
def test_nothing_leaves_its_place_in_markdown(given_: Review) -> None:
    found = outside(render_markdown.render(given_, Style(creates=True)))
    assert found.tags <= {"h3", "p", "code", "pre", "details", "summary"}
    assert found.depth == 0
    assert re.fullmatch(r"[a-z0-9,\s]*", found.text), found.text


@examples(12)
@given(REVIEW, st.integers(20, 100))
def test_nothing_controls_the_terminal_or_leaves_it(given_: Review, width: int) -> None:
    text = render_text.render(given_, Style(creates=True, width=width))
    assert all(line.isprintable() for line in text.split("\n"))
    assert all(len(line) <= width or "nidus approve" in line for line in text.split("\n"))


def big(clusters: int, changes: int) -> Review:
    ref = ObjectRef("", "ConfigMap", "web", "x" * 200)
    many = tuple(Change("create", Target("local"), ref, "web/base") for _ in range(changes))
    return review([Plan(f"team-{number:04}", REVISION, many) for number in range(clusters)])


@pytest.mark.parametrize(("clusters", "changes"), [(1, 5000), (40, 400), (3000, 1)])
def test_markdown_is_bounded_and_says_what_is_cut(clusters: int, changes: int) -> None:
    text = render_markdown.render(big(clusters, changes), Style())
    assert 40_000 < len(text) <= 60_000
    assert text.startswith(f"### `Plan: {clusters * changes} to create")
    left = re.search(r"(\d+) clusters? left out", text)
    blocks = text.count("<details>")
    assert text.count("</details>") == blocks and blocks + (int(left[1]) if left else 0) == clusters
    cut = sum(int(number) for number in re.findall(r"^\((\d+) more lines\)$", text, re.M))
    assert cut + text.count("+   ConfigMap/web/") + text.count("  web/base on local") == blocks * (changes + 1)
    assert outside(text).depth == 0


def test_small_clusters_leave_their_room_to_large_ones() -> None:
    small, large = big(1, 1), big(1, 250)
    both = review([one.plan for one in (*small.clusters, *large.clusters) if one.plan])
    assert "more lines" not in render_markdown.render(both, Style())


def test_what_needs_a_look_comes_first_and_open() -> None:
    ref = ObjectRef("", "ConfigMap", "web", "a")
    quiet = Plan("a", REVISION, (Change("create", Target("local"), ref, "web/base"),))
    loud = Plan("b", REVISION, (Change("delete", Target("local"), ref, "web/base"),))
    text = render_markdown.render(review([quiet, loud]), Style())
    assert re.findall(r"<details(.*)><summary><code>(.)</code>", text) == [(" open", "b"), ("", "a")]


def test_filters_say_what_they_hide_and_keep_the_digest() -> None:
    changes = tuple(
        Change("delete", Target("local"), ObjectRef("", "ConfigMap", "web", layer), layer) for layer in ("one", "two")
    )
    plans = [Plan(name, REVISION, changes, Consent(("i",), "d"), {"three": "why"}) for name in ("a", "b")]
    whole = review(plans)
    assert shown.layers(whole) == {"one", "two", "three"}
    found = shown.only(whole, ["a"])
    assert [one.cluster for one in found.clusters] == ["a"] and found.hidden == 1
    assert "1 cluster more with changes: not shown" in render_text.render(found, Style())
    (one,) = shown.only(whole, ["a"], "two").clusters
    assert one.plan and [change.layer for change in one.plan.changes] == ["two"] and not one.plan.unknown
    assert one.plan.consent.digest == "d"
    assert shown.only(whole, layer="three").clusters[0].failed == {"three": "why"}


def test_a_created_secret_is_hashed_and_marks_are_left_out() -> None:
    labels = {"inside.nidus.dev/cluster": "a", "app": "x"}
    body = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "s", "labels": labels},
        "data": {"k": "Y2FuYXJ5"},
    }
    one = Change("create", Target("local", "a"), ObjectRef("", "Secret", "web", "s"), "web/base", desired=body)
    found = shown.with_creates(Plan("a", REVISION, (one,)), b"salt")
    (change,) = found.changes
    assert [field.path for field in change.fields] == ["data.k", "metadata.labels.app"]
    text = render_text.render(review(found), Style(creates=True))
    assert "data.k: (sensitive, sha256:" in text and "Y2FuYXJ5" not in text and "canary" not in text
    assert "data.k" not in render_text.render(review(found), Style())
