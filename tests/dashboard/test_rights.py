"""What people may do, asked of an API server in memory: how often, by whom, and who waits for whom."""

import http.client
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import urlencode

import pytest

from reconciler.controller import answers, dashboard, rights
from reconciler.controller.answers import Answers
from reconciler.controller.lookups import Lookups
from reconciler.controller.rights import Rights
from reconciler.errors import ApiError, Unavailable
from reconciler.model import UserInfo
from tests.dashboard.scene import TOKENS, Known, door, home
from tests.memory.failures import answer
from tests.memory.server import Response, Server
from tests.shell import client
from webhook.server import serve

EXTRA = "authentication.kubernetes.io/"
NAMES = [f"c{number}" for number in range(50)]


class Counted:
    """Questions of one kind whose body has `of` in it, counted; while `gate` is shut they wait on their way to the server."""

    def __init__(self, patch: pytest.MonkeyPatch, server: Server, kind: str, of: bytes = b"") -> None:
        self.count, self.gate, self.came, self._lock = 0, threading.Event(), threading.Semaphore(0), threading.Lock()
        self.gate.set()
        answered = server.request

        def request(method: str, path: str, query: Any, headers: Any, body: bytes = b"") -> Response:
            if path.endswith(kind) and of in body:
                with self._lock:
                    self.count += 1
                self.came.release()
                assert self.gate.wait(60)
            return answered(method, path, query, headers, body)

        patch.setattr(server, "request", request)

    @contextmanager
    def shut(self) -> Iterator[None]:
        self.gate.clear()
        try:
            yield
        finally:
            self.gate.set()


@pytest.fixture
def server() -> Server:
    return home()


@pytest.fixture
def now() -> list[float]:
    return [100.0]


@pytest.fixture
def asked(server: Server, now: list[float]) -> Rights:
    return Rights(client(server), "nidus-system", lambda: now[0])


def test_tokens_of_nobody_hold_up_neither_pages_nor_a_token_of_somebody(
    monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    """Over real sockets, from one address, as behind a proxy."""
    reviews = Counted(monkeypatch, server, "tokenreviews", b"bogus")
    app, threads = Known().app(door(server)), dashboard.APART["/sign-in"]
    served = serve(app, "127.0.0.1:0", bounds=dashboard.BOUNDS, apart=dashboard.APART)
    try:
        status, cookie = signed_in(served.port, TOKENS["ada"])
        assert status == 303
        with ThreadPoolExecutor(3 * threads + 1) as pool, reviews.shut():
            flood = [pool.submit(signed_in, served.port, f"bogus-token-{number}") for number in range(3 * threads)]
            for _ in range(threads):
                assert reviews.came.acquire(timeout=60)
            tom = pool.submit(signed_in, served.port, TOKENS["tom"])
            assert page(served.port, cookie) == 200 and not any(one.done() for one in (tom, *flood))
            reviews.gate.set()
            assert tom.result()[0] == 303 and {one.result()[0] for one in flood} == {401}
    finally:
        served.stop()


def signed_in(port: int, token: str) -> tuple[int, str]:
    """The status, and the cookie."""
    asked = {"Content-Type": "application/x-www-form-urlencoded", "Origin": f"http://127.0.0.1:{port}"}
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request("POST", "/sign-in", urlencode({"token": token}), asked)
        found = connection.getresponse()
        return found.status, str(found.getheader("Set-Cookie")).partition(";")[0]


def page(port: int, cookie: str) -> int:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request("GET", "/", headers={"Cookie": cookie})
        return connection.getresponse().status


def test_who_waits_for_a_turn_is_known_for_a_while(
    server: Server, asked: Rights, now: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rights, "TURN", 0.01)
    assert asked.enter(TOKENS["ada"])
    reviews = Counted(monkeypatch, server, "tokenreviews")
    with ThreadPoolExecutor(rights.CHECKS_AT_ONCE) as pool, reviews.shut():
        for number in range(rights.CHECKS_AT_ONCE):
            pool.submit(asked.holder, f"ended-token-{number}")
            assert reviews.came.acquire(timeout=60)
        for passed in (rights.LASTS + 1, rights.GRACE - 2):
            now[0] += passed
            found = asked.holder(TOKENS["ada"])
            assert found is not None and found.name == "ada"
        now[0] += 2
        with pytest.raises(Unavailable):
            asked.holder(TOKENS["ada"])


def test_wrong_tokens_are_told_to_come_later_and_a_right_one_never(asked: Rights) -> None:
    found = dashboard.access("kubernetes", asked, bytes, dashboard.Proxy())
    for number in range(dashboard.FAILURES):
        assert found.enter(f"bogus-{number}", "192.0.2.1") is None
    with pytest.raises(Unavailable):
        for number in range(1000):
            found.enter(f"more-{number}", "192.0.2.1")
    assert found.enter(TOKENS["ada"], "192.0.2.1") is not None


def test_tokens_of_one_account_share_its_answers(
    monkeypatch: pytest.MonkeyPatch, server: Server, asked: Rights
) -> None:
    reviews = Counted(monkeypatch, server, "subjectaccessreviews")
    for number in range(5):
        extra = {"credential-id": f"JTI={number}", "pod-name": f"p-{number}", "pod-uid": f"{number}"}
        who = UserInfo("system:serviceaccount:t:d", extra=tuple((EXTRA + key, (text,)) for key, text in extra.items()))
        assert asked.seen(who, NAMES) == frozenset()
    assert reviews.count == len(NAMES) + 1
    asked.seen(UserInfo("system:serviceaccount:t:d", extra=(("scopes", ("one",)),)), NAMES)
    assert reviews.count == 2 * (len(NAMES) + 1)  # what an authorizer may look at stays


def test_pages_that_load_together_ask_once(monkeypatch: pytest.MonkeyPatch, server: Server, asked: Rights) -> None:
    reviews, who = Counted(monkeypatch, server, "subjectaccessreviews"), UserInfo("tom")
    with ThreadPoolExecutor(8) as pool:
        with reviews.shut():
            loads = [pool.submit(asked.seen, who, [*NAMES, "calm"]) for _ in range(8)]
            assert reviews.came.acquire(timeout=60)
        assert {one.result() for one in loads} == {frozenset({"calm"})}
    assert reviews.count == len(NAMES) + 2


def test_a_failure_is_of_all_who_wait_and_is_not_kept(server: Server, asked: Rights) -> None:
    server.fail(answer(500), lambda call: "subjectaccessreviews" in call.verb, times=None)
    with pytest.raises(ApiError):
        asked.seen(UserInfo("tom"), ["calm"])
    server.heal()
    assert asked.seen(UserInfo("tom"), ["calm"]) == {"calm"}


def test_who_asks_for_many_takes_no_answer_of_others() -> None:
    kept: Answers[int] = Answers(lambda: 0.0, kept=10, each=8)
    kept.find("ada", "get", lambda: (1, 30.0))
    for number in range(100):
        kept.find("eve", number, lambda: (2, 30.0))
        kept.find("tom", number, lambda: (3, 30.0))
    assert kept.last("ada", "get") == (30.0, 1) and kept.last("eve", 0) is None and kept.last("tom", 99) is not None
    for number in range(answers.PEOPLE):
        kept.find(("many", number), 0, lambda: (4, 30.0))
    assert sum(kept.last(("many", number), 0) is not None for number in range(answers.PEOPLE)) <= 10


def test_a_slow_reading_holds_up_no_other(monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
    """Histories of two clusters: the first waits for the server until the second is read."""
    kept, first, gate = Lookups(client(server), "nidus-system"), threading.Event(), threading.Event()
    assert kept.history("z") == []  # what kinds there are is known from here on
    answered = server.request

    def request(*given: Any, **named: Any) -> Response:
        if not first.is_set():
            first.set()
            assert gate.wait(60)
        return answered(*given, **named)

    monkeypatch.setattr(server, "request", request)
    with ThreadPoolExecutor(2) as pool:
        slow = pool.submit(kept.history, "a")
        assert first.wait(60)
        try:
            assert pool.submit(kept.history, "b").result(timeout=60) == []
        finally:
            gate.set()
        assert slow.result() == []
