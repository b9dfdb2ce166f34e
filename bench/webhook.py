"""`webhook`: bursts of signed deliveries at one source: how long their answers take, how many syncs they become, and what the controller's
memory grows by. Every delivery is a connection of its own and is answered after its mark is stored on the host.
"""

from __future__ import annotations

import http.client
import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from bench import scene
from bench.report import Outcome, Row, Size, percentile
from devhost import stage as staging
from webhook.forges import FORGES, Delivery

BURST: Final = 1000
SENDERS: Final = 8
"""Connections at once: what one forge opens to one address, and more."""
ROUNDS: Final = 3
PAGE: Final = os.sysconf("SC_PAGE_SIZE")
PATH: Final = f"/webhook/{staging.FIRST}"
TELL: Final = "nidus_source_syncs_total{"


def run(size: Size) -> Outcome:
    """A burst to warm up, then ROUNDS that are measured, each when the syncs of the last are over."""
    with scene.opened(1, 1, running=1) as made:
        made.start()
        made.await_ready()
        _burst(made, BURST)
        before, syncs, took = _memory(made), [], []
        for _ in range(ROUNDS):
            known = _settled(made)
            began = time.monotonic()
            took.append((_burst(made, BURST), time.monotonic() - began))
            syncs.append(_settled(made) - known)
        after = _memory(made)
    return Outcome("webhook", "W3", _rows(took, syncs, before, after), _remarks())


def _burst(made: scene.Scene, count: int) -> list[float]:
    """Seconds from connecting to the whole answer, of each delivery. Ends the run where one was not accepted."""
    secret = (made.stage.folder / staging.SECRET).read_bytes().strip()
    headers, body = FORGES["github"].compose(Delivery("push", ("refs/heads/main",)))
    told = headers | FORGES["github"].sign(body, secret, 0.0)

    def one(_: int) -> float:
        began = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", made.stage.webhook, timeout=30)
        connection.request("POST", PATH, body, told)
        answer = connection.getresponse()
        answer.read()
        connection.close()
        if answer.status != 202:
            raise SystemExit(f"a delivery was answered {answer.status}: this run measures nothing")
        return time.monotonic() - began

    with ThreadPoolExecutor(SENDERS) as senders:
        return list(senders.map(one, range(count)))


def _settled(made: scene.Scene) -> int:
    """The number of syncs by webhooks, once the newest mark is answered and nothing has moved since."""

    def answered() -> bool:
        found = made.controller.get("/api/v1/webhooks")["webhooks"][0]
        return bool(found["deliveries"][-1]["revision"])

    made.until("the newest delivery is answered", answered)
    return _syncs(str(made.controller.get("/metrics")))


def _syncs(metrics: str) -> int:
    found = [line for line in metrics.splitlines() if line.startswith(TELL) and 'trigger="webhook"' in line]
    return sum(round(float(line.rsplit(" ", 1)[1])) for line in found)


def _memory(made: scene.Scene) -> float:
    """Resident bytes of the controller itself, in MiB."""
    pages = Path(f"/proc/{made.controller.process.pid}/statm").read_text().split()[1]
    return int(pages) * PAGE / (1 << 20)


def _rows(took: list[tuple[list[float], float]], syncs: list[int], before: float, after: float) -> list[Row]:
    answers = [each for burst, _ in took for each in burst]
    rate = sum(len(burst) for burst, _ in took) / sum(seconds for _, seconds in took)
    return [
        Row("answer p50", percentile(answers, 0.5), "s", goal=0.05),
        Row("answer p99", percentile(answers, 0.99), "s", goal=0.05),
        Row("answer max", max(answers), "s"),
        Row("answered", rate, "deliveries/s"),
        Row("syncs of a burst, at most", max(syncs), "syncs", goal=2),
        Row("memory before", before, "MiB"),
        Row("memory after", after, "MiB"),
    ]


def _remarks() -> list[str]:
    return [
        f"{ROUNDS} bursts of {BURST} deliveries by {SENDERS} senders, after one that is not counted; all were answered 202",
        f"load averages {json.dumps([round(one, 1) for one in os.getloadavg()])} on {os.cpu_count()} processors",
    ]
