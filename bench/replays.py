"""`replays` (G12): what a healthy source pays beside each attack that once got through, from its push to its value inside.

One attack after another on one scene, each between two calm phases; what came out is the ratio to the calm phases beside it. Attacks that
load nothing (rights, fences, what is printed) are no phases here: tests hold those. Looping charts, slow servers and deliveries in numbers
are `hostile`.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from typing import Final

import yaml

from bench import documents, hostile, scene
from bench.hostile import NAME, Phase, Run
from bench.report import Outcome, Row, Size, percentile
from bench.stamps import watched
from devhost import account
from devhost import stage as staging

HEALTHY: Final = 3
PUSHES: Final = 8
"""Of the healthy source in each phase; the slowest of so few is what is compared."""
AGAIN: Final = 1.0
"""Seconds between two tries of an attacker."""
Files = Mapping[str, str]
Act = Callable[[Run, int], None]

_PROFILE: Final = """\
apiVersion: nidus.dev/v1alpha1
kind: ClusterProfile
metadata: {name: evil}
spec:
  version: 1.0.0
  packs: [{name: web, %s}]
"""
_CLUSTER: Final = """\
apiVersion: nidus.dev/v1alpha1
kind: NestedCluster
metadata: {name: evil}
spec: {suspend: {reason: "\\e[2J"}, profiles: [{name: evil, version: 1.0.0}], %s}
"""
_OBJECT: Final = "{apiVersion: v1, kind: ConfigMap, metadata: {name: x, %s}}"


def run(size: Size) -> Outcome:
    """Every attack, each with the calm before and after it."""
    healthy = min(size.running, HEALTHY)
    with scene.opened(healthy, 1) as made:
        content = made.stage.folder / "evil-content"
        chart = content / "chart"
        chart.mkdir(parents=True)
        (chart / "Chart.yaml").write_text("apiVersion: v2\nname: evil\nversion: 1.0.0\n")
        (chart / "values.schema.json").write_text(json.dumps({"$ref": "http://169.254.169.254/latest/meta-data"}))
        other = staging.join(made.stage, NAME, content, {"interval": "10m"})
        made.start()
        made.await_ready()
        one = Run(made, healthy, other, None, range(0), range(0), min(size.pushes, PUSHES))
        one.heard = watched(made)
        calm, rows = [hostile.measured(one, ())], []
        for name, attack in ATTACKS.items():
            phase = hostile.measured(one, (attack,))
            calm.append(hostile.measured(one, ()))
            rows += _rows(name, phase, calm[-2].taken + calm[-1].taken)
            print(f"  {name}: {rows[-1].value:.1f} x", flush=True)
        made.controller.stop()
    told = f"{healthy} healthy nested clusters; {one.pushes} pushes a phase; the attacker tries again every {AGAIN:g} s"
    return Outcome(
        "replays", "G12", rows, [told, "slowest push in the attack / slowest in the calm phases before and after it"]
    )


def _rows(name: str, phase: Phase, calm: list[float]) -> list[Row]:
    return [
        Row(f"{name}: slowest push of the calm before and after", max(calm), "s"),
        Row(f"{name}: median beside it", percentile(phase.taken, 0.5), "s"),
        *(Row(f"{name}: tries {what}", count, "") for what, count in sorted(phase.answered.items())),
        Row(f"{name}: slowest beside it / calm", max(phase.taken) / max(calm), "x", goal=2.0),
    ]


# How they are tried again and again


def _again(act: Act) -> Callable[[Run, Phase], AbstractContextManager[None]]:
    @contextmanager
    def attack(one: Run, phase: Phase) -> Iterator[None]:
        over = threading.Event()

        def trying() -> None:
            number = 0
            while not over.is_set():
                number += 1
                try:
                    act(one, number)
                    phase.answered["done"] += 1
                except Exception as error:  # it may be refused, which ends nothing
                    phase.answered[f"refused ({type(error).__name__}: {str(error)[:60]})"] += 1
                over.wait(AGAIN)

        thread = threading.Thread(target=trying)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
            _commit(one, {}, "over")

    return attack


def _files(made: Callable[[int], Files]) -> Callable[[Run, Phase], AbstractContextManager[None]]:
    """A commit of the hostile source, another one each time."""
    return _again(lambda one, number: _commit(one, made(number), f"evil {number}"))


def _commit(one: Run, files: Files, message: str) -> None:
    """The hostile source then holds these files alone."""
    work = one.other.repository.work
    for path in work.glob("*.yaml"):
        path.unlink()
    for name, text in files.items():
        (work / name).write_text(text)
    one.other.repository.commit(message)
    one.other.repository.push()


# The attacks


def _managed_fields(one: Run, number: int) -> None:
    """A nested cluster's administrator: managers that no server would write, on an object of the last healthy cluster."""
    namespace = f"{documents.name_of(one.healthy - 1)}-web"
    live = one.made.inside.get("v1", "ConfigMap", "settings-0", namespace) or {}
    entry = {
        "manager": f"x{number}",
        "operation": "Update",
        "subresource": "scale",
        "apiVersion": "v1",
        "fieldsType": "FieldsV1",
    }
    entry["fieldsV1"] = {"f:data": {"k:{}": {}, "i:-1": {}, 'v:{"a":1}': {}}}  # type: ignore[assignment]
    live["metadata"]["managedFields"].append(entry)
    one.made.inside.replace(live)


def _objects(number: int) -> Files:
    kinds = ("labels: [a]", 'annotations: "x"', f"labels: {{a: {number}}}")
    objects = ", ".join(_OBJECT % each for each in kinds)
    ignored = "ignoreDifferences: [{pointers: [/metadata/name, /spec/ports/²]}]"
    return {
        "p.yaml": _PROFILE % f"manifests: {{objects: [{objects}]}}, {ignored}",
        "c.yaml": _CLUSTER % "deletion: {grace: 99999999999999d}",
    }


def _scalars(number: int) -> Files:
    scalar = f"1{'_' * 120_000}x{number}"
    return {f"{each}.yaml": _CLUSTER % f"description: {scalar}" for each in range(10)}


def _requests(one: Run, number: int) -> None:
    """Who may ask: requests that name other objects, and times of the far future."""
    told = json.dumps({"kind": "approve", "name": "nidus", "expires": 2, "created": 9e15})
    meta = {"name": f"nidus-request-{number}", "namespace": account.SYSTEM, "labels": {"nidus.dev/request": "approve"}}
    one.made.admin.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"request": told}})
    source = one.made.admin.get(documents.API, "Source", NAME, account.SYSTEM) or {}
    source["metadata"].setdefault("annotations", {})["nidus.dev/requested"] = "9200000000000000000"
    one.made.admin.replace(source)


def _schema(number: int) -> Files:
    """A cluster that is not suspended, so that its chart is rendered for each version."""
    helm = f"helm: {{chart: {{path: chart}}, values: {{a: {number}}}}}"
    return {
        "p.yaml": _PROFILE % helm,
        "c.yaml": (_CLUSTER % "description: x").replace('suspend: {reason: "\\e[2J"}, ', ""),
    }


def _forged_labels(one: Run, number: int) -> None:
    """An engine: large objects labelled as ours, ten more each time."""
    labels = {"app.kubernetes.io/managed-by": "nidus", "nidus.dev/cluster": documents.name_of(0)}
    for each in range(10):
        meta = {"name": f"forged-{number}-{each}", "namespace": f"vcluster-{documents.name_of(0)}", "labels": labels}
        one.made.admin.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"a": "x" * 900_000}})


def _messages(one: Run, number: int) -> None:
    """A commit with a message of 8 MB, and a large file that compresses to nothing."""
    work = one.other.repository.work
    (work / "message").write_text("a: b\n" * 1_600_000)
    (work / "big.yaml").write_text(f"# {number}\n" + "x" * 20_000_000)
    one.other.repository.git("add", "big.yaml")
    one.other.repository.git("commit", "--quiet", "--file", "message")
    one.other.repository.push()


def _validation(number: int) -> Files:
    namespaces = ", ".join(f"{{name: n{each}}}" for each in range(2000))
    data = ", ".join(f'k{each}: "${{{{ variables.none{each} }}}}"' for each in range(1000))
    objects = f"{{apiVersion: v1, kind: ConfigMap, metadata: {{name: x{number}}}, data: {{{data}}}}}"
    return {
        "p.yaml": _PROFILE % f"manifests: {{objects: [{objects}]}}",
        "c.yaml": _CLUSTER % f"namespaces: [{namespaces}]",
    }


@contextmanager
def _connections(one: Run, phase: Phase) -> Iterator[None]:
    """520 connections that begin a request and never end it, half of them in its body."""
    head = b"POST /webhook/platform HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    with ExitStack() as held:
        for number in range(520):
            with suppress(OSError):  # it is refused: there are too many
                made = held.enter_context(socket.create_connection(("127.0.0.1", one.made.stage.webhook), 2.0))
                made.sendall(head + (b"Content-Length: 900000\r\n\r\n{" if number % 2 else b"X-A: "))
                phase.answered["done"] += 1
        yield


def _lists(number: int) -> Files:
    """A Secret hidden in lists in lists, and a kind that is a reference (18); fields beyond every ceiling (13)."""
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": f"s{number}"}, "stringData": {"a": "b"}}
    whole: object = secret
    for _ in range(12):
        whole = {"apiVersion": "v1", "kind": "List", "items": [whole]}
    told = json.dumps([whole])
    return {
        "p.yaml": _PROFILE % f"manifests: {{objects: {told}}}",
        "c.yaml": yaml.safe_dump(yaml.safe_load(_CLUSTER % "quota: {cpu: '9999'}")),
    }


ATTACKS: Final[Mapping[str, hostile.Attack]] = {
    "1 managedFields": _again(_managed_fields),
    "2 malformed objects": _files(_objects),
    "3 scalars of 120 kB": _files(_scalars),
    "4, 16 forged requests and marks": _again(_requests),
    "5 a chart's schema": _files(_schema),
    "9 forged labels": _again(_forged_labels),
    "10 large messages and files": _again(_messages),
    "12 thousands of mistakes": _files(_validation),
    "13, 18 hidden Secrets, no ceilings": _files(_lists),
    "15 connections that never end": _connections,
}
