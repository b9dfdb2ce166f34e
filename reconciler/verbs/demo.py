"""`nidus demo`: shows Nidus on the embedded host: a push, clusters becoming Ready, a second push, and commands to try
next."""

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
from reconciler.errors import NidusError, Stalled
from reconciler.verbs import table
from reconciler.verbs.looks import looks

if TYPE_CHECKING:
    from devhost.stage import Controller, Stage
    from devhost.state import Host

READY_SECONDS = 240.0
QUIET_SECONDS = 4.0  # the longest pause between two lines while a person waits
APPLIED_SECONDS = 60.0
FOLDER = Path(".nidus/demo")


EXAMPLES = (("", "until Ctrl-C"), ("--once", "ends by itself"))


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


def run(args: argparse.Namespace) -> int:
    """Exit code 0 when every cluster became Ready and the second push was applied; 1 otherwise."""
    try:
        from devhost import demofolder
        from devhost.errors import HostError
    except ModuleNotFoundError as error:
        raise Stalled(f"nidus demo needs the package {error.name}: install nidus-gitops[host]") from error
    try:
        folder = (args.dir or FOLDER).absolute()
        with demofolder.taken(folder, exactly=args.dir is not None) as place, ExitStack() as ends:
            return _story(place, args.once, ends)
    except HostError as error:
        raise NidusError(str(error)) from error
    except KeyboardInterrupt:
        _say("\nEnded: its host and its controller are stopped.")
        return 130


def _story(folder: Path, once: bool, ends: ExitStack) -> int:
    from devhost import assets, demofolder, lifecycle, stage
    from devhost.nested.run import client

    _say(f"Starting a Kubernetes control plane on this machine, in {folder}")
    lifecycle.down(folder / "host")  # of a demo that was killed
    if kept := demofolder.cleared(folder / "stage"):
        _say(f"The clone of the demo before has work of yours: it is kept as {kept / 'work'}")
    host = lifecycle.up(folder / "host", nested="own", tied=True, progress=_say)
    ends.callback(lifecycle.down, folder / "host")
    admin = client(host)
    ends.callback(admin.close)
    _say("Installing the CRDs, roles and the controller's account")
    stage.install(admin, assets.folder("deploy"))
    account = stage.sign_in(host, admin, folder / "controller.kubeconfig")
    _say("Filling a bare repository from sample-repo/ and pushing; its post-receive hook signs and calls the webhook")
    sample = assets.folder("sample-repo")
    policy = {"profileVersions": "Mutable", "dnsPattern": stage.DNS_PATTERN}
    set_ = stage.set_up(folder / "stage", sample, {"policy": policy})
    schemas.write(set_.folder / "schemas", schemas.KINDS)  # where the first lines of the sample's files look for them
    demofolder.note(set_.folder, set_.repository.git("rev-parse", "HEAD").strip())
    demofolder.let_commit(set_.repository.work)
    controller = stage.start(set_, account)
    ends.callback(_end, controller)
    controller.wait_ready()
    if not _all_ready(controller, len(list((sample / "clusters").glob("*.yaml")))):
        print(
            f"not everything became Ready within {READY_SECONDS:.0f} s; the controller's log: {controller.log}",
            file=sys.stderr,
        )
        return 1
    applied = _second_commit(controller, set_)
    _next_steps(folder, host, set_)
    if once:
        return 0 if applied else 1
    return _stay(controller, folder)


def _all_ready(controller: Controller, count: int) -> bool:
    """Show how far all are whenever a word changes, and every few seconds, until all are Ready."""
    words: dict[str, str] = {}
    told = 0.0
    for _ in looks(READY_SECONDS, 0.1):
        found = controller.get("/api/v1/clusters")["clusters"]
        shown, words = words, {one["name"]: one["status"] for one in found}
        if words != shown or time.monotonic() - told > QUIET_SECONDS:
            told = time.monotonic()
            _say(_progress(found))
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
    _say("Second commit: team-a-dev gets three replicas of its web front; pushing")
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
                _say(f"  {line['message']}")
            _say(f"push -> applied in {_at(found[-1]['time']) - pushed:.2f} s (trigger: {trigger})")
            return trigger == "webhook"
    print("the second commit was not applied in time", file=sys.stderr)
    return False


def _next_steps(folder: Path, host: Host, stage: Stage) -> None:
    """The first commands of the tour that README.md tells."""
    quoted = shlex.quote(str(_programs(folder / "bin", host)))
    print(
        f"""
What to type next, in a second terminal; the tour in README.md tells more:
  export PATH={quoted}:$PATH KUBECONFIG={shlex.quote(str(host.kubeconfig))}
  cd {shlex.quote(str(stage.repository.work))}
  nidus status
  nidus status team-a-prod
  nidus connect team-a-dev
  kubectl --context nidus_team-a-dev get deployments -A
  sed -i 's/replicas: 3/replicas: 4/' clusters/team-a-dev.yaml
  nidus plan --config ../nidus.yaml
  git commit -qam "Four replicas" && git push -q origin HEAD:main
"""
    )


def _programs(folder: Path, host: Host) -> Path:
    """A folder with `nidus` and `kubectl` alone: what a second terminal needs on its path."""
    folder.mkdir(exist_ok=True)
    for program in (Path(sys.executable).with_name("nidus"), host.tools["kubectl"]):
        link = folder / program.name
        link.unlink(missing_ok=True)
        link.symlink_to(program)
    return folder


def _stay(controller: Controller, folder: Path) -> int:
    """Until Ctrl-C, or until the controller ends by itself: then exit code 1."""
    _say("The controller runs until Ctrl-C.")
    try:
        code = controller.process.wait()
    except KeyboardInterrupt:
        _say("\nStopping the controller and the host")
        return _goodbye(controller, folder)
    print(f"the controller ended with {code}; its log: {controller.log}", file=sys.stderr)
    return 1


def _goodbye(controller: Controller, folder: Path) -> int:
    _end(controller)
    _say(f"Goodbye. The clone stays in {folder / 'stage' / 'work'}; the host's data is removed.")
    return 0


def _end(controller: Controller) -> None:
    if controller.process.poll() is None:
        controller.stop()


def _at(text: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(text).timestamp()


def _say(text: str) -> None:
    print(text, flush=True)
