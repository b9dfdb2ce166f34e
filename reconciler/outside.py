"""Tries the address of a cluster as somebody outside would: its name, a connection, and the certificate that is served there.

Names come from documents and lead anywhere, so only a handshake is made, nothing is sent or read besides, and addresses of the
machine itself and of its link are none.
"""

import socket
import ssl
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future

from reconciler.errors import one_line
from reconciler.model import Exposure, Tried, networks

SECONDS = 5.0  # for a look-up, for a connection, and for a handshake
MOST = 4  # addresses of one name
HANGING = 8  # look-ups of one source that nobody waits for any more
_MISMATCH = 62  # X509_V_ERR_HOSTNAME_MISMATCH
_IP_MISMATCH = 64


def public(address: str) -> bool:
    """Whether an address can be one of somebody outside, also inside an address that wraps it."""
    return not any(
        one.is_loopback or one.is_link_local or one.is_multicast or one.is_unspecified
        for one in networks.all_of(address)
    )


def resolved(host: str, port: int) -> list[str]:
    """The addresses of a name, by the system's resolver. Raises OSError or UnicodeError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(place[0]).partition("%")[0] for *_, place in found))


class Lookups:
    """Looks names up, each in a thread of its own, since the system's resolver knows no deadline: nobody waits longer than `seconds`.
    A name whose look-up hangs is not looked up once more, and no more than HANGING of one source hang. Thread-safe."""

    def __init__(self, resolve: Callable[[str, int], list[str]] = resolved, seconds: float = SECONDS) -> None:
        self._resolve, self._seconds = resolve, seconds
        self._lock = threading.Lock()
        self._under_way: dict[tuple[str, str, int], Future[list[str]]] = {}

    def addresses(self, source: str, host: str, port: int) -> list[str]:
        """The addresses of a name that a source's document has. Raises TimeoutError where there is no answer in time, and what `resolve`
        raises."""
        asked = (source, host, port)
        with self._lock:
            answer = self._under_way.get(asked)
            if answer is None:
                if sum(one == source for one, *_ in self._under_way) >= HANGING:
                    raise TimeoutError("too many look-ups of this source have no answer")
                answer = Future()
                threading.Thread(target=self._run, args=(asked, answer), name="lookup", daemon=True).start()
                self._under_way[asked] = answer
        try:
            return answer.result(self._seconds)
        except TimeoutError:
            raise TimeoutError(f"no answer within {self._seconds:.0f} s") from None

    def _run(self, asked: tuple[str, str, int], answer: "Future[list[str]]") -> None:
        try:
            found, error = self._resolve(*asked[1:]), None
        except BaseException as raised:
            found, error = [], raised
        with self._lock:
            self._under_way.pop(asked, None)
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(found)


def attempt(one: Exposure, source: str, lookups: Lookups, allowed: Callable[[str], bool] = public) -> Tried:
    """Try it once. Whatever fails is in the answer. `source`: whose document the name stands in."""
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=one.ca)
        found = lookups.addresses(source, one.host, one.port)[:MOST]
    except (OSError, ValueError) as error:  # UnicodeError of a name, ssl.SSLError of a CA too
        return Tried(one, "NameUnresolved", _said(error))
    usable = [address for address in found if allowed(address)]
    if not usable:
        return Tried(one, "NameUnresolved", f"it leads to {', '.join(found)[:200]}, which nobody outside reaches")
    return _first(one, usable, context)


def _said(error: Exception) -> str:
    """In the system's words, without its number."""
    return one_line(str(getattr(error, "strerror", None) or error), 200)


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
