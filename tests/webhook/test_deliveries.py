"""The log of deliveries: what it says, that it is bounded, and that strangers are not in it."""

from pathlib import Path

import pytest
from flask.testing import FlaskClient

from webhook.app import MarkFailed, Route, create_app
from webhook.attempts import Attempts
from webhook.deliveries import LAST, NAME, REFS, Deliveries, Entry, Sync, revision_of
from webhook.forges import Delivery, signing
from webhook.secrets import Secrets

SECRET = b"a secret of at least thirty-two bytes"


class Marks:
    """Marks pushes to main with a rising generation; `broken` makes storing them fail."""

    generation = 100
    broken = False

    def __call__(self, source: str, delivery: Delivery) -> int:
        if self.broken:
            raise MarkFailed
        if delivery.refs and "refs/heads/main" not in delivery.refs:
            return 0
        self.generation += 1
        return self.generation


@pytest.fixture
def log() -> Deliveries:
    return Deliveries(["platform"])


@pytest.fixture
def marks() -> Marks:
    return Marks()


@pytest.fixture
def client(log: Deliveries, marks: Marks) -> FlaskClient:
    routes = {"platform": Route("platform", "generic", lambda: (SECRET,))}
    return create_app(routes, marks, log=log, clock=lambda: 1000.0, attempts=Attempts(5)).test_client()


def send(client: FlaskClient, body: bytes, secret: bytes = SECRET, key: str = "platform") -> int:
    headers = {
        "X-Nidus-Signature": "sha256=" + signing.digest(body, secret),
        "User-Agent": "STRANGER",
        "X-Forwarded-For": "STRANGER",
    }
    return client.post(f"/webhook/{key}", data=body, headers=headers).status_code


def test_each_signed_delivery_has_its_verdict(client: FlaskClient, log: Deliveries, marks: Marks) -> None:
    for body in (
        b'{"refs": ["refs/heads/main", "refs/tags/v1"]}',
        b'{"ref": "refs/heads/other"}',
        b'{"change": 7}',
        b'{"ping": true}',
        b"{",
    ):
        send(client, body)
    marks.broken = True
    send(client, b'{"ref": "refs/heads/main"}')
    assert log.told()["platform"].entries == (
        Entry(1000.0, "push", "marked", ("refs/heads/main", "refs/tags/v1"), generation=101),
        Entry(1000.0, "push", "nothing to do", ("refs/heads/other",)),
        Entry(1000.0, "change", "marked", number=7),
        Entry(1000.0, "ping", "nothing to do"),
        Entry(1000.0, "", "malformed"),
        Entry(1000.0, "push", "not stored", ("refs/heads/main",)),
    )


def test_of_strangers_only_their_number_is_kept(client: FlaskClient, log: Deliveries) -> None:
    """They can neither write into the log, nor push the deliveries of the forge out of it."""
    send(client, b'{"ref": "refs/heads/main"}')
    for number in range(40):
        assert send(client, b'{"ref": "refs/heads/STRANGER-%d"}' % number, b"a guess") in (401, 429)
        assert send(client, b'{"ref": "refs/heads/STRANGER-%d"}' % number, key="STRANGER") in (404, 429)
        client.post("/webhook/platform", data=b"STRANGER", headers={"X-Nidus-Signature": "STRANGER"})
    told = log.told()["platform"]
    assert [one.refs for one in told.entries] == [("refs/heads/main",)]
    assert (told.refused, told.refused_at) == (80, 1000.0)
    assert "STRANGER" not in repr(log.told())


def test_the_log_is_bounded(log: Deliveries) -> None:
    """In entries, in refs of one, in their length, and in syncs."""
    told = Delivery("push", ("refs/heads/main", *("refs/heads/" + "x" * 900 + str(number) for number in range(500))))
    for number in range(LAST + 50):
        log.add("platform", 0.0, "marked", told, number + 1)
        log.synced("platform", number + 1, "main@sha1:aaaa")
    entries = log.told()["platform"].entries
    assert len(entries) == len(log.told()["platform"].syncs) == LAST
    assert {(len(one.refs), one.more) for one in entries} == {(REFS, 501 - REFS)}
    assert max(len(ref) for one in entries for ref in one.refs) == NAME


def test_a_delivery_gets_the_revision_that_the_first_sync_after_it_has_read(log: Deliveries) -> None:
    told = Delivery("push", ("refs/heads/main",))
    for generation in (101, 102, 103):
        log.add("platform", 0.0, "marked", told, generation)
    log.synced("platform", 102, "main@sha1:aaaa")
    log.synced("platform", 102, "main@sha1:bbbb")  # a poll since: not what was asked for
    assert [one.revision for one in log.told()["platform"].entries] == ["main@sha1:aaaa", "main@sha1:aaaa", ""]
    log.synced("platform", 104, "main@sha1:cccc")
    assert [one.revision for one in log.told()["platform"].entries][2] == "main@sha1:cccc"
    assert log.told()["platform"].syncs == (Sync(102, "main@sha1:aaaa"), Sync(104, "main@sha1:cccc"))


def test_the_sync_of_another_replica_counts_too() -> None:
    syncs = [Sync(9, "late"), Sync(5, "right"), Sync(4, "early")]
    assert [revision_of(generation, syncs) for generation in (5, 0, 10)] == ["right", "", ""]


def test_the_log_keeps_only_sources_that_it_was_made_for(log: Deliveries) -> None:
    log.add("other", 0.0, "malformed")
    log.refused("other", 0.0)
    log.synced("other", 1, "x")
    assert list(log.told()) == ["platform"]


# Secrets


def test_a_secret_that_is_not_good_closes_the_route_and_is_said_once(tmp_path: Path) -> None:
    file, said = tmp_path / "secret", list[str]()
    secrets = Secrets([file], said.append)
    app = create_app({"platform": Route("platform", "generic", secrets)}, lambda source, told: 1).test_client()
    body = b'{"ref": "refs/heads/main"}'
    for content in (None, b"", b"  \n", b"short"):
        if content is not None:
            file.write_bytes(content)
        assert [send(app, body, b"short") for _ in range(3)] == [404] * 3
    file.write_bytes(SECRET + b"\n")
    assert [send(app, body) for _ in range(3)] == [202] * 3
    assert secrets.problem == ""
    assert said == [
        f"no good secret: {file} cannot be read (No such file or directory); the route is closed, deliveries are answered 404",
        f"no good secret: {file} is empty; the route is closed, deliveries are answered 404",
        f"no good secret: {file} has 5 bytes, at least 32 are needed; the route is closed, deliveries are answered 404",
        "",
    ]


def test_two_secrets_are_rotated_without_a_lost_delivery(tmp_path: Path) -> None:
    """Written one after another, as a mounted Secret is: the new one beside the old, then the old one goes."""
    old, new = tmp_path / "secret", tmp_path / "next"
    old.write_bytes(SECRET)
    said = list[str]()
    app = create_app(
        {"platform": Route("platform", "generic", Secrets([old, new], said.append))}, lambda source, told: 1
    ).test_client()
    fresh, body = b"the next secret of thirty-two bytes", b'{"ref": "refs/heads/main"}'
    assert (send(app, body), send(app, body, fresh)) == (202, 401)
    new.write_bytes(fresh)
    assert (send(app, body), send(app, body, fresh)) == (202, 202)
    old.unlink()
    assert (send(app, body), send(app, body, fresh)) == (401, 202)
    assert said == []


def test_a_short_secret_beside_a_good_one_is_said_and_never_valid(tmp_path: Path) -> None:
    good, short = tmp_path / "secret", tmp_path / "next"
    good.write_bytes(SECRET)
    short.write_bytes(b"short")
    secrets = Secrets([good, short])
    assert secrets() == (SECRET,)
    assert secrets.problem == f"no good secret: {short} has 5 bytes, at least 32 are needed"
