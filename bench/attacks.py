"""What each attack of `replays` does, again and again, and what whoever is attacked has to show of it."""

from __future__ import annotations

import base64
import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, Final

from bench import documents
from bench.attackers import EVE, Files, acting, again, commits
from bench.hostile import NAME, Attack, Phase, Run
from devhost import account

STOOD: Final = 70_000
OWN: Final = documents.name_of(STOOD)
"""The attacker's own nested cluster, which stands: for the tenant inside and for its engine's account."""
HOME: Final = f"vcluster-{OWN}"
ENGINE: Final = f"system:serviceaccount:{HOME}:vc-{OWN}"
CONTROLLER: Final = f"system:serviceaccount:{account.SYSTEM}:nidus"

PROFILE: Final = """\
apiVersion: nidus.dev/v1alpha1
kind: ClusterProfile
metadata: {name: evil}
spec:
  version: 1.0.0
  packs: [{name: web, %s}]
"""
CLUSTER: Final = """\
apiVersion: nidus.dev/v1alpha1
kind: NestedCluster
metadata: {name: evil}
spec: {%s profiles: [{name: evil, version: 1.0.0}]}
"""
SUSPENDED: Final = 'suspend: {reason: "paused\\e[2J\\u202e"},'
_OBJECT: Final = "{apiVersion: v1, kind: ConfigMap, metadata: {name: x, %s}}"
_PLAIN: Final = f"manifests: {{objects: [{_OBJECT % 'labels: {a: b}'}]}}"


# A tenant, inside


def _managed_fields(one: Run, number: int) -> None:
    """Managers that no server would write, on an object of ours."""
    live = one.made.inside.get("v1", "ConfigMap", "settings-0", f"{OWN}-web") or {}
    entry: dict[str, Any] = {"manager": f"x{number}", "operation": "Update", "subresource": "scale"}
    entry |= {"apiVersion": "v1", "fieldsType": "FieldsV1"}
    entry["fieldsV1"] = {"f:data": {"k:{}": {}, "i:-1": {}, 'v:{"a":1}': {}}}
    live["metadata"]["managedFields"] = [*live["metadata"]["managedFields"][:5], entry]
    live["data"]["stamp"] = f"edited {number}"
    one.made.inside.replace(live)


# An author


def _objects(number: int) -> Files:
    kinds = ("labels: [a]", 'annotations: "x"')
    rule = "ignoreDifferences: [{kind: ConfigMap, pointers: [/metadata/name, /spec/ports/²]}]"
    packs = (f"manifests: {{objects: [{', '.join(_OBJECT % each for each in kinds)}]}}", f"{_PLAIN}, {rule}", _PLAIN)
    spec = "deletion: {grace: 99999999999999d}," if number % 3 == 2 else ""
    return {"p.yaml": PROFILE % packs[number % 3], "c.yaml": CLUSTER % spec}


def _scalars(number: int) -> Files:
    """One for each of ten clusters."""
    scalar = f"1{'_' * 120_000}x{number}"
    text = (CLUSTER % SUSPENDED).replace("{name: evil}", "{name: evil-%d, labels: {a: %s}}")
    return {f"{each}.yaml": text % (each, scalar) for each in range(10)}


def _schema(number: int) -> Files:
    """A cluster that is not suspended, so that its chart is rendered for each version."""
    return {"p.yaml": PROFILE % f"helm: {{chart: {{path: chart}}, values: {{a: {number}}}}}", "c.yaml": CLUSTER % ""}


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
        "p.yaml": PROFILE % f"manifests: {{objects: [{objects}]}}",
        "c.yaml": CLUSTER % f"namespaces: [{namespaces}],",
    }


def _beyond(number: int) -> Files:
    scheduling = "priorityClassName: system-node-critical, tolerations: [{operator: Exists}]"
    return {"p.yaml": PROFILE % _PLAIN, "c.yaml": CLUSTER % f"scheduling: {{{scheduling}}}, quota: {{pods: {number}}},"}


def _lists(number: int) -> Files:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": f"s{number}"}, "stringData": {"a": "b"}}
    whole: object = secret
    for _ in range(12):
        whole = {"apiVersion": "v1", "kind": "List", "items": [whole]}
    return {"p.yaml": PROFILE % f"manifests: {{objects: {json.dumps([whole])}}}", "c.yaml": CLUSTER % ""}


# An engine's account, on the host


@contextmanager
def _pem(one: Run, phase: Phase) -> Iterator[None]:
    """What runs away in a pattern of certificates, in the Secret that the engine writes, before a controller that starts and has to read
    it; the right one is back afterwards."""
    with acting(one, ENGINE) as engine:
        secret = engine.get("v1", "Secret", f"vc-{OWN}", HOME) or {}
        block = "-----BEGIN CERTIFICATE-----\nYQ==\n-----END CERTIFICATE-----" + " " * 200
        evil = base64.b64encode((block * 6 + "!").encode()).decode()
        key = next(name for name in secret["data"] if "authority" in name)

        def write(given: str) -> None:
            engine.patch("v1", "Secret", f"vc-{OWN}", HOME, {"data": {key: given}})

        write(evil)
        one.made.controller.stop()
        one.made.start()
        one.made.until("healthy clusters Ready", lambda: _stand(one))
        with again(lambda run, number: write(evil))(one, phase):
            yield
        write(secret["data"][key])


def _stand(one: Run) -> bool:
    with suppress(OSError):  # it does not listen yet
        words = one.made.controller.words()
        return all(words.get(name) == "Ready" for name in map(documents.name_of, range(one.healthy)))
    return False


def _fence(one: Run, number: int) -> None:
    with acting(one, ENGINE) as engine:
        meta = {"metadata": {"labels": {"vcluster.loft.sh/managed-by": "x"}}, "spec": {"egress": [{}]}}
        engine.patch("networking.k8s.io/v1", "NetworkPolicy", "nidus-workload", HOME, meta)


def _address(one: Run, number: int) -> None:
    with acting(one, ENGINE) as engine:
        spec = {"externalIPs": ["10.0.0.1"], "ports": [{"port": 443}]}
        engine.create(
            {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x", "namespace": HOME}, "spec": spec}
        )


def _forged_labels(one: Run, number: int) -> None:
    """Large objects labelled as ours, ten more each time: by an administrator, whom no policy stops."""
    labels = {"app.kubernetes.io/managed-by": "nidus", "nidus.dev/cluster": OWN}
    for each in range(10):
        meta = {"name": f"forged-{number}-{each}", "namespace": HOME, "labels": labels}
        one.made.admin.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"a": "x" * 700_000}})


# An operator, and who has the controller's token


def _requests(one: Run, number: int) -> None:
    told = json.dumps({"kind": "approve", "name": "nidus", "expires": 2, "created": 9e15})
    meta = {"name": f"nidus-request-{number}", "namespace": account.SYSTEM, "labels": {"nidus.dev/request": "approve"}}
    with acting(one, EVE) as eve:
        eve.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"request": told}})


def _marks(one: Run, number: int) -> None:
    """The far future, which would make a source deaf, and twenty syncs in a row of the healthy one."""
    with acting(one, EVE) as eve:

        def mark(name: str, source: str, value: object) -> None:
            note = {"metadata": {"annotations": {f"nidus.dev/{name}": str(value)}}}
            eve.patch(documents.API, "Source", source, account.SYSTEM, note)

        mark("resync", NAME, 9_200_000_000_000_000_000)
        for each in range(20):
            mark("resync", "platform", int(one.made.pushed_at() * 1e9) + number * 100 + each)
        mark("requested", "platform", 9_200_000_000_000_000_000)


def _token(one: Run, number: int) -> None:
    spec = {"ingressClassName": "x", "defaultBackend": {"service": {"name": "x", "port": {"number": 443}}}}
    body = {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "spec": spec}
    with acting(one, CONTROLLER) as stolen:
        stolen.create({**body, "metadata": {"name": f"x{number}", "namespace": "kube-system"}})


# Somebody on the network


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


ATTACKS: Final[Mapping[str, tuple[Attack, str]]] = {
    "1 managedFields": (again(_managed_fields), ""),
    "2 malformed objects": (commits(_objects), "not a duration"),
    "3 scalars of 120 kB": (commits(_scalars), "longer than 63"),
    "3 certificates that run away": (_pem, "certificate-authority"),
    "4 requests that name other objects": (again(_requests), "forbidden"),
    "5 a chart's schema": (commits(_schema), "nothing outside the chart is ever opened"),
    "7 the fence": (again(_fence), "nidus"),
    "8 addresses of the host": (again(_address), "address"),
    "9 forged labels": (again(_forged_labels), ""),
    "10 large messages and files": (again(_messages), "are allowed"),
    "12 thousands of mistakes": (commits(_validation), "more than 256 items"),
    "13 beyond every ceiling": (commits(_beyond), "ceiling"),
    "14 control characters": (
        commits(lambda number: {"p.yaml": PROFILE % _PLAIN, "c.yaml": CLUSTER % SUSPENDED}),
        "by its file",
    ),
    "15 connections that never end": (_connections, ""),
    "16 marks of the future, syncs without end": (again(_marks), "nidus"),
    "18 hidden Secrets": (commits(_lists), "literal"),
    "19 the controller's token": (again(_token), "nidus"),
}
"""Finding -> the attack, and a word of what is shown of it; "" where it stops nothing and nothing is to be said."""
