"""The bucket of failed authentications: only failures empty it, and whoever signs is accepted whatever its state."""

import sys

import pytest

from tests.webhook.sockets import BODY, SECRET, ask, delivery, head, listening, status
from webhook.app import Route, create_app
from webhook.attempts import Attempts, sender


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_bucket_fills_again_with_time() -> None:
    clock = Clock()
    attempts = Attempts(size=3, every=2.0, clock=clock)
    assert [attempts.failed("a") for _ in range(5)] == [0, 0, 0, 2.0, 2.0]
    assert attempts.failed("b") == 0
    clock.now += 2.0
    assert [attempts.failed("a") for _ in range(2)] == [0, 2.0]
    clock.now += 1000.0
    assert [attempts.failed("a") for _ in range(4)] == [0, 0, 0, 2.0]


@pytest.mark.parametrize("start", [0.1, 7.7, 12345.678901, 987654.321098765])
@pytest.mark.parametrize("every", [0.1, 1 / 3, 3.0, 3600.0])
def test_a_bucket_has_its_whole_size_whatever_the_clock_says(start: float, every: float) -> None:
    clock = Clock()
    clock.now = start
    attempts = Attempts(size=20, every=every, clock=clock)
    assert [attempts.failed("a") == 0 for _ in range(21)] == [True] * 20 + [False]


def test_the_memory_of_senders_is_bounded() -> None:
    attempts = Attempts(size=1, senders=10)
    attempts.failed("first")
    before = sys.getsizeof(attempts._full)
    for number in range(10_000):
        attempts.failed(f"10.0.{number // 256}.{number % 256}")
    assert len(attempts._full) == 10
    assert sys.getsizeof(attempts._full) <= 4 * before
    assert attempts.failed("first") == 0


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("no address", "no address"),
    ],
)
def test_a_sender_is_an_address_or_the_network_it_chooses_from(address: str, expected: str) -> None:
    assert sender(address) == expected


def test_failures_are_told_to_come_later_and_signed_deliveries_never() -> None:
    """Bad signatures, missing ones and guessed routes count alike; another address has a bucket of its own."""
    app = create_app(
        {"n": Route("n", "generic", lambda: (SECRET,))}, lambda source, delivery: 1, attempts=Attempts(3, 3600.0)
    )
    wrong = delivery(X_Nidus_Signature="sha256=" + "0" * 64)
    with listening(app) as port:
        kinds = [wrong, delivery(X_Nidus_Signature=""), head("POST", "/webhook/guess"), wrong, wrong]
        answers = [ask(port, request) for request in kinds]
        assert [status(answer) for answer in answers] == [401, 401, 404, 429, 429]
        assert b"\r\nRetry-After: 3600\r\n" in answers[-1] or b"\r\nRetry-After: 35" in answers[-1]
        assert [status(ask(port, delivery())) for _ in range(30)] == [202] * 30
        assert status(ask(port, wrong)) == 429
        assert status(ask(port, wrong, "127.0.0.2")) == 401


def test_signed_deliveries_empty_no_bucket() -> None:
    app = create_app(
        {"n": Route("n", "generic", lambda: (SECRET,))}, lambda source, delivery: 1, attempts=Attempts(1, 3600.0)
    )
    malformed = delivery(b"{")
    with listening(app) as port:
        assert [status(ask(port, delivery(BODY))) for _ in range(5)] == [202] * 5
        assert [status(ask(port, malformed)) for _ in range(5)] == [400] * 5
        assert status(ask(port, delivery(X_Nidus_Signature="sha256=" + "0" * 64))) == 401
