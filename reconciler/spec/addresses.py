"""Addresses of content from elsewhere: which the operator allows (K1). The same rule for authors and for what is asked."""

import re
from collections.abc import Iterable
from ipaddress import ip_address
from urllib.parse import urlsplit

from reconciler.model import ContentAllow
from reconciler.patterns import lazy

PORTS = {"https": 443, "http": 80}
_PLAIN = lazy(r"(https?|oci)://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[A-Za-z0-9._~+@=,-]+)*/?", re.ASCII)


def plain(address: str) -> bool:
    """Whether it has one reading only: a host, and folders that lead nowhere else."""
    try:
        return bool(_PLAIN.fullmatch(address) and host(address)) and not {".", ".."} & set(address.split("/"))
    except ValueError:  # no port has this number
        return False


def allowed(address: str, places: Iterable[ContentAllow]) -> ContentAllow | None:
    """The place with the longest prefix that covers the address, whole folders at a time; None where none does."""
    if not plain(address):
        return None
    found = [one for one in places if _folder(address).startswith(_folder(one.prefix))]
    return max(found, key=lambda one: len(one.prefix), default=None)


def origin(address: str) -> str:
    """Scheme, host and port, in small letters; the port is always told. Raises ValueError for a port that is none."""
    parts = urlsplit(address)
    return f"{parts.scheme.lower()}://{host(address)}"


def host(address: str) -> str:
    """Host and port; 443 of https and 80 of http are told as well. Raises ValueError for a port that is none."""
    parts = urlsplit(address)
    port = parts.port or PORTS.get(parts.scheme.lower(), 443)
    return f"{(parts.hostname or '').lower()}:{port}"


def local(name: str) -> bool:
    """Whether a host is this machine."""
    try:
        return name == "localhost" or ip_address(name).is_loopback
    except ValueError:
        return False


def _folder(address: str) -> str:
    scheme, _, rest = address.partition("://")
    name, _, path = rest.partition("/")
    return f"{scheme}://{name.lower()}/{path}".rstrip("/") + "/"
