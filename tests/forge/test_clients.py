"""The clients of forges against a forge that speaks the documented API of each, on a real socket."""

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler import forges
from reconciler.errors import NidusError, Stalled, Unavailable
from reconciler.forges import answers, transport
from reconciler.forges.github import Pull
from reconciler.forges.newest import Comments
from reconciler.forges.shortened import Shortened
from reconciler.model import ChangeRequest, Person
from tests.examples import examples
from tests.forge import server
from tests.forge.server import SPEAKS, Forge

HEAD, NEXT = "a" * 40, "b" * 40


@pytest.fixture(params=sorted(SPEAKS))
def forge(request: pytest.FixtureRequest) -> Iterator[Forge]:
    made = Forge(request.param)
    yield made
    made.close()


@pytest.fixture
def token(tmp_path: Path) -> Path:
    file = tmp_path / "token"
    file.write_text("t0ken\n")
    return file


@pytest.fixture
def client(forge: Forge, token: Path) -> forges.Forge:
    return forges.FORGES[forge.provider](forge.api, forge.state.repository, str(token), "")


def reason(error: pytest.ExceptionInfo[NidusError]) -> str:
    return error.value.reason


def test_a_change_is_read_as_it_is(forge: Forge, client: forges.Forge) -> None:
    number = forge.state.open(HEAD)
    found = client.change(number)
    assert (found.number, found.head, found.base, found.state, found.merged) == (1, HEAD, "main", "open", "")
    assert found.author == Person(forge.state.people["ada"].id, "ada")
    forge.state.close(number)
    assert client.change(number).state == "closed"
    forge.state.merge(number, NEXT)
    assert (client.change(number).state, client.change(number).merged) == ("merged", NEXT)
    assert client.me() == Person(1, "nidus-bot")


def test_a_head_in_the_fork_of_somebody_else_is_known(forge: Forge, client: forges.Forge) -> None:
    forge.state.open(HEAD)
    forge.state.open(HEAD, fork_of="eve")
    assert [client.change(number).ours for number in (1, 2)] == [True, False]
    forge.state.open(HEAD, author="eve", fork_of="eve")
    assert client.change(3).ours is (forge.provider != "gitlab")  # which does not say whose the fork is


@pytest.mark.parametrize("forge", ["gitea"], indirect=True)
def test_a_head_that_a_stranger_pushed_to_the_repository_itself_is_not_inside(
    forge: Forge, client: forges.Forge
) -> None:
    """Whoever may read a repository may push to refs/for/BRANCH there: nobody else is pushed out of the list by that."""
    number, agit = forge.state.open(HEAD), forge.state.open(HEAD, author="eve")
    forge.state.changes[agit].agit = True
    assert [client.change(one).inside for one in (number, agit)] == [True, False]


def test_a_fast_forward_is_merged_by_its_head(forge: Forge, client: forges.Forge) -> None:
    number = forge.state.open(HEAD)
    forge.state.merge(number, HEAD)
    assert client.change(number).merged == HEAD


@pytest.mark.parametrize("forge", ["github"], indirect=True)
def test_a_merge_is_found_where_the_pull_request_does_not_name_its_commit(forge: Forge, client: forges.Forge) -> None:
    """As GitHub's API answers from version 2026-03-10 on: what happened to the request tells it, over all its pages."""
    forge.state.tells_merge = False
    number = forge.state.open(HEAD)
    assert client.change(number).merged == ""
    assert not any(one.path.endswith("/events") for one in forge.asked)
    forge.state.merge(number, NEXT)
    assert (client.change(number).state, client.change(number).merged) == ("merged", NEXT)


@pytest.mark.parametrize("filters", [True, False])
def test_all_pages_are_read_and_other_branches_left_out(forge: Forge, client: forges.Forge, *, filters: bool) -> None:
    forge.state.filters = filters
    for _ in range(203):
        forge.state.open(HEAD)
    forge.state.open(HEAD, base="other")
    assert [one.number for one in client.open_changes("main")] == list(range(203, 0, -1))
    assert {one.headers["host"] for one in forge.asked} == {
        forge.api.split("/")[2]
    }  # the link to another host is not followed
    for count in range(130):
        forge.state.say(1, "ada", f"comment {count}")
    found = client.comments(1, 0.0, forge.state.now)
    assert [one.body for one in found.found] == [f"comment {count}" for count in range(130)] and found.whole


def test_a_comment_is_written_and_written_over(forge: Forge, client: forges.Forge) -> None:
    number = forge.state.open(HEAD)
    made = client.put_comment(number, "one")
    again = client.put_comment(number, "two", made.id)
    assert (again.id, again.body) == (made.id, "two") and again.edited > made.edited
    assert forge.state.ours(number) == ["two"] and client.comment(number, made.id) == again
    forge.state.notes[number].clear()
    assert client.comment(number, made.id) is None
    with pytest.raises(Stalled) as error:
        client.put_comment(number, "three", made.id)
    assert reason(error) == "ForgeMissing"
    said = forge.state.say(number, "ada", "/nidus plan")
    client.react(number, said)
    assert [one for one, _ in forge.state.reactions] == [said]


def test_a_status_is_short_enough(forge: Forge, client: forges.Forge) -> None:
    client.put_status(HEAD, "pending", "nidus/plan", "x" * 1000)
    client.put_status(HEAD, "failure", "nidus/plan", "done")
    assert forge.state.shown(HEAD) == ["pending", "failed" if forge.provider == "gitlab" else "failure"]


@pytest.mark.parametrize(("may", "writes"), [("admin", True), ("write", True), ("read", False), ("none", False)])
def test_who_may_write(forge: Forge, client: forges.Forge, may: str, writes: bool) -> None:
    account = forge.state.person("eve", may)
    assert client.can_write(Person(account.id, account.name)) is writes
    assert client.can_write(Person(999_999, "nobody")) is False


def test_approvals_name_the_head_they_were_given_for(forge: Forge, client: forges.Forge) -> None:
    number = forge.state.open(HEAD)
    forge.state.review(number, "bob")
    assert [(one.by.name, one.head) for one in client.approvals(client.change(number))] == [("bob", HEAD)]
    forge.state.pushed(number, NEXT)
    assert [one.head for one in client.approvals(client.change(number))] == [HEAD]
    forge.state.review(number, "bob", "COMMENTED")
    assert len(client.approvals(client.change(number))) == 1
    forge.state.review(number, "bob", "CHANGES_REQUESTED")
    assert client.approvals(client.change(number)) == ()


@pytest.mark.parametrize("dated", [False, True])
def test_gitlab_tells_when_somebody_approved_in_its_notes_and_lately_in_its_answer(
    forge: Forge, client: forges.Forge, dated: bool
) -> None:
    number = forge.state.open(HEAD)
    forge.state.review(number, "bob")
    forge.state.dates_approvals = dated
    if dated:
        forge.state.notes[number].clear()
    if forge.provider == "gitlab":
        (found,) = client.approvals(client.change(number))
        assert (found.head, found.at) == (HEAD, forge.state.reviews[number][-1].at)
        forge.state.pushed(number, NEXT)
        assert [one.head for one in client.approvals(client.change(number))] == [HEAD]
        forge.state.notes[number].clear()
        assert bool(client.approvals(client.change(number))) is dated  # when it was is not known: it counts for nothing


# Forges that misbehave


def raised(client: forges.Forge) -> NidusError:
    with pytest.raises(NidusError) as error:
        client.change(1)
    assert "t0ken" not in str(error.value) + error.value.told
    return error.value


def test_limits_are_kept_as_the_forge_says_them(forge: Forge, client: forges.Forge) -> None:
    forge.fail(403, headers={"Retry-After": "17"}, times=1)
    found = raised(client)
    assert isinstance(found, Unavailable) and (found.reason, found.after) == ("ForgeLimited", 17.0)
    forge.fail(429, times=1)
    found = raised(client)
    assert isinstance(found, Unavailable) and found.after == 60.0
    forge.fail(429, headers={"Retry-After": "99999999"}, times=1)
    found = raised(client)
    assert isinstance(found, Unavailable) and found.after == 3600.0


def test_the_time_a_limit_begins_anew_is_waited_for() -> None:
    headers = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1000"}
    found = answers.refusal(403, headers, 940.0)
    assert isinstance(found, Unavailable) and found.after == 60.0
    found = answers.refusal(429, {"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 1445412470.0)
    assert isinstance(found, Unavailable) and found.after == 10.0


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (401, "ForgeRefused"),
        (403, "ForgeRefused"),
        (404, "ForgeMissing"),
        (500, "ForgeUnreachable"),
        (422, "ForgeAnswer"),
    ],
)
def test_what_an_answer_means(forge: Forge, client: forges.Forge, status: int, expected: str) -> None:
    forge.fail(status)
    assert raised(client).reason == expected


DATES = ("0001-01-01T00:00:00", "2026-01-01T00:00:00", "9999-12-31T23:59:59", "2026-01-01", 5)


@pytest.mark.parametrize("date", DATES)
@pytest.mark.parametrize("field", ["updated_at", "created_at", "submitted_at", "approved_at"])
def test_a_date_without_a_zone_is_no_answer(
    forge: Forge, client: forges.Forge, monkeypatch: pytest.MonkeyPatch, field: str, date: object
) -> None:
    """The first year has no time in it for whom it is one of this machine: an error that nobody expects of a forge."""
    number = forge.state.open(HEAD)
    forge.state.say(number, "ada", "words")
    forge.state.review(number, "bob")
    forge.state.dates_approvals = True
    answer = SPEAKS[forge.provider]

    def dated(found: Any) -> Any:
        if isinstance(found, list):
            return [dated(one) for one in found]
        if isinstance(found, dict):
            return {key: date if key == field else dated(value) for key, value in found.items()}
        return found

    monkeypatch.setitem(server.SPEAKS, forge.provider, lambda *given: dated(answer(*given)))  # type: ignore[arg-type]
    refused = 0
    change = ChangeRequest(number, Person(1, "ada"), HEAD, "main", "open")
    calls: list[Callable[[], object]] = [
        lambda: client.change(number),
        lambda: [*client.open_changes("main")],
        lambda: client.comments(number, 0.0, 0.0),
        lambda: client.comment(number, forge.state.notes[number][0].id),
        lambda: client.approvals(change),
    ]
    for call in calls:
        try:
            found = call()
        except Stalled as error:
            assert error.reason == "ForgeAnswer"
            refused += 1
        else:
            refused += found in ((), Comments((), whole=False)) or "Unread" in str(found)
    assert refused or field == ("submitted_at" if forge.provider == "gitlab" else "approved_at")


def test_a_redirect_is_not_followed(forge: Forge, client: forges.Forge) -> None:
    forge.fail(302, headers={"Location": f"{forge.api}/user"})
    assert raised(client).reason == "ForgeAnswer"
    assert len(forge.asked) == 1


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"null", b'{"number":', b"\xff\xfe", b"[" * 100_000, b'{"number": "1"}', b" " * (transport.SIZE + 1)],
    ids=["empty", "list", "null", "cut", "bytes", "deep", "type", "large"],
)
def test_answers_of_another_form_are_its_failure(forge: Forge, client: forges.Forge, body: bytes) -> None:
    forge.fail(200, body=body)
    assert raised(client).reason == "ForgeAnswer"


def test_a_commit_of_another_form_reaches_no_command(forge: Forge, client: forges.Forge) -> None:
    forge.state.open("--upload-pack=x")
    assert raised(client).reason == "ForgeAnswer"


def test_an_approval_withdrawn_on_a_later_page_does_not_count(forge: Forge, client: forges.Forge) -> None:
    """Gitea gives no address of a next page for reviews, only how many there are."""
    if forge.provider == "gitlab":  # tells who approves now, without those who did before
        return
    number = forge.state.open(HEAD)
    forge.state.review(number, "bob")
    for _ in range(120):
        forge.state.review(number, "eve", "COMMENTED")
    assert [one.by.name for one in client.approvals(client.change(number))] == ["bob"]
    forge.state.review(number, "bob", "CHANGES_REQUESTED")
    assert client.approvals(client.change(number)) == ()


def test_gitea_tells_who_may_write_to_administrators_alone(forge: Forge, client: forges.Forge) -> None:
    """Nobody counts as one who may write because that could not be asked."""
    forge.state.administers = False
    who = forge.state.person("ada")
    if forge.provider != "gitea":
        assert client.can_write(Person(who.id, who.name))
        return
    with pytest.raises(Stalled) as error:
        client.can_write(Person(who.id, who.name))
    assert reason(error) == "ForgeRefused"


@pytest.mark.parametrize("forge", ["gitea"], indirect=True)
def test_a_list_of_too_many_pages_is_an_error(
    forge: Forge, client: forges.Forge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each request says that its loop moves: a slow forge would else be a stalled loop, which ends the process."""
    monkeypatch.setattr(transport, "PAGES", 3)
    forge.state.most = 5
    for _ in range(16):
        forge.state.open(HEAD)
    beats: list[int] = []
    with forges.beating(lambda: beats.append(1)), pytest.raises(Stalled) as error:
        list(client.open_changes("main"))
    assert reason(error) == "ForgeAnswer" and len(beats) == len(forge.asked) == 3
    client.me()
    assert len(beats) == 3


def test_an_empty_page_that_another_one_follows_is_an_error(forge: Forge, client: forges.Forge) -> None:
    forge.fail(200, body=b"[]", headers={"Link": '<x>; rel="next"'})
    with pytest.raises(Stalled) as error:
        list(client.open_changes("main"))
    assert reason(error) == "ForgeAnswer" and len(forge.asked) == 1


def test_a_page_that_is_too_large_is_asked_for_in_parts(
    forge: Forge, client: forges.Forge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anybody may write texts so long that a page of them is more than an answer may have: they would hide what others command."""
    monkeypatch.setattr(transport, "SIZE", 30_000)
    forge.state.open(HEAD)
    for number in range(130):
        forge.state.say(1, "eve", f"{number} {'x' * (12_000 if number % 60 in (7, 8, 9) else 10)}")
    last = forge.state.say(1, "eve", "the last")
    assert last in [one.id for one in client.comments(1, 0.0, forge.state.now).found]
    assert len(forge.asked) <= 15
    forge.state.say(1, "eve", "x" * 40_000)
    newest = forge.state.say(1, "ada", "the newest")
    found = client.comments(1, 0.0, forge.state.now)
    assert newest in [one.id for one in found.found] and not found.whole
    if forge.provider != "gitlab":  # whose comments have at most a million characters, and no times to ask by
        assert client.comments(1, forge.state.now, forge.state.now).whole


def test_the_newest_of_many_comments_are_read_and_no_more(forge: Forge, client: forges.Forge) -> None:
    """Whoever may comment may do so thousands of times."""
    forge.state.open(HEAD)
    first = forge.state.say(1, "ada", "the first")
    for number in range(2_000):
        forge.state.say(1, "eve", f"{number}")
    since, command = forge.state.now, forge.state.say(1, "ada", "/nidus plan")
    found = client.comments(1, 0.0, forge.state.now)
    assert {first, command} <= {one.id for one in found.found} and len(forge.asked) <= 5
    assert found.whole is (forge.provider == "gitea")  # where one answer has them all
    assert [one.id for one in found.found] == sorted(one.id for one in found.found)
    forge.asked.clear()
    found = client.comments(1, since, forge.state.now)
    assert command in [one.id for one in found.found] and len(found.found) < 200 and found.whole
    assert len(forge.asked) == 1


@pytest.mark.parametrize("forge", ["gitea"], indirect=True)
@pytest.mark.parametrize("most", [50, 40, 20, 7, 1])
@pytest.mark.parametrize("large", [(0, 1, 2), (20, 21, 22), (39, 40, 44), ()])
def test_no_part_of_a_list_is_lost_or_twice_where_pages_are_smaller_than_asked_for(
    forge: Forge, client: forges.Forge, monkeypatch: pytest.MonkeyPatch, most: int, large: tuple[int, ...]
) -> None:
    forge.state.most = most
    for _ in range(45):
        forge.state.open(HEAD)
    monkeypatch.setattr(transport, "SIZE", 60_000)
    every = sorted(forge.state.changes)
    for number in large:
        forge.state.changes[every[number]].body = "x" * 22_000
    assert sorted(one.number for one in client.open_changes("main")) == every


LISTS = st.tuples(st.integers(0, 130), st.integers(1, 60), st.sampled_from([1, 5, 30, 50, 100]), st.booleans())


@examples(300)
@given(LISTS, st.sets(st.integers(0, 129), max_size=6), st.sets(st.integers(0, 129), max_size=4))
def test_every_item_of_a_list_is_read_once(shape: tuple[int, int, int, bool], long: set[int], lost: set[int]) -> None:
    """Whatever a server gives at most, however its next page is told, wherever long items stand, and those that it never gives."""
    total, most, asked, links = shape
    errors = (answers.TooLarge("too large", reason="ForgeAnswer"), Unavailable("fails", reason="ForgeUnreachable"))

    class Server(transport.Transport, frozen=True):
        def send(self, method: str, path: str, body: Any = None) -> answers.Answer:
            query = dict(parse_qsl(urlsplit(path).query))
            size, page = min(int(query["limit"]), most), int(query["page"])
            part = list(range(total))[(page - 1) * size : page * size]
            if len(long.intersection(part)) > 1 or lost.intersection(part):
                raise errors[min(lost.intersection(part), default=0) % 2]
            later = page * size < total
            headers = {"link": 'rel="next"' if later else 'rel="prev"'} if links else {"x-total-count": str(total)}
            return answers.Answer(headers, json.dumps(part).encode())

    found = Server("https://forge.example", "").pages(int, "/list", ("limit", asked), lambda: None)
    if total > transport.PAGES * min(most, asked):
        with pytest.raises(Stalled) if not lost else suppress(Stalled):
            list(found)
    else:
        read = [None if isinstance(one, answers.Unread) else one for one in found]
        assert read == [None if one in lost else one for one in range(total)] or (read == [] and total == 0)


def test_a_list_over_which_the_forge_always_fails_is_none(forge: Forge, client: forges.Forge) -> None:
    """Not an empty one, and not one of items that cannot be read."""
    for _ in range(3):
        forge.state.open(HEAD)
    forge.fail(500)
    with pytest.raises(Unavailable):
        list(client.open_changes("main"))
    assert len(forge.asked) == 2


TEXTS = st.recursive(
    st.text(max_size=30) | st.integers() | st.none(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=2), inner, max_size=4),
    max_leaves=12,
)


@examples(300)
@given(TEXTS, st.booleans(), st.integers(1, 9))
def test_the_longest_texts_are_left_out_of_an_answer_as_it_comes(found: Any, ascii: bool, step: int) -> None:
    def cut(one: Any) -> Any:
        if isinstance(one, str):
            return one if len(json.dumps(one, ensure_ascii=ascii).encode()) - 2 <= 24 else ""
        if isinstance(one, list):
            return [cut(each) for each in one]
        return {key: cut(each) for key, each in one.items()} if isinstance(one, dict) else one

    data, short = json.dumps(found, ensure_ascii=ascii).encode(), Shortened(24)
    for at in range(0, len(data), step):
        short.feed(data[at : at + step])
    assert json.loads(short.kept) == cut(found)


def test_a_list_ends_however_slow_the_forge_is(
    forge: Forge, client: forges.Forge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "LISTING", -1.0)
    with pytest.raises(Stalled, match="takes longer than"):
        list(client.open_changes("main"))


def test_a_change_request_of_an_account_that_was_deleted_is_read() -> None:
    """One that cannot be read would stop the list of all."""
    told = {"number": 7, "state": "open", "user": None, "updated_at": "2026-11-26T00:00:00Z"}
    told |= {"head": {"sha": HEAD, "repo": None}, "base": {"ref": "main"}}
    found = answers.decoded(json.dumps(told).encode(), Pull).change("blob")
    assert (found.author, found.ours) == (Person(0, "ghost"), False)


def test_slow_bytes_end_by_the_deadline(forge: Forge, token: Path) -> None:
    forge.fail(200, body=b" " * 1000, drip=0.05)
    slow = transport.Transport(forge.api, str(token), deadline=0.3)
    with pytest.raises(Unavailable) as error:
        slow.send("GET", "/user")
    assert error.value.message == "the forge does not answer within 0.3 s"


def test_a_forge_that_is_down_is_unavailable(token: Path) -> None:
    gone = transport.Transport("http://127.0.0.1:9", str(token))
    with pytest.raises(Unavailable) as error:
        gone.send("GET", "/user")
    assert reason(error) == "ForgeUnreachable"


def test_a_token_goes_over_tls_only(token: Path) -> None:
    with pytest.raises(Stalled) as error:
        transport.Transport("http://forge.example.com", str(token)).send("GET", "/user")
    assert reason(error) == "ForgeRefused"


def test_a_token_that_cannot_be_used_is_said(forge: Forge, token: Path) -> None:
    for text in ("", "two words", "line\r\nX-Other: 1", "päss"):
        token.write_text(text)
        with pytest.raises(Stalled) as error:
            transport.Transport(forge.api, str(token)).send("GET", "/user")
        assert reason(error) == "ForgeRefused"
    assert forge.asked == []
