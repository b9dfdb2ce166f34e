"""Clusters by choice: each filter and each column against what they mean, written again; and the page of hosts."""

import itertools
from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st

from dashboard import fleet, pages
from dashboard.fleet import Choice
from reconciler.report.view import ClusterView, RunningView
from tests.dashboard.scene import NOW, TOKENS, Known, door, home, view

WORDS, TEAMS, HOSTS = ("Ready", "Held", "Degraded", ""), ("shop", "data", ""), ("east", "west")


def many() -> dict[str, ClusterView]:
    """Every word, team and host together."""
    made = {}
    for number, (word, team, host) in enumerate(itertools.product(WORDS, TEAMS, HOSTS)):
        labels = {"stage": "dev" if number % 2 else "prod"} | ({"team": team} if team else {})
        since = f"2026-11-{1 + number % 20:02}T10:00:00.000Z"
        versions, source = RunningView("0.36.1", f"v1.3{number % 2}.0"), ("platform", "other")[number % 2]
        made[f"c{number:02}"] = view(
            f"c{number:02}", word, f"message {number}", labels=labels, host=host, since=since, versions=versions, source=source,
            profiles=(f"web-stack@1.{number}.0",),
        )  # fmt: skip
    return made


def named(**choice: str) -> list[str]:
    """The clusters that are shown, in their order."""
    found = fleet.overview(many(), {}, fleet.chosen(choice), NOW)
    assert found.count == len(found.shown)
    return [one.name for one in found.shown]


ASKED = {
    "word": ("Held", lambda one: one.word == "Held"),
    "source": ("other", lambda one: one.source == "other"),
    "team": ("shop", lambda one: one.labels.get("team") == "shop"),
    "host": ("west", lambda one: one.host == "west"),
    "label": ("stage=dev", lambda one: one.labels["stage"] == "dev"),
    "text": ("WEB-stack@1.1", lambda one: "web-stack@1.1" in one.profiles[0]),
}


@pytest.mark.parametrize("names", [[a, b] for a, b in itertools.combinations_with_replacement(ASKED, 2)], ids="+".join)
def test_what_is_chosen_fits_all_of_the_choice(names: list[str]) -> None:
    wanted = [name for name, one in many().items() if all(ASKED[each][1](one) for each in names)]
    assert named(**{each: ASKED[each][0] for each in names}) == wanted
    assert len(wanted) < len(many())


def test_a_label_is_a_key_or_a_key_and_its_value() -> None:
    assert named(label="stage") == sorted(many()) and named(label="team=") == [] == named(label="other")
    assert named(word="Pending") == [name for name, one in many().items() if one.word == ""]


SORTED = {
    "name": lambda one: one.cluster,
    "status": lambda one: (fleet.ORDER.index(one.word) if one.word in fleet.ORDER else 99, one.word or "Pending"),
    "since": lambda one: one.since,
    "revision": lambda one: one.applied,
    "source": lambda one: (one.source, one.file),
    "team": lambda one: (not one.labels.get("team"), one.labels.get("team", "")),
}


@pytest.mark.parametrize("sign", ["", "-"])
@pytest.mark.parametrize("column", sorted(SORTED))
def test_a_column_sorts_both_ways_and_names_decide_what_is_alike(column: str, sign: str) -> None:
    assert SORTED.keys() == fleet.SORTS.keys() == {sort for _, sort in fleet.HEADS if sort}
    wanted = sorted(many().values(), key=SORTED[column], reverse=bool(sign))
    found = named(sort=sign + column)
    assert [SORTED[column](many()[name]) for name in found] == [SORTED[column](one) for one in wanted]
    assert sorted(found) == sorted(many())
    (head,) = [one for one in fleet.overview(many(), {}, Choice(sort=sign + column), NOW).heads if one.sorted]
    assert (head.sorted, head.sort) == (("descending", column) if sign else ("ascending", f"-{column}"))


@given(
    st.dictionaries(
        st.sampled_from(["text", "word", "source", "team", "label", "host", "sort", "page", "x"]), st.text(max_size=12)
    )
)
def test_any_question_has_an_answer(asked: dict[str, str]) -> None:
    choice = fleet.chosen(asked)
    found = fleet.overview(many(), {}, choice, NOW)
    assert 1 <= found.choice.page <= found.pages and len(found.shown) <= found.count <= found.total == len(many())
    assert choice.sort.removeprefix("-") in {*fleet.SORTS, ""}
    assert fleet.chosen({name: str(value) for name, value in choice.question().items()}) == choice


def test_pages_go_on_where_the_one_before_ended() -> None:
    clusters = {f"c{n:04}": view(f"c{n:04}", "Held", labels={"team": f"t{n % 70}"}) for n in range(250)}
    shown = [fleet.overview(clusters, {}, Choice(sort="-name", page=page), NOW) for page in (1, 2, 3)]
    assert [one.name for each in shown for one in each.shown] == sorted(clusters, reverse=True)
    assert (len(shown[0].attention), shown[0].urgent, len(shown[0].teams)) == (fleet.URGENT, 250, fleet.OFFERED)


def test_a_long_message_is_cut_in_a_table() -> None:
    assert len(pages.row(view("a", "Degraded", "m" * 900), NOW).message) == pages.CELL


# Pages


@pytest.fixture
def known() -> Known:
    made = Known()
    made.clusters = many()
    return made


@pytest.fixture
def browser(known: Known) -> Iterator[FlaskClient]:
    with known.app().test_client() as one:
        yield one


def text(browser: FlaskClient, path: str) -> str:
    found = browser.get(path)
    assert found.status_code == 200, path
    return found.get_data(as_text=True)


def test_links_keep_what_is_chosen(browser: FlaskClient) -> None:
    shown = text(browser, "/?team=shop&label=stage%3Ddev&sort=-since&word=Held")
    assert "?word=Held&amp;team=shop&amp;label=stage%3Ddev&amp;sort=since" in shown
    assert 'aria-sort="descending"' in shown and '<option value="shop" selected>' in shown
    assert 'value="stage=dev"' in shown and 'name="sort" value="-since"' in shown
    hostile = text(browser, "/?team=%22%3E%3Cb%3E&sort=since")
    assert "<option selected>&#34;&gt;&lt;b&gt;</option>" in hostile and "<b>" not in hostile


def test_hosts_tell_what_runs_on_them(known: Known, browser: FlaskClient) -> None:
    known.clusters["lone"] = view("lone", host="north")
    shown = text(browser, "/hosts")
    assert 'href="/?host=east"' in shown and "12 v1.30.0" in shown and "12 v1.31.0" in shown
    assert "3 Degraded, 3 Held, 3 Pending, 3 Ready" in shown and "12 0.36.1" in shown
    assert ">local</th><td>v1.36.0</td><td>0</td>" in shown and ">north</a>" in shown
    known.clusters = {}
    assert "v1.36.0" in text(browser, "/hosts")


def test_of_hosts_a_reader_sees_those_of_their_clusters(known: Known) -> None:
    server = home()
    server.rights |= {("tom", "get", "c01")}
    with known.app(door(server)).test_client() as browser:
        browser.post("/sign-in", data={"token": TOKENS["tom"]}, headers={"Origin": "http://localhost"})
        shown = text(browser, "/hosts")
        assert "west" in shown and "east" not in shown and "local" not in shown and "<td>1</td>" in shown
        assert "local" in text(enter(browser, "ada"), "/hosts")


def enter(browser: FlaskClient, who: str) -> FlaskClient:
    browser.post("/sign-in", data={"token": TOKENS[who]}, headers={"Origin": "http://localhost"})
    return browser
