"""Makes the store of a nested control plane that does not run, with keys in it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from devhost import components, layout
from devhost.errors import HostError
from devhost.nested.contract import Engine, new_keys
from devhost.nested.keys import Pair, Store
from devhost.nested.plane import STORE, write_pki
from devhost.pins import ETCD
from devhost.ports import free_ports
from devhost.programs import Program, Programs
from devhost.state import Host

SECONDS: Final = 60.0
"""How long it may take to answer."""


def fill(host: Host, programs: Programs, storage: Path, pairs: Sequence[Pair]) -> None:
    """Start the store in `storage`, in which none is, put the keys, and end it. Raises HostError."""
    title = f"nested/filling/{storage.name}"
    pki, chosen = host.folder / title / "pki", free_ports((STORE, "etcd-peer"))
    write_pki(pki, new_keys(Engine("filling", storage.name)), ((), (components.LOOPBACK,)), 0)
    argv = components.etcd(
        host.tools[STORE],
        data=storage / STORE,
        certificate=pki / "serving.crt",
        key=pki / "serving.key",
        ca=pki / "ca.crt",
        client=chosen[STORE],
        peer=chosen["etcd-peer"],
    )
    name = f"{title}/{STORE}"
    url = f"https://{components.LOOPBACK}:{chosen[STORE]}"
    programs.start(Program(name, tuple(argv), layout.log(host.folder, name), url, ETCD))
    store = Store(chosen[STORE], pki)
    try:
        _await(store)
        store.write(pairs)
    finally:
        store.close()
        programs.stop(name)


def _await(store: Store) -> None:
    end_at = time.monotonic() + SECONDS
    while not store.ready():
        if time.monotonic() > end_at:
            raise HostError(f"the store was not ready within {SECONDS:.0f} s")
        time.sleep(0.05)
