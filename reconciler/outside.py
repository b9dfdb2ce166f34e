"""Tries the address of a cluster as somebody outside would: its name, a connection, and the certificate that is served there.

Names come from documents and lead anywhere, so only a handshake is made, nothing is sent or read besides, and addresses of the
machine itself and of its link are none.
"""

import socket
import ssl
from collections.abc import Callable, Iterable

from reconciler.errors import one_line
from reconciler.model import Exposure, Tried, networks

SECONDS = 5.0  # for a connection, and for a handshake
MOST = 4  # addresses of one name
_MISMATCH = 62  # X509_V_ERR_HOSTNAME_MISMATCH
_IP_MISMATCH = 64


def public(address: str) -> bool:
    """Whether an address can be one of somebody outside, also inside an address that wraps it."""
    return not any(
        one.is_loopback or one.is_link_local or one.is_multicast or one.is_unspecified
        for one in networks.all_of(address)
    )


def attempt(one: Exposure, allowed: Callable[[str], bool] = public) -> Tried:
    """Try it once. Whatever fails is in the answer."""
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=one.ca)
        found = list(dict.fromkeys(_addresses(one)))[:MOST]
    except (OSError, ValueError) as error:  # UnicodeError of a name, ssl.SSLError of a CA too
        return Tried(one, "NameUnresolved", _said(error))
    usable = [address for address in found if allowed(address)]
    if not usable:
        return Tried(one, "NameUnresolved", f"it leads to {', '.join(found)[:200]}, which nobody outside reaches")
    return _first(one, usable, context)


def _said(error: Exception) -> str:
    """In the system's words, without its number."""
    return one_line(str(getattr(error, "strerror", None) or error), 200)


def _addresses(one: Exposure) -> Iterable[str]:
    for *_, place in socket.getaddrinfo(one.host, one.port, type=socket.SOCK_STREAM):
        yield str(place[0]).partition("%")[0]


def _first(one: Exposure, addresses: Iterable[str], context: ssl.SSLContext) -> Tried:
    """The answer of the first address that takes a connection."""
    told = ""
    for address in addresses:
        try:
            connection = socket.create_connection((address, one.port), timeout=SECONDS)
        except OSError as error:
            told = f"{address}: {_said(error)}"
            continue
        with connection:
            return _shaken(one, address, connection, context)
    return Tried(one, "NotReached", told)


def _shaken(one: Exposure, address: str, connection: socket.socket, context: ssl.SSLContext) -> Tried:
    try:
        with context.wrap_socket(connection, server_hostname=one.host):
            return Tried(one, "", address)
    except ssl.SSLCertVerificationError as error:
        names = error.verify_code in (_MISMATCH, _IP_MISMATCH)
        return Tried(one, "NameNotInCertificate" if names else "ForeignCertificate", address)
    except (OSError, ValueError) as error:
        return Tried(one, "NotTls", f"{address}: {_said(error)}")
