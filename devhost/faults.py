"""Injects faults into a running host, from any process.

Process names are those of `nidus host status`: etcd, kube-apiserver, ..., nested/NAMESPACE/NAME/kube-apiserver.
Tiny in-flight limits are a way to start a host: `lifecycle.up(folder, extra_flags=TINY_LIMITS)`.
"""

from __future__ import annotations

import base64
import json
import shutil
import signal
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import urllib3

from devhost import components, control, layout
from devhost.api import Access, Client
from devhost.errors import HostError
from devhost.ports import free_port
from devhost.programs import Program
from devhost.state import Host

STORE: Final = "etcd"
SERVER: Final = "kube-apiserver"
SECOND: Final = "kube-apiserver-2"
FOLLOWERS: Final = ("kube-controller-manager", "kube-scheduler", "kwok")
"""What follows the host by watches and does not survive that its revisions go back, as etcd's manual of a restore says."""
READY_SECONDS: Final = 60.0
TINY_LIMITS: Final = {SERVER: ("--max-requests-inflight=2", "--max-mutating-requests-inflight=1")}


def kill(host: Host, name: str) -> None:
    """End a process by SIGKILL; it stays down until restart()."""
    control.call(host.folder, {"verb": "signal", "name": name, "signal": signal.SIGKILL})


def stop(host: Host, name: str) -> None:
    """End a process in order; it stays down until restart()."""
    control.call(host.folder, {"verb": "signal", "name": name, "signal": signal.SIGTERM})
    _until(f"{name} to end", lambda: pid(host, name) is None)


def pid(host: Host, name: str) -> int | None:
    """Return the pid of a process, None when it does not run."""
    found = control.call(host.folder, {"verb": "pid", "name": name})["pid"]
    return None if found is None else int(found)


def restart(host: Host, name: str) -> None:
    """End the process if it runs, and start it with the same command line."""
    control.call(host.folder, {"verb": "restart", "name": name})
    if name == SERVER:
        await_server(host)


@contextmanager
def paused(host: Host, name: str) -> Iterator[None]:
    """Stop the process in its tracks (SIGSTOP: connections stay open, nothing is answered) and let it go on.

    One that ends because the API server is not healthy yet, as a controller does on a busy machine, is waited for.
    """
    _until(f"{name} to run", lambda: pid(host, name) is not None)
    control.call(host.folder, {"verb": "signal", "name": name, "signal": signal.SIGSTOP})
    try:
        yield
    finally:
        control.call(host.folder, {"verb": "signal", "name": name, "signal": signal.SIGCONT})


def wipe(host: Host) -> None:
    """Lose the storage: the API server comes back empty, under the same address and keys. Nested storage stays."""
    _with_storage_down(host, lambda data: shutil.rmtree(data, ignore_errors=True))


def snapshot(host: Host, to: Path) -> Path:
    """Copy the storage to the new folder `to`, between a stop and a start of the storage; return `to`."""
    _with_storage_down(host, lambda data: shutil.copytree(data, to))
    return to


def restore(host: Host, source: Path) -> None:
    """Put a snapshot() in the place of the storage: the host is back in the past, nested clusters are not.

    Kubernetes' own controllers are started again afterwards: they do not notice by themselves.
    """

    def replace(data: Path) -> None:
        shutil.rmtree(data, ignore_errors=True)
        shutil.copytree(source, data)

    _with_storage_down(host, replace)
    for name in FOLLOWERS:
        if pid(host, name) is not None:
            restart(host, name)


def compact(host: Host) -> int:
    """Forget every past revision, so that watches and continued lists from before end with 410; return the revision."""
    revision = int(_etcd(host, "kv/range", {"key": base64.b64encode(b"\0").decode()})["header"]["revision"])
    _etcd(host, "kv/compaction", {"revision": revision, "physical": True})
    return revision


@contextmanager
def second_server(host: Host) -> Iterator[Access]:
    """Run another API server on the same storage; yield how the administrator reaches it."""
    port, first = free_port(), Access(host.server, host.pki / "ca.crt", host.pki / "admin.crt", host.pki / "admin.key")
    store = components.storage(
        server=f"https://127.0.0.1:{host.ports[STORE]}",
        certificate=host.pki / "etcd.crt",
        key=host.pki / "etcd.key",
        ca=host.pki / "etcd-ca.crt",
    )
    argv = components.apiserver(host.tools[SERVER], pki=host.pki, port=port, store=store)
    address = f"https://127.0.0.1:{port}"
    program = Program(SECOND, tuple(argv), layout.log(host.folder, SECOND), address, host.kubernetes)
    fields = {"name": program.name, "argv": program.argv, "log": program.log, "address": address}
    control.call(host.folder, {"verb": "start", "program": fields | {"version": program.version}})
    try:
        access = Access(address, first.ca, first.certificate, first.key)
        _await(access)
        yield access
    finally:
        control.call(host.folder, {"verb": "stop", "name": SECOND})


def await_server(host: Host) -> None:
    """Return once the API server is ready again. Raises HostError after READY_SECONDS."""
    _await(Access(host.server, host.pki / "ca.crt", host.pki / "admin.crt", host.pki / "admin.key"))


def _await(access: Access) -> None:
    client = Client(access, connections=1)
    try:
        _until(f"{access.server} to be ready", client.ready)
    finally:
        client.close()


def _until(what: str, is_true: Callable[[], bool]) -> None:
    end = time.monotonic() + READY_SECONDS
    while not is_true():
        if time.monotonic() > end:
            raise HostError(f"waited {READY_SECONDS:.0f} s in vain for {what}")
        time.sleep(0.05)


def _with_storage_down(host: Host, act: Callable[[Path], object]) -> None:
    kill(host, SERVER)  # it keeps nothing, and in order it would wait a minute for open watches
    stop(host, STORE)
    act(host.folder / STORE)
    control.call(host.folder, {"verb": "restart", "name": STORE})
    restart(host, SERVER)


def _etcd(host: Host, path: str, body: dict[str, Any]) -> dict[str, Any]:
    context = ssl.create_default_context(cafile=str(host.pki / "etcd-ca.crt"))
    context.load_cert_chain(host.pki / "etcd.crt", host.pki / "etcd.key")
    with urllib3.PoolManager(ssl_context=context, retries=False, timeout=10) as pool:
        url = f"https://127.0.0.1:{host.ports[STORE]}/v3/{path}"
        try:
            answer = pool.request("POST", url, body=json.dumps(body).encode())
        except urllib3.exceptions.HTTPError as error:
            raise HostError(f"etcd does not answer: {type(error).__name__}") from error
    if answer.status != 200:
        raise HostError(f"etcd refused {path}: {answer.data.decode(errors='replace')[:200]}")
    decoded = json.loads(answer.data)
    return decoded if isinstance(decoded, dict) else {}
