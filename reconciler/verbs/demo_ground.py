"""Where `nidus demo` tells its story: on an embedded host of its own, or on a cluster that the user has."""

from __future__ import annotations

import argparse
import re
import shlex
import shutil
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from reconciler.errors import NidusError, UsageError
from reconciler.verbs import connection

if TYPE_CHECKING:
    from reconciler.packs.content.fetch import Means
    from reconciler.verbs.lent import Lent

READY_SECONDS: Final = 240.0
LENT_SECONDS: Final = 900.0
"""On a cluster that pulls its images first."""
CHARTS: Final = "https://charts.loft.sh"
VERSION: Final = "0.36.1"
KUBERNETES: Final = "v1.36.0"


@dataclass(frozen=True, slots=True)
class Ground:
    """`account`: the kubeconfig of the controller's account; `spec`: more of its configuration; `sample`: what the repository begins
    with; `seconds` until all is Ready; `terminal`: what a second terminal types first; `flags` that verbs need there."""

    account: Path
    spec: Mapping[str, Any]
    sample: Path
    seconds: float
    terminal: str
    flags: str = ""


def embedded(folder: Path, ends: ExitStack) -> Ground:
    """A control plane on this machine, which ends with `ends`."""
    from devhost import assets, lifecycle, stage
    from devhost.nested.run import client

    say(f"Starting a Kubernetes control plane on this machine, in {folder}")
    lifecycle.down(folder / "host")  # of a demo that was killed
    host = lifecycle.up(folder / "host", nested="own", tied=True, progress=say)
    ends.callback(lifecycle.down, folder / "host")
    admin = client(host)
    ends.callback(admin.close)
    say("Installing the CRDs, roles and the controller's account")
    stage.install(admin, assets.folder("deploy"))
    account = stage.sign_in(host, admin, folder / "controller.kubeconfig")
    kubectl = host.tools["kubectl"]
    terminal = f"{_path(folder, kubectl)} KUBECONFIG={shlex.quote(str(host.kubeconfig))}"
    return Ground(account, {}, assets.folder("sample-repo"), READY_SECONDS, terminal)


def borrowed(args: argparse.Namespace, folder: Path, ends: ExitStack) -> Ground:
    """The cluster of `args.context`, from which everything that was made goes with `ends`. Raises NidusError, before anything is made
    where a name is taken or nobody agrees."""
    from devhost import assets
    from reconciler.kube import edge
    from reconciler.verbs import lent, offline

    client = connection.connect(args)
    ends.callback(client.close)
    sample = _sample(folder, assets.folder("sample-repo"))
    spaces = [f"vcluster-{one.stem}" for one in sorted((sample / "clusters").glob("*.yaml"))]
    one = lent.cleared(lent.opened(client, folder, assets.folder("deploy"), spaces), say)
    lent.check(one)
    say(
        f"On {edge.server(client)} (context {args.context}) the demo makes, and removes at its end:\n{lent.listing(one)}"
    )
    _agreed(args.yes)
    chart = args.chart.absolute() if args.chart else fetched(folder / "chart", CHARTS, offline.means(None))
    ends.callback(_leave, one)
    say("Installing the CRDs, roles and the controller's account")
    lent.install(one)
    account = lent.sign_in(client, folder / "controller.kubeconfig")
    versions = [{"version": VERSION, "chart": {"path": str(chart)}}]
    spec = {"engine": {"versions": versions, "kubernetesVersions": [KUBERNETES]}}
    return Ground(account, spec, sample, LENT_SECONDS, _path(folder), _flags(args))


def say(text: str) -> None:
    """One line for whoever watches, at once."""
    print(text, flush=True)


def _leave(one: Lent) -> None:
    """Raises NidusError where something is left."""
    from reconciler.verbs import lent

    try:
        lent.end(one, say)
    except KeyboardInterrupt:
        raise NidusError(lent.left(one, "interrupted")) from None
    except NidusError as error:
        raise NidusError(lent.left(one, error.message)) from error
    say("Removed: everything that the demo made there.")


def _agreed(yes: bool) -> None:
    """Raises UsageError where nobody agrees."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError("nothing was made: nobody is there to agree", hint="--yes agrees to what is listed")
    if input("Go on? [y/N] ").strip().lower() not in ("y", "yes"):
        raise UsageError("nothing was made")


def _sample(folder: Path, sample: Path) -> Path:
    """The sample repository without a fixed port of nodes, which others may use."""
    made = folder / "sample"
    shutil.rmtree(made, ignore_errors=True)
    shutil.copytree(sample, made)
    for file in (made / "clusters").glob("*.yaml"):
        file.write_text(re.sub(r"^ +nodePort: .*\n", "", file.read_text(), flags=re.MULTILINE))
    return made


def fetched(folder: Path, charts: str, means: Means) -> Path:
    """The chart of the engine, from this repository of charts, unpacked into `folder`. Raises NidusError."""
    from reconciler.model import ChartRef
    from reconciler.packs import archives
    from reconciler.packs.content import locking

    locked = locking.resolve(ChartRef(repo=charts, name="vcluster", version=VERSION), means, lambda size: None)
    say(f"Chart vcluster {VERSION} of {charts}: {locked.digest}")
    files = archives.unpacked("vcluster", means.store.get(locked.digest.removeprefix("sha256:")) or b"")
    shutil.rmtree(folder, ignore_errors=True)
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def _flags(args: argparse.Namespace) -> str:
    given = {"--kubeconfig": args.kubeconfig, "--context": args.context}
    return "".join(f" {flag} {shlex.quote(value)}" for flag, value in given.items() if value)


def _path(folder: Path, *more: Path) -> str:
    """What puts `nidus` and these programs alone before a second terminal's path."""
    place = folder / "bin"
    place.mkdir(exist_ok=True)
    for program in (Path(sys.executable).with_name("nidus"), *more):
        link = place / program.name
        link.unlink(missing_ok=True)
        link.symlink_to(program)
    return f"export PATH={shlex.quote(str(place))}:$PATH"
