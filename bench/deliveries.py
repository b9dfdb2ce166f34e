"""A flood of webhook deliveries at a steady rate, in a process of its own: `python -m bench.deliveries` with one JSON object of
words on stdin (`Flood`), until stdin ends; then the count of each answer as JSON on stdout.

A delivery is due at a fixed time. Senders that are late catch up, so that a slow listener is not spared.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

SENDERS: Final = 16
SECONDS: Final = 300.0
"""After which a flood ends in any case."""
BODY: Final = json.dumps({"ref": "refs/heads/main", "text": "x" * 1000}).encode()


class Flood(msgspec.Struct, frozen=True):
    """Deliveries a second to a listener on loopback: `forged` ones to one source, and signed ones to another, whose secret is known."""

    port: int
    forged: int
    forged_path: str
    signed: int
    signed_path: str
    secret: str


@contextmanager
def flooding(flood: Flood) -> Iterator[Counter[str]]:
    """Deliver until the block ends; the counts are complete afterwards: "forged 401" is the number of forged ones answered so."""
    words = [sys.executable, "-m", "bench.deliveries"]
    answered: Counter[str] = Counter()
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as sender:
        assert sender.stdin
        sender.stdin.write(msgspec.json.encode(flood) + b"\n")
        sender.stdin.flush()
        try:
            yield answered
        finally:
            out, _ = sender.communicate(timeout=60)
            answered.update(json.loads(out))


def deliver(flood: Flood, stop: threading.Event) -> Counter[str]:
    """Send until `stop`; the count of each answer, "lost" where there was none."""
    due = _schedule(flood)
    turn, answered = threading.Lock(), Counter[str]()

    def send() -> None:
        while True:
            with turn:
                at, kind = next(due)
            if stop.wait(max(0.0, at - time.monotonic())):
                return
            answer = f"{kind} {_one(flood, kind)}"
            with turn:
                answered[answer] += 1

    senders = [threading.Thread(target=send) for _ in range(SENDERS)]
    for one in senders:
        one.start()
    for one in senders:
        one.join()
    return answered


def _schedule(flood: Flood) -> Iterator[tuple[float, str]]:
    """When each delivery is due, and of which kind, in the order of time."""
    began, total, signed = time.monotonic(), flood.forged + flood.signed, 0
    for number in range(int(SECONDS * total)):
        is_signed = (number + 1) * flood.signed // total > signed
        signed += is_signed
        yield began + number / total, "signed" if is_signed else "forged"
    while True:
        yield began + 2 * SECONDS, ""


def _one(flood: Flood, kind: str) -> str:
    key = Path(flood.secret).read_bytes().strip() if kind == "signed" else b"a guess"
    signature = "sha256=" + hmac.new(key, BODY, hashlib.sha256).hexdigest()
    headers = {"Content-Type": "application/json", "X-GitHub-Event": "push", "X-Hub-Signature-256": signature}
    connection = http.client.HTTPConnection("127.0.0.1", flood.port, timeout=30)
    try:
        connection.request("POST", flood.signed_path if kind == "signed" else flood.forged_path, BODY, headers)
        return str(connection.getresponse().status)
    except (OSError, http.client.HTTPException):
        return "lost"
    finally:
        connection.close()


def main() -> None:
    """Deliver until stdin ends."""
    flood, stop = msgspec.json.decode(sys.stdin.buffer.readline(), type=Flood), threading.Event()

    def ended() -> None:
        sys.stdin.buffer.read()
        stop.set()

    threading.Thread(target=ended, daemon=True).start()
    print(json.dumps(deliver(flood, stop)))


if __name__ == "__main__":
    main()
