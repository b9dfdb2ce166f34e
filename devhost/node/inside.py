"""What process 1 of a node does to its namespaces: mounts, settings of the kernel, network. Standard library alone.

The machine keeps its own: all of its disk but the host's folder is read-only here, places where programs write are empty file
systems in memory, and /proc/sys is read-only but for the network's settings, which each network namespace has for itself.
"""

import os
import subprocess
from pathlib import Path

from devhost.node import place, spaces

EMPTY = ("/run", "/var/lib", "/var/log")

EXPECTED = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}
"""What a kubelet wants of the machine's kernel (k8s.io/component-helpers, node/util/sysctl). It would set or refuse; here it reads
these values, from files that lie over the real ones."""

LINKS = f"""\
link set lo up
link add node0 type veth peer name node1
link set node1 up
addr add {place.ADDRESS}/24 dev node0
link set node0 up
route add {place.SERVICE_CIDR} dev node0 src {place.ADDRESS}
route add local {place.ENGINE_CIDR} dev lo
"""
"""The node's address needs a link other than lo. There is no way out of this network: one route is to Services, whose packets
kube-proxy turns around before they leave, the other takes the addresses of engines for the node's own, where connect.py listens."""


def arrange(host: Path, data: Path) -> None:
    """Make new mount and network namespaces a node's. Raises OSError, CalledProcessError."""
    _disk(host, data)
    _settings()
    # pods may ask that later mounts of the node appear in them; shared by this namespace alone
    spaces.mount("", "/", flags=spaces.REC | spaces.SHARED)
    subprocess.run(["ip", "-batch", "-"], input=LINKS, text=True, check=True)
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")


def _disk(host: Path, data: Path) -> None:
    spaces.mount("", "/", flags=spaces.REC | spaces.PRIVATE)
    kept = os.open(host, os.O_PATH | os.O_DIRECTORY)
    for one in filter(os.path.isdir, EMPTY):
        spaces.mount("tmpfs", one, "tmpfs", options="mode=755")
    host.mkdir(parents=True, exist_ok=True)
    spaces.mount(f"/proc/self/fd/{kept}", host, flags=spaces.BIND)
    os.close(kept)
    Path(place.VOLUMES).mkdir(parents=True)
    spaces.mount(data, place.VOLUMES, flags=spaces.BIND)
    spaces.mount("", "/", flags=spaces.REMOUNT | spaces.BIND | spaces.RDONLY)


def _settings() -> None:
    spaces.mount("proc", "/proc", "proc")
    for path in ("/proc/sys", "/proc/sys/net"):
        spaces.mount(path, path, flags=spaces.BIND)
    spaces.mount("", "/proc/sys", flags=spaces.REMOUNT | spaces.BIND | spaces.RDONLY)
    fakes = Path("/run/nidus-settings")
    fakes.mkdir()
    for name, value in EXPECTED.items():
        fake, real = fakes / name.replace("/", "."), Path("/proc/sys") / name
        fake.write_text(f"{value}\n")
        if real.exists():
            spaces.mount(fake, real, flags=spaces.BIND)
