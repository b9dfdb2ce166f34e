"""Gives every LoadBalancer Service an address of 192.0.2.0/24 or, once that is used up, 198.51.100.0/24 (documentation
ranges: nothing ever contacts them)."""

from __future__ import annotations

import ipaddress
import threading
from collections.abc import Iterable, Iterator
from typing import Final

from devhost.api import Client, Object
from devhost.errors import HostError
from devhost.following import Reflector, Workers, key_of

RANGES: Final = (ipaddress.ip_network("192.0.2.0/24"), ipaddress.ip_network("198.51.100.0/24"))


def start(client: Client, stop: threading.Event) -> None:
    """Follow Services."""
    workers: Workers[tuple[str, str]] = Workers(
        "address", lambda key: _service(client, key, services.items), stop
    ).start()
    services = Reflector(client, "v1", "Service", lambda _, item: workers.add(key_of(item)), stop)
    services.start()


def _service(client: Client, key: tuple[str, str], services: dict[tuple[str, str], Object]) -> None:
    service = services.get(key)
    if service is None or service["metadata"].get("deletionTimestamp"):
        return
    wanted, given = service["spec"].get("type") == "LoadBalancer", list(_addresses([service]))
    if wanted == bool(given):
        return
    address = free_address(_addresses(services.values())) if wanted else ""
    status = {"loadBalancer": {"ingress": [{"ip": address, "ipMode": "VIP"}] if wanted else None}}
    # The answer goes into the copy at once: the next Service must not be given the same address.
    services[key] = client.patch("v1", "Service", key[1], key[0], {"status": status}, subresource="status")


def free_address(used: Iterable[str]) -> str:
    """Return the lowest address not in `used`."""
    taken = set(used)
    for network in RANGES:
        for address in network.hosts():
            if str(address) not in taken:
                return str(address)
    raise HostError("more LoadBalancer Services than the host has addresses for")


def _addresses(services: Iterable[Object]) -> Iterator[str]:
    for service in list(services):
        for entry in service.get("status", {}).get("loadBalancer", {}).get("ingress") or ():
            yield entry.get("ip", "")
