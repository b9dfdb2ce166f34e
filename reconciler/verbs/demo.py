"""`nidus demo`: shows Nidus on the embedded host, or on a cluster that the user has: a push, clusters becoming Ready, a second push, and
commands to try next."""

from __future__ import annotations

import argparse
import re
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import schemas
from reconciler.errors import NidusError, Stalled, UsageError
from reconciler.verbs import demo_ground, table
from reconciler.verbs.demo_ground import Ground, say
from reconciler.verbs.looks import looks

if TYPE_CHECKING:
    from devhost.stage import Controller, Stage

QUIET_SECONDS = 4.0  # the longest pause between two lines while a person waits
APPLIED_SECONDS = 60.0
FOLDER = Path(".nidus/demo")
CONNECT = """
  nidus connect team-a-dev
  kubectl --context nidus_team-a-dev get deployments -A"""

EXAMPLES = (
    ("", "until Ctrl-C"),
    ("--once", "ends by itself"),
    ("--context kind-kind", "on a cluster that you have: it says what it makes there, asks, and removes it at its end"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--once", action="store_true", help="end by itself: exit code 0 only if everything became Ready"
    )
    parser.add_argument(
        "--dir",
        type=Path,
        metavar="D",
        help=f"where it lives (default: {FOLDER}, or the next free {FOLDER}-2, -3 if another demo runs there)",
    )
    parser.add_argument("--context", default="", help="a context of a cluster to show it on, in place of one made here")
    parser.add_argument("--kubeconfig", default="", help="the kubeconfig of that context (default: KUBECONFIG)")
    parser.add_argument("--yes", action="store_true", help="with --context: agree to what is listed")
    parser.add_argument(
        "--chart",
        type=Path,
        metavar="FOLDER",
        help=f"with --context: the unpacked chart of vCluster {demo_ground.VERSION} (default: fetched from {demo_ground.CHARTS})",
    )


def run(args: argparse.Namespace) -> int:
    """Exit code 0 when every cluster became Ready and the second push was applied; 1 otherwise."""
    try:
        from devhost import demofolder
        from devhost.errors import HostError
    except ModuleNotFoundError as error:
        raise Stalled(f"nidus demo needs the package {error.name}: install nidus-gitops[host]") from error
    if not args.context and (args.yes or args.chart or args.kubeconfig):
        raise UsageError("--kubeconfig, --yes and --chart are about a cluster that you have", hint="name its --context")
    try:
        folder = (args.dir or FOLDER).absolute()
        with demofolder.taken(folder, exactly=args.dir is not None) as place, ExitStack() as ends:
            return _story(place, args, ends)
    except HostError as error:
        raise NidusError(str(error)) from error
    except KeyboardInterrupt:
        say("\nEnded: its controller is stopped, and what it ran on is removed.")
        return 130


def _story(folder: Path, args: argparse.Namespace, ends: ExitStack) -> int:
    from devhost import demofolder, stage
    from devhost.ports import free_port

    if kept := demofolder.cleared(folder / "stage"):
        say(f"The clone of the demo before has work of yours: it is kept as {kept / 'work'}")
    ground = demo_ground.borrowed(args, folder, ends) if args.context else demo_ground.embedded(folder, ends)
    say("Filling a bare repository from sample-repo/ and pushing; its post-receive hook signs and calls the webhook")
    policy = {"profileVersions": "Mutable", "dnsPattern": stage.DNS_PATTERN}
    shown = f"127.0.0.1:{free_port()}"
    server = {"dashboard": {"address": shown}}
    set_ = stage.set_up(folder / "stage", ground.sample, {"policy": policy, "server": server, **ground.spec})
    schemas.write(set_.folder / "schemas", schemas.KINDS)  # where the first lines of the sample's files look for them
    demofolder.note(set_.folder, set_.repository.git("rev-parse", "HEAD").strip())
    demofolder.let_commit(set_.repository.work)
    controller = stage.start(set_, ground.account)
    ends.callback(_end, controller)
    controller.wait_ready()
    say(f"The dashboard, for this machine alone: http://{shown}")
    if not _all_ready(controller, len(list((ground.sample / "clusters").glob("*.yaml"))), ground.seconds):
        print(
            f"not everything became Ready within {ground.seconds:.0f} s; the controller's log: {controller.log}",
            file=sys.stderr,
        )
        return 1
    applied = _second_commit(controller, set_)
    _next_steps(ground, set_)
    if args.once:
        return 0 if applied else 1
    return _stay(controller, folder)


def _all_ready(controller: Controller, count: int, seconds: float) -> bool:
    """Show how far all are whenever a word changes, and every few seconds, until all are Ready."""
    words: dict[str, str] = {}
    told = 0.0
    for _ in looks(seconds, 0.1):
        found = controller.get("/api/v1/clusters")["clusters"]
        shown, words = words, {one["name"]: one["status"] for one in found}
        if words != shown or time.monotonic() - told > QUIET_SECONDS:
            told = time.monotonic()
            say(_progress(found))
        if len(words) >= count and set(words.values()) == {"Ready"}:
            _details(controller)
            return True
    _details(controller)
    return False


def _progress(clusters: Sequence[Mapping[str, Any]]) -> str:
    """How far each cluster is, on one line: `dev: Provisioning 3/6`, its layers that are Current of all it has."""
    parts = []
    for one in sorted(clusters, key=lambda one: str(one["name"])):
        layers = one["layers"]
        done = sum(layer["health"] == "Current" for layer in layers)
        far = f" {done}/{len(layers)}" if layers and one["status"] != "Ready" else ""
        parts.append(table.coloured(f"{one['name']}: {one['status']}{far}", one["status"]))
    return "   ".join(parts) or "no clusters yet"


def _details(controller: Controller) -> None:
    for one in controller.get("/api/v1/clusters")["clusters"]:
        print(f"\n{one['name']}  {table.coloured(one['status'], one['status'])}  {one['endpoint']}")
        print(_layers(one["layers"]))
    print()


def _layers(layers: Sequence[Mapping[str, Any]]) -> str:
    rows = [(one["name"], one["target"], one["health"], str(one["objects"]), one["message"]) for one in layers]
    return table.with_message(("LAYER", "TARGET", "HEALTH", "OBJECTS", "MESSAGE"), rows, table.columns())


def _second_commit(controller: Controller, stage: Stage) -> bool:
    """Change one number of one cluster, push, and print the time from the hook's first line until it was applied."""
    from devhost import demofolder

    file = stage.repository.work / "clusters" / "team-a-dev.yaml"
    text = file.read_text()
    changed = re.sub(r"replicas: 2\b", "replicas: 3", text)
    file.write_text(changed)
    say("Second commit: team-a-dev gets three replicas of its web front; pushing")
    commit = stage.repository.commit("Three replicas for team-a-dev")
    demofolder.note(stage.folder, commit)
    stage.repository.push()
    pushed = float(stage.stamp.read_text())
    for _ in looks(APPLIED_SECONDS, 0.1):
        found = [
            line for line in controller.lines() if line["event"] == "Configured" and commit in line.get("revision", "")
        ]
        if found and controller.words().get("team-a-dev") == "Ready":
            trigger = str(controller.get("/api/v1/sources")["sources"][0]["trigger"])
            for line in found:
                say(f"  {line['message']}")
            say(f"push -> applied in {_at(found[-1]['time']) - pushed:.2f} s (trigger: {trigger})")
            return trigger == "webhook"
    print("the second commit was not applied in time", file=sys.stderr)
    return False


def _next_steps(ground: Ground, stage: Stage) -> None:
    """The first commands of the tour that README.md tells; nothing is written into a kubeconfig of the user's."""
    connect = "" if ground.flags else CONNECT
    print(
        f"""
What to type next, in a second terminal; the tour in README.md tells more:
  {ground.terminal}
  cd {shlex.quote(str(stage.repository.work))}
  nidus status{ground.flags}
  nidus status team-a-prod{ground.flags}{connect}
  sed -i 's/replicas: 3/replicas: 4/' clusters/team-a-dev.yaml
  nidus plan --config ../nidus.yaml{ground.flags}
  git commit -qam "Four replicas" && git push -q origin HEAD:main
"""
    )


def _stay(controller: Controller, folder: Path) -> int:
    """Until Ctrl-C, or until the controller ends by itself: then exit code 1."""
    say("The controller runs until Ctrl-C.")
    try:
        code = controller.process.wait()
    except KeyboardInterrupt:
        say("\nStopping the controller")
        return _goodbye(controller, folder)
    print(f"the controller ended with {code}; its log: {controller.log}", file=sys.stderr)
    return 1


def _goodbye(controller: Controller, folder: Path) -> int:
    _end(controller)
    say(f"Goodbye. The clone stays in {folder / 'stage' / 'work'}; what it ran on is removed.")
    return 0


def _end(controller: Controller) -> None:
    if controller.process.poll() is None:
        controller.stop()


def _at(text: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(text).timestamp()
