"""What a bare control plane lacks, as threads of the supervisor: volumes, addresses, nested control planes."""

from __future__ import annotations

import logging
import threading
from typing import Any

from devhost import layout
from devhost.node import settings
from devhost.programs import Programs
from devhost.state import Host


def objects(host: Host) -> list[dict[str, Any]]:
    """Objects to apply before kwok starts."""
    from devhost.actors import volumes
    from devhost.nested import kubelet, real

    definitions = [kubelet.forwards_definition()] if host.wish.nested == "own" else []
    policies = real.readiness_policy() if _runs_real_engines(host) else []
    return [volumes.storage_class(), *definitions, *policies]


def kwok_documents(host: Host) -> list[dict[str, Any]]:
    """Documents for kwok's configuration."""
    from devhost.nested import kubelet, run

    if host.wish.nested == "shared":
        return [kubelet.forward_all(run.shared_port(host))]
    return [run.ready_by_itself()] if host.wish.nested == "none" else []


def kwok_flags(host: Host) -> list[str]:
    """Flags for kwok."""
    forwards = ["--enable-crds=ClusterPortForward"] if host.wish.nested == "own" else []
    return forwards + (settings.kwok_flags() if host.wish.node else [])


def settled(host: Host) -> bool:
    """Tell whether what objects() asked for is in force, so that engines may be made; asked once pods can be scheduled."""
    from devhost.nested import real, run

    if not _runs_real_engines(host):
        return True
    with run.client(host) as client:
        return real.policy_in_force(client)


def run(host: Host, programs: Programs, stop: threading.Event) -> None:
    """Start every actor; return when `stop` is set."""
    from devhost.actors import addresses, volumes
    from devhost.nested import run as nested

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(threadName)s: %(message)s")
    client = nested.client(host)
    volumes.start(client, layout.claims(host.folder), stop, mounted=bool(host.wish.node))
    addresses.start(client, stop)
    if host.wish.nested != "none":
        nested.start(host, programs, client, stop)
    stop.wait()


def _runs_real_engines(host: Host) -> bool:
    from devhost.nested import real

    return host.wish.nested == "own" and real.binary() is not None
