"""`comment` (B3): how soon after the event of a change request its plan is in place as a comment, and what that asks of the host.

The controller is the real process, with a host in memory and the tests' forge on the loopback: their answers take no time worth naming, so
the figure is the product's own. One cluster of many changes; all are suspended documents, of which a plan is made all the same.
"""

from __future__ import annotations

import http.client
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from bench import documents
from bench.report import Outcome, Row, Size, percentile
from devhost import account
from devhost import stage as staging
from tests.answering import kubeconfig
from tests.forge.server import Forge
from tests.memory.http import Front
from tests.shell import installed
from webhook.forges import FORGES, Delivery

OBJECTS: Final = 20
PATIENCE: Final = 300.0  # seconds for what is waited for


def run(size: Size) -> Outcome:
    """Medians over `rounds` change requests, each of one cluster; the first is not counted."""
    forge = Forge("github")
    with tempfile.TemporaryDirectory(prefix="nidus-bench-") as text, Front(installed(account.SYSTEM)) as front:
        folder = Path(text)
        documents.fill(folder / "content", size.clusters, OBJECTS, running=0)
        token = folder / "stage" / "token"
        token.parent.mkdir()
        token.write_text(forge.state.token)
        told = {"provider": "github", "api": forge.api, "repository": forge.state.repository}
        review = {**told, "tokenFile": str(token), "review": {"interval": "1h"}}
        stage = staging.set_up(folder / "stage", folder / "content", {"source": {"interval": "1h", "forge": review}})
        controller = staging.start(stage, kubeconfig(folder, front.url))
        try:
            _until(controller, "the clusters are read", lambda: _read(controller) >= size.clusters)
            took = [_once(controller, forge, number) for number in range(1, size.rounds + 2)][1:]
        finally:
            controller.kill()
            forge.close()
    rows = [
        Row(f"event -> comment, 1 of {size.clusters} clusters changed, p50", statistics.median(took), "s", 5.0),
        Row("event -> comment, slowest", percentile(took, 1.0), "s", 5.0),
    ]
    return Outcome("comment", "B3", rows, [f"{len(took)} change requests, one after another"])


def _once(controller: staging.Controller, forge: Forge, number: int) -> float:
    """Seconds from the delivery to the comment of a change request of its own."""
    repository = controller.stage.repository
    _git(repository.work, "checkout", "-q", "-B", f"change-{number}", "main")
    (repository.work / documents.path_of(number)).write_text(documents.cluster(number, f"changed-{number}"))
    head = repository.commit(f"change {number}")
    _git(repository.work, "push", "-q", "origin", f"HEAD:refs/pull/{number}/head")
    forge.state.open(head)
    began = time.monotonic()
    _deliver(controller.stage, number)
    _until(controller, f"comment of #{number}", lambda: forge.state.ours(number), pause=0.005)
    took = time.monotonic() - began
    if documents.name_of(number) not in forge.state.ours(number)[0]:
        raise SystemExit(f"comment: {documents.name_of(number)} was expected:\n{forge.state.ours(number)[0][:1500]}")
    return took


def _deliver(stage: staging.Stage, number: int) -> None:
    secret = (stage.folder / staging.SECRET).read_bytes().strip()
    headers, body = FORGES["github"].compose(Delivery("change", number=number))
    connection = http.client.HTTPConnection("127.0.0.1", stage.webhook, timeout=30)
    connection.request("POST", f"/webhook/{staging.FIRST}", body, headers | FORGES["github"].sign(body, secret, 0.0))
    status = connection.getresponse().status
    connection.close()
    if status != 202:
        raise SystemExit(f"comment: the delivery was answered {status}: this run measures nothing")


def _read(controller: staging.Controller) -> int:
    try:
        return len(controller.get("/api/v1/clusters")["clusters"])
    except OSError:
        return 0


def _until(controller: staging.Controller, what: str, check: Callable[[], Any], pause: float = 0.1) -> None:
    ends = time.monotonic() + PATIENCE
    while not check():
        if time.monotonic() > ends or controller.process.poll() is not None:
            raise SystemExit(
                f"comment: the controller ended, or within {PATIENCE:g} s not: {what}\n{controller.tail(40)}"
            )
        time.sleep(pause)


def _git(folder: Path, *words: str) -> None:
    subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True, timeout=60)
