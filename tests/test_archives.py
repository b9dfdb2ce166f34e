"""Archives of snapshots are read back whole, from a real S3 server on the loopback: what is cut, damaged or too large is none (O7)."""

import contextlib
import gzip
import io
import itertools
import queue
import socket
import tarfile
import threading
import tracemalloc
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from typing import Any

import pytest

from reconciler import archives
from reconciler.controller.errands import Errands
from reconciler.model import Answer, Errand, Keys, Location, replace
from tests.object_store import ObjectStore, archive
from tests.waiting import eventually

KEYS = Keys("access-key", "secret-key-0123456789")


def errand(store: ObjectStore, key: str, does: Any = "read") -> Errand:
    return Errand("a", "1", does, Location("s3", "backups", store.url), key, KEYS)


def read(store: ObjectStore, data: bytes) -> archives.Answer:
    store.put("k", data)
    return archives.run(errand(store, "k"))


def test_a_whole_archive_is_counted(store: ObjectStore) -> None:
    data = archive({f"/registry/configmaps/a/{number}": b"x" * number for number in range(700)})
    found = read(store, data)
    assert (found.why, found.keys, found.size) == ("", 700, len(data))
    assert len(found.sha256) == 64


@pytest.mark.parametrize("left", [0.0, 0.3, 0.9, 0.999])
def test_a_cut_archive_is_none(store: ObjectStore, left: float) -> None:
    data = archive({f"/registry/{number}": bytes(100) for number in range(500)})
    assert "cut short" in read(store, data[: int(len(data) * left)]).why


def test_a_tar_that_was_cut_and_then_closed_cleanly_is_none(store: ObjectStore) -> None:
    """What an engine does that fails to list its store: the gzip ends as it should (vCluster before 0.37)."""
    plain = gzip.decompress(archive({f"/registry/{number}": bytes(900) for number in range(50)}))
    assert "cut short" in read(store, gzip.compress(plain[:20_000])).why


WRONG: dict[str, bytes] = {
    "no gzip": b"<html>not found</html>",
    "no tar": gzip.compress(b"hello" * 1000),
    "no key": archive({}),
    "a flipped byte": archive({"/registry/a": b"a" * 5000})[:-6] + b"\0\0\0\0\0\0",
}


@pytest.mark.parametrize("name", sorted(WRONG))
def test_what_is_no_snapshot_is_none(store: ObjectStore, name: str) -> None:
    assert read(store, WRONG[name]).why != ""


def test_long_names_and_large_sizes_are_read_by_their_headers() -> None:
    found = archives.counted([archive({f"/registry/{'a' * 300}/{n}": b"1" for n in range(3)})])
    assert found.keys == 3


def test_what_unpacks_to_too_much_is_refused_in_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "LARGEST", 24 << 20)
    data = archive({"/registry/a": bytes(64 << 20)})
    tracemalloc.start()
    with pytest.raises(Exception, match="unpacks to more"):
        archives.counted([data])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 << 20


def test_an_archive_made_of_nothing_is_refused_before_all_of_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few hundred kilobytes may unpack to a hundred thousands of empty entries, each of which costs."""
    monkeypatch.setattr(archives, "FREE", 100)
    names = {f"/registry/{number}": b"" for number in range(4_000)}
    with pytest.raises(Exception, match="it is no tar"):
        archives.counted([same(len(names))])
    assert archives.counted([archive(names)]).keys == len(names)


def same(count: int) -> bytes:
    """An archive of one empty entry, so many times."""
    plain = gzip.decompress(archive({"/registry/a": b""}))
    at = plain.index(b"registry/a") // 512 * 512
    return gzip.compress(plain[at : at + 512] * count + bytes(1024))


def test_an_archive_of_many_empty_gzip_members_is_refused_early() -> None:
    """Each of them costs, and none of them counts as anything that is unpacked."""
    taken = itertools.count()
    empty = gzip.compress(b"")
    with pytest.raises(Exception, match="more than 1000 gzip members"):
        archives.counted(empty for _ in zip(range(100_000), taken, strict=False))
    assert next(taken) <= archives.MEMBERS + 1
    with pytest.raises(Exception, match="more than 1000 gzip members"):
        archives.counted([empty * 100_000])


def test_an_archive_of_a_few_gzip_members_is_whole() -> None:
    plain = gzip.decompress(archive({"/registry/a": b"1"}))
    parts = [gzip.compress(plain[at : at + 512]) for at in range(0, len(plain), 512)]
    assert 1 < len(parts) < archives.MEMBERS and archives.counted([b"".join(parts)]).keys == 1


def test_a_reading_without_end_ends(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.put("k", archive({"/registry/a": b"1"}))
    monkeypatch.setattr(archives, "WHOLE", -1.0)
    assert "not read within" in archives.run(errand(store, "k")).why


def test_what_is_not_there_is_told_and_no_credential_with_it(store: ObjectStore) -> None:
    found = archives.run(errand(store, "missing"))
    assert found.why and KEYS.secret not in found.why and KEYS.access not in found.why
    assert archives.concealed(f"403 for {KEYS.access} {KEYS.secret}", KEYS) == "403 for (credential) (credential)"
    assert KEYS.secret not in repr(errand(store, "k"))


def test_a_store_that_is_not_there_is_told(store: ObjectStore) -> None:
    away = replace(errand(store, "k").location, endpoint="http://127.0.0.1:9")
    found = archives.run(Errand("a", "1", "read", away, "k", KEYS))
    assert found.why


def test_removing_twice_is_well(store: ObjectStore) -> None:
    store.put("k", b"1")
    assert archives.run(errand(store, "k", "remove")).why == ""
    assert store.names() == []
    assert archives.run(errand(store, "k", "remove")).why == ""


def test_the_reader_is_held_to_tarfile() -> None:
    data = archive({f"/registry/{'n' * (number % 240)}/{number}": bytes(number * 7 % 2000) for number in range(400)})
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as opened:
        files = [one for one in opened if one.isfile() and not one.name.lstrip("/").startswith("vcluster/snapshot/")]
    pieces = [data[at : at + 777] for at in range(0, len(data), 777)]
    assert archives.counted(pieces).keys == len(files) == 400


def test_one_cluster_at_a_time_is_at_the_stores_with_one_errand(store: ObjectStore) -> None:
    """One that reads for ever, again and again, leaves a thread to the others."""
    held, over, seen = threading.Event(), threading.Event(), queue.SimpleQueue[str]()

    def run(one: Errand) -> Answer:
        seen.put(f"{one.cluster}{one.id}")
        if one.cluster == "a":
            held.wait(60)
        return Answer(one.does)

    errands = Errands(lambda cluster: over.set() if cluster == "b" else None, run)
    errands.ask(tuple(replace(errand(store, "k"), id=name) for name in ("1", "2")))
    errands.ask((replace(errand(store, "k"), cluster="b"),))
    assert over.wait(60)
    held.set()
    assert {seen.get(timeout=60) for _ in range(3)} == {"a1", "b1", "a2"}


def test_no_errand_begins_once_it_is_over(store: ObjectStore) -> None:
    """The Lease is given back: what waits is the next leader's, and nobody is woken."""
    held, seen, ended = threading.Event(), queue.SimpleQueue[str](), queue.SimpleQueue[str]()
    before = set(threading.enumerate())

    def run(one: Errand) -> Answer:
        seen.put(one.id)
        held.wait(60)
        return Answer(one.does)

    errands = Errands(ended.put, run)
    errands.ask(tuple(replace(errand(store, "k"), id=name) for name in ("1", "2")))
    assert seen.get(timeout=60) == "1"
    errands.close()
    held.set()
    eventually(lambda: not [one for one in set(threading.enumerate()) - before if one.name == "errand"])
    assert seen.empty() and ended.empty()


def test_no_archive_is_removed_that_is_to_be_read(store: ObjectStore) -> None:
    """Neither where its removal waits already, nor where that is asked for later, also by another cluster."""
    held, seen = threading.Event(), queue.SimpleQueue[tuple[str, str, str]]()

    def run(one: Errand) -> Answer:
        seen.put((one.cluster, one.does, one.key))
        held.wait(60)
        return Answer(one.does)

    ended = queue.SimpleQueue[str]()
    errands = Errands(ended.put, run)
    errands.ask((errand(store, "long"),))
    assert seen.get(timeout=60) == ("a", "read", "long")
    errands.ask((replace(errand(store, "x", "remove"), id="x"), replace(errand(store, "y", "remove"), id="y")))
    errands.ask((replace(errand(store, "x"), id="restore"),))
    errands.ask((replace(errand(store, "x", "remove"), id="x"),))
    errands.ask((replace(errand(store, "x", "remove"), id="x", cluster="b"),))
    held.set()
    for _ in range(3):
        ended.get(timeout=60)
    assert [seen.get(timeout=60) for _ in range(2)] == [("a", "remove", "y"), ("a", "read", "x")]
    errands.ask((replace(errand(store, "x", "remove"), id="x"),))  # nobody reads it any more
    assert seen.get(timeout=60) == ("a", "remove", "x")


# What a store may do to whoever reads from it


@pytest.fixture
def elsewhere() -> Iterator[tuple[str, list[str]]]:
    """A server inside the network that nobody is to reach, and what it was asked."""
    asked: list[str] = []

    class Inside(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(archive({"/registry/a": b"1"}))

        do_DELETE = do_GET  # noqa: N815

        def log_message(self, *told: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Inside) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    "status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent Redirect"]
)
@pytest.mark.parametrize("does", ["read", "remove"])
def test_a_redirect_of_a_store_is_not_followed(
    store: ObjectStore, elsewhere: tuple[str, list[str]], does: str, status: str
) -> None:
    url, asked = elsewhere
    body = "<Error><Code>PermanentRedirect</Code></Error>"
    with store.fault(status=status, headers={"Location": f"{url}/latest/meta-data"}, body=body):
        found = archives.run(errand(store, "k", does))
    assert "answers with another address" in found.why and "write its own endpoint and region" in found.why
    assert asked == [] and url not in found.why


@pytest.mark.parametrize(
    ("keys", "code"),
    [
        (Keys("access-kez", KEYS.secret), "InvalidAccessKeyId"),
        (Keys(KEYS.access, "secret-kez-0123456789"), "SignatureDoesNotMatch"),
    ],
)
@pytest.mark.parametrize("does", ["read", "remove"])
def test_wrong_keys_are_told_in_one_sentence_without_them(store: ObjectStore, does: str, keys: Keys, code: str) -> None:
    store.put("k", archive({"/registry/a": b"1"}))
    found = archives.run(replace(errand(store, "k", does), keys=keys))
    told = f"the object store refuses the credentials (403 {code}): they are wrong, have ended, or lack a right"
    assert (found.why, found.unsound) == (told, False)
    assert store.names() == ["k"]


def test_a_store_that_fails_now_and_then_is_asked_again(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "TRIES", (0.0, 0.0, 0.0))
    store.put("k", archive({"/registry/a": b"1"}))
    with store.fault(status="503 Slow Down", body="<Error><Code>SlowDown</Code></Error>", times=2):
        assert archives.run(errand(store, "k")).keys == 1
    with store.fault(status="503 Slow Down", body="<Error><Code>SlowDown</Code></Error>"):
        assert archives.run(errand(store, "k")).why == "the object store fails (503 SlowDown)"


def test_a_body_that_breaks_off_is_no_archive(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "TRIES", (0.0, 0.0))
    with store.fault(status="200 OK", body="x" * 10, length=1000):
        why = archives.run(errand(store, "k")).why
    assert why in (
        "the object store: the connection ended before the answer did",
        "the archive is damaged: it is no gzip",
    )


@pytest.mark.parametrize(
    "body",
    [
        "",
        "<Code>",
        "<Code>a\x1b[2J</Code>",
        f"<Code>{'A' * 5000}</Code>",
        "x" * 200_000 + "<Code>Late</Code>",
        "<Code>access-key</Code>",
    ],
)
def test_no_word_of_a_refusal_is_told_but_its_code(store: ObjectStore, body: str) -> None:
    with store.fault(status="400 Bad Request", body=body):
        assert archives.run(errand(store, "k")).why == "the object store refuses the request (400)"


def test_an_answer_that_never_ends_ends(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that sends a byte now and then holds no thread beyond the time of a reading."""
    monkeypatch.setattr(archives, "WHOLE", 1.0)
    monkeypatch.setattr(archives, "TRIES", (0.0,))
    over, data = threading.Event(), archive({"/registry/a": Random(1).randbytes(10_000)})
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            connection, _ = server.accept()
            with connection, contextlib.suppress(OSError):
                connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                for at in itertools.takewhile(lambda _: not over.wait(0.05), range(len(data))):
                    connection.sendall(data[at : at + 1])

        thread = threading.Thread(target=drip)
        thread.start()
        away = replace(errand(store, "k").location, endpoint=f"http://127.0.0.1:{server.getsockname()[1]}")
        found = archives.run(replace(errand(store, "k"), location=away))
        over.set()
        thread.join()
    assert found.why == "the archive was not read within 1 s"
