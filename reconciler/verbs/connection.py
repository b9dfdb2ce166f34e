"""The flags that say which host cluster a command talks to, and the client they make."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reconciler.kube.client import Client
    from reconciler.model import SourceConfig
    from reconciler.settings import Settings

NAMESPACE = "nidus-system"


def add_arguments(
    parser: argparse.ArgumentParser, namespace: str = NAMESPACE, own: tuple[str, ...] = ("-n", "--namespace")
) -> None:
    """The flags of every command that talks to a host. `namespace` is the default, "" where a configuration file may say it; `own`
    are the flags that name it."""
    told = namespace or f"what the file says, or {NAMESPACE}"
    parser.add_argument(
        "--kubeconfig", default="", help="the host's kubeconfig (default: KUBECONFIG, or the pod's own account)"
    )
    parser.add_argument("--context", default="", help="its context")
    parser.add_argument(*own, default=namespace, help=f"the controller's namespace (default: {told})")


def seconds(text: str) -> float:
    """The type of a flag that takes a time such as 30s, 5m or 8h."""
    from reconciler.spec import units

    try:
        return units.duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is {error}") from None


def connect(args: argparse.Namespace) -> Client:
    """A client of the host cluster. Raises Stalled or Retry where there is none."""
    from reconciler.kube import edge
    from reconciler.model import HostConfig

    config = HostConfig(kubeconfig=args.kubeconfig, context=args.context)
    return edge.host(config, named=lambda address: f"the API server {address}")


def source(file: str, sources: Sequence[SourceConfig], name: str) -> SourceConfig:
    """The source NAME of a configuration file, or its only one. Raises Stalled where there is none, UsageError where several are meant."""
    from reconciler.errors import UsageError, few
    from reconciler.verbs import usage

    names = [one.name for one in sources]
    found = [one for one in sources if name in ("", one.name)]
    if not found:
        raise usage.absent(f"{file} has no source {name[:100]}", name, names, "--source takes one of")
    if found[1:]:
        hint = f"--source takes one of: {few(names, usage.SHOWN)}"
        raise UsageError(f"{file} has several sources", hint=hint)
    return found[0]


def configured(args: argparse.Namespace, *, repo: str = "", branch: str = "", path: str = "") -> Settings:
    """The controller's settings, for a command that also reads nested clusters. Raises NidusError where they are not
    usable."""
    from reconciler import settings

    _raise_file_limit()
    return settings.load(
        args.config,
        kubeconfig=args.kubeconfig,
        context=args.context,
        namespace=args.namespace,
        repo=repo,
        branch=branch,
        path=path,
    )


def _raise_file_limit() -> None:
    """Raise the limit of open files to the hard limit: a nested cluster needs three, and the usual soft limit of 1,024
    exists for users of select()."""
    import resource
    from contextlib import suppress

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # some systems report a hard limit that they do not allow
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
