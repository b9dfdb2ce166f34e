"""`nidus upgrade NAME`: what one nested cluster needs to reach a version of Kubernetes (O11). Changes nothing: the file in Git does."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from reconciler.errors import Stalled, one_line
from reconciler.verbs import connection, known

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

EXAMPLES = (
    ("team-a", "the way to the newest version that its engine runs"),
    ("team-a --to v1.36.0", "the way to this version"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="the nested cluster")
    parser.add_argument("--to", default="", metavar="VERSION", help="a version of Kubernetes, such as v1.36.0")
    connection.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Exit code 0 where there is a way. Raises Stalled where there is none."""
    client = connection.connect(args)
    found = known.cluster(client, args.namespace, args.name)
    for line in lines(args.name, found.get("status") or {}, args.to):
        print(line)
    known.warn(client, args.namespace)
    return 0


def lines(name: str, status: Mapping[str, Any], to: str) -> Iterator[str]:
    """What runs, the steps, and what each needs."""
    from reconciler.engine import versions

    runs = status.get("versions") or {}
    engine, kubernetes = one_line(runs.get("engine"), 40), one_line(runs.get("kubernetes"), 40)
    if not engine or not kubernetes:
        raise Stalled(f"nested cluster {name} runs no version yet", hint=f"nidus why {name}")
    newest = versions.newest_of(engine)
    wanted = to or newest
    minors = versions.minors(kubernetes, wanted)
    if not versions.runs(engine, wanted):
        raise Stalled(
            f"engine {engine} does not run Kubernetes {wanted}",
            hint=f"its newest is {newest}; write a newer spec.engine.version first, where the controller offers one",
        )
    if not minors:
        raise Stalled(f"{kubernetes} runs: {wanted} is no later version", hint="downgrades are not possible")
    yield f"{name} runs Kubernetes {kubernetes} on engine {engine}"
    yield f"to {wanted}: {len(minors)} step{'s' * (len(minors) > 1)}: {' -> '.join((kubernetes, *minors))}"
    yield "needs:"
    yield f"  the controller offers {', '.join(minors)} (engine.kubernetesVersions of its configuration)"
    yield from _written(wanted, len(minors))
    yield _snapshots(status)
    if status.get("status") in ("Held", "Invalid", "Degraded", "Asleep", "Suspended"):
        yield f"  it is {status['status']} now, and a step begins when it is not: nidus why {name}"


def _written(wanted: str, steps: int) -> Iterator[str]:
    if steps == 1:
        yield f"  its file: spec.kubernetes.version: {wanted}"
        return
    yield f"  its file: spec.kubernetes.version: {wanted} and spec.upgrade.steps: Auto; or a commit for each step"
    yield "  it is Ready after each step before the next begins"


def _snapshots(status: Mapping[str, Any]) -> str:
    if "backups" in status:
        return "  a whole snapshot before each step, which is made where backup.beforeUpgrade is not false"
    return "  no snapshot: its file has no spec.backup, so there is no way back from a step"
