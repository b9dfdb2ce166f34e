"""The one HTTP client of content: every request has a deadline, every answer a limit, every redirect is judged (K1, K3, M17)."""

import contextlib
import socket
import time
from collections.abc import Callable, Mapping
from http.client import HTTPException
from urllib.parse import urlsplit

from msgspec import Struct
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, NameResolutionError, NewConnectionError

from reconciler.deadline import Deadline, broken
from reconciler.errors import NidusError, Stalled, Unavailable
from reconciler.model import ContentAllow
from reconciler.packs.content import access
from reconciler.packs.content.access import Way, refused
from reconciler.spec import addresses

CONNECT = 10.0  # seconds
IDLE = 30.0  # seconds without a byte
WHOLE = 300.0  # seconds of one request and its answer
REDIRECTS = 3
CHUNK = 1 << 16
LONGEST = 3600.0  # seconds a server may ask us to wait
AGENT = "nidus"
_ADDRESSES = 3  # of one name, one after the other
_REDIRECT = frozenset({301, 302, 303, 307, 308})

Put = Callable[[bytes], None]


class Timeouts(Struct, frozen=True):
    """Seconds: to connect, without a byte, and of one request in all."""

    connect: float = CONNECT
    idle: float = IDLE
    whole: float = WHOLE


USUAL = Timeouts()


class Answer(Struct, frozen=True):
    """The status, and the headers by their names in small letters."""

    status: int
    headers: Mapping[str, str]


class Asked(Struct, frozen=True):
    """One question. `fixed`: the digest of the answer is known, so it may be led to another host; `most` bytes are taken.
    `takes`: statuses that are answers here, besides 200. `secret`: headers for the place's own host alone."""

    address: str
    place: ContentAllow
    most: int
    fixed: bool = False
    headers: Mapping[str, str] = {}
    takes: frozenset[int] = frozenset()
    secret: Mapping[str, str] = {}


class Client:
    """One connection a request. Thread-safe: it holds nothing."""

    def __init__(self, timeouts: Timeouts = USUAL) -> None:
        self._timeouts = timeouts

    def ask(self, asked: Asked, put: Callable[[Answer], Put]) -> Answer:
        """Sends the question, follows what may be followed, and gives each piece of the body to what `put` makes of the answer.

        Raises Stalled(ContentRefused) where a human has to act, Unavailable(ContentUnreachable) otherwise. Messages name the address
        that somebody wrote, and of others the host only: they may hold tokens.
        """
        way = access.first(asked.address, asked.place)
        return self._led(asked, way, put)

    def follow(self, asked: Asked, put: Callable[[Answer], Put]) -> Answer:
        """As `ask`, of an address that an answer of the place named."""
        return self._led(asked, access.led(asked.address, asked.place, fixed=asked.fixed), put)

    def _led(self, asked: Asked, way: Way, put: Callable[[Answer], Put]) -> Answer:
        ends = time.monotonic() + self._timeouts.whole
        for _ in range(REDIRECTS + 1):
            answer = self._once(asked, way, put, ends - time.monotonic())
            if answer.status not in _REDIRECT:
                return answer
            target = access.joined(way.address, answer.headers.get("location", ""))
            way = access.led(target, asked.place, fixed=asked.fixed)
        raise refused(f"{asked.address}: more than {REDIRECTS} redirects")

    def _once(self, asked: Asked, way: Way, put: Callable[[Answer], Put], seconds: float) -> Answer:
        connection = _connection(way, self._timeouts)
        with _Request(connection, max(0.001, seconds), asked.address) as request:
            connection.connect()
            request.sock = connection.sock
            if request.sock is not None:
                request.sock.settimeout(self._timeouts.idle)
            parts = urlsplit(way.address)
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            sent = {"User-Agent": AGENT, "Accept": "*/*", "Accept-Encoding": "identity", **asked.headers}
            secret = {**way.headers, **asked.secret} if way.home else {}
            connection.request("GET", target, headers=sent | secret, preload_content=False)
            with contextlib.closing(
                connection.getresponse()
            ) as response:  # or its socket stays open as long as somebody holds it
                answer = Answer(response.status, {name.lower(): value for name, value in response.headers.items()})
                if answer.status == 200 or answer.status in asked.takes:
                    _body(response, asked, put(answer))
                elif answer.status not in _REDIRECT:
                    raise failure(asked.address, answer)
        return answer


def _body(response: object, asked: Asked, put: Put) -> None:
    """Gives the body on, no more than was said and allowed. What was declared is refused before it is read."""
    left = asked.most
    length = response.headers.get("content-length", "")  # type: ignore[attr-defined]
    if length.isdigit() and int(length) > left:
        raise _large(asked)
    while chunk := response.read(CHUNK, decode_content=False):  # type: ignore[attr-defined]
        left -= len(chunk)
        if left < 0:
            raise _large(asked)
        put(chunk)


def _large(asked: Asked) -> Stalled:
    return refused(f"{asked.address}: larger than {asked.most >> 20} MiB")


def failure(address: str, answer: Answer) -> NidusError:
    """What an answer that is no success means."""
    status = answer.status
    if status in (401, 403):
        return refused(f"{address}: refused ({status})", "the credentials of spec.content.allow[] for it")
    if status in (404, 410):
        return refused(f"{address}: there is no such thing ({status})", "the address, the name and the version")
    if status in (408, 425, 429) or status >= 500:
        told = answer.headers.get("retry-after", "")
        after = min(LONGEST, float(told)) if told.isascii() and told.isdigit() and len(told) < 9 else None
        return Unavailable(f"{address}: the server fails ({status})", reason="ContentUnreachable", after=after)
    return refused(f"{address}: an answer that is not expected ({status})")


def _connection(way: Way, timeouts: Timeouts) -> HTTPConnection:
    parts = urlsplit(way.address)
    name, _, port = addresses.host(way.address).rpartition(":")
    if way.context is None:
        return HTTPConnection(name, int(port), timeout=timeouts.connect)
    if way.proxy is not None:
        led = HTTPSConnection(way.proxy.host, way.proxy.port, timeout=timeouts.connect, ssl_context=way.context)
        led.set_tunnel(parts.hostname or name, int(port), headers=way.proxy.headers)
        return led
    kind = HTTPSConnection if way.anywhere else _Public
    return kind(parts.hostname or name, int(port), timeout=timeouts.connect, ssl_context=way.context)


class _Public(HTTPSConnection):
    """Speaks to public addresses only. All addresses of the name are judged before one is connected to, and that very one is connected
    to: a name may mean another address every time it is asked for, and what is inside the network must not be told apart."""

    def _new_conn(self) -> socket.socket:
        try:
            found = socket.getaddrinfo(self._dns_host, self.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise NameResolutionError(self.host, self, socket.gaierror(str(error))) from None
        places = [str(one[4][0]) for one in found]
        if not all(map(access.public, places)):
            raise refused(f"{self.host} is an address inside a network", "name the host in content.allow[].via")
        for place in places[:_ADDRESSES]:
            with contextlib.suppress(OSError):
                return socket.create_connection((place, self.port), self.timeout)
        raise NewConnectionError(self, "no address of it answers")


class _Request(Deadline):
    """What fails becomes one sentence, without a word of the answer."""

    def __init__(self, connection: HTTPConnection, seconds: float, address: str) -> None:
        super().__init__(connection, seconds)
        self._address = address

    def __enter__(self) -> "_Request":
        self.begin()
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.end()
        if self.late:
            raise self._unreachable(f"no whole answer within {self.seconds:.0f} s") from None
        if isinstance(error, HTTPError | HTTPException | OSError | ValueError):
            raise self._unreachable(broken(error)) from None

    def _unreachable(self, why: str) -> Unavailable:
        return Unavailable(f"{self._address}: {why}", reason="ContentUnreachable")
