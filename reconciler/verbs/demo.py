"""`nidus demo`: shows Nidus on the embedded host: a push, clusters becoming Ready, a second push, and commands to try
next."""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.errors import NidusError, Stalled
from reconciler.verbs import table

if TYPE_CHECKING:
    from devhost.stage import Controller, Stage
    from devhost.state import Host

READY_SECONDS = 240.0
APPLIED_SECONDS = 60.0
ROOT = Path(__file__).resolve().parents[2]


EXAMPLES = (("", "until Ctrl-C"), ("--once", "ends by itself"))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--once", action="store_true", help="end by itself: exit code 0 only if everything became Ready"
    )
    parser.add_argument(
        "--dir", type=Path, default=Path(".nidus/demo"), metavar="D", help="where it lives (default: %(default)s)"
    )


def run(args: argparse.Namespace) -> int:
    """Exit code 0 when every cluster became Ready and the second push was applied; 1 otherwise."""
    try:
        from devhost.errors import HostError
    except ModuleNotFoundError as error:
        raise Stalled(f"nidus demo needs the package {error.name}: install nidus[host]") from error
    try:
        with ExitStack() as ends:
            return _story(args, ends)
    except HostError as error:
        raise NidusError(str(error)) from error


def _story(args: argparse.Namespace, ends: ExitStack) -> int:
    import shutil

    from devhost import lifecycle, stage
    from devhost.nested.run import client

    folder = args.dir.absolute()
    _say("Starting a Kubernetes control plane on this machine")
    lifecycle.down(folder / "host")
    shutil.rmtree(folder / "stage", ignore_errors=True)
    host = lifecycle.up(folder / "host", nested="own", tied=True, progress=_say)
    ends.callback(lifecycle.down, folder / "host")
    admin = client(host)
    ends.callback(admin.close)
    _say("Installing the CRDs, roles and the controller's account")
    stage.install(admin, ROOT / "deploy")
    account = stage.sign_in(host, admin, folder / "controller.kubeconfig")
    _say("Filling a bare repository from sample-repo/ and pushing; its post-receive hook signs and calls the webhook")
    set_ = stage.set_up(
        folder / "stage",
        ROOT / "sample-repo",
        {"policy": {"profileVersions": "Mutable", "dnsPattern": stage.DNS_PATTERN}},
    )
    controller = stage.start(set_, account)
    ends.callback(_end, controller)
    controller.wait_ready()
    if not _all_ready(controller, len(list((ROOT / "sample-repo" / "clusters").glob("*.yaml")))):
        print(
            f"not everything became Ready within {READY_SECONDS:.0f} s; the controller's log: {controller.log}",
            file=sys.stderr,
        )
        return 1
    applied = _second_commit(controller, set_)
    _next_steps(host, set_)
    if args.once:
        return 0 if applied else 1
    _wait_for_interrupt(controller)
    return 0


def _all_ready(controller: Controller, count: int) -> bool:
    """Show the table whenever a word changes, until all are Ready."""
    shown: dict[str, str] = {}
    for _ in _until(READY_SECONDS):
        words = controller.words()
        if words != shown:
            _show(words)
            shown = words
        if len(words) >= count and set(words.values()) == {"Ready"}:
            _details(controller)
            return True
    _details(controller)
    return False


def _show(words: dict[str, str]) -> None:
    parts = [table.coloured(f"{name}: {word}", word) for name, word in sorted(words.items())]
    _say("   ".join(parts) or "no clusters yet")


def _details(controller: Controller) -> None:
    for one in controller.get("/api/v1/clusters")["clusters"]:
        rows = [
            (layer["name"], layer["target"], layer["health"], str(layer["objects"]), layer["message"])
            for layer in one["layers"]
        ]
        print(f"\n{one['name']}  {table.coloured(one['status'], one['status'])}  {one['endpoint']}")
        print(table.render(("LAYER", "TARGET", "HEALTH", "OBJECTS", "MESSAGE"), rows))
    print()


def _second_commit(controller: Controller, stage: Stage) -> bool:
    """Change one number of one cluster, push, and print the time from the hook's first line until it was applied."""
    file = stage.repository.work / "clusters" / "team-a-dev.yaml"
    text = file.read_text()
    changed = re.sub(r"replicas: 2\b", "replicas: 3", text)
    file.write_text(changed)
    _say("Second commit: team-a-dev gets three replicas of its web front; pushing")
    commit = stage.repository.commit("Three replicas for team-a-dev")
    stage.repository.push()
    pushed = float(stage.stamp.read_text())
    for _ in _until(APPLIED_SECONDS):
        found = [
            line for line in controller.lines() if line["event"] == "Configured" and commit in line.get("revision", "")
        ]
        if found and controller.words().get("team-a-dev") == "Ready":
            trigger = str(controller.get("/api/v1/sources")["sources"][0]["trigger"])
            for line in found:
                _say(f"  {line['message']}")
            _say(f"push -> applied in {_at(found[-1]['time']) - pushed:.2f} s (trigger: {trigger})")
            return trigger == "webhook"
    print("the second commit was not applied in time", file=sys.stderr)
    return False


def _next_steps(host: Host, stage: Stage) -> None:
    print(
        f"""
What to type next, in a second terminal:
  export KUBECONFIG={host.kubeconfig}
  nidus status
  nidus status team-a-dev
  {host.tools["kubectl"]} get nestedclusters.nidus.dev -A
  {host.tools["kubectl"]} --kubeconfig <(nidus kubeconfig team-a-dev) get deployments -A
  cd {stage.repository.work} && $EDITOR clusters/team-a-dev.yaml && git commit -am "my change" && git push origin HEAD:main
"""
    )


def _wait_for_interrupt(controller: Controller) -> None:
    print("The controller runs until Ctrl-C.")
    try:
        controller.process.wait()
    except KeyboardInterrupt:
        print()


def _end(controller: Controller) -> None:
    if controller.process.poll() is None:
        controller.stop()


def _at(text: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(text).timestamp()


def _until(seconds: float) -> Iterator[None]:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        yield
        time.sleep(0.1)


def _say(text: str) -> None:
    print(text, flush=True)
