"""Whom the dashboard answers: requests for its own names, and forms that came from its own pages (U8)."""

import ipaddress
from collections.abc import Callable, Collection
from typing import Final
from urllib.parse import urlsplit

from flask import Request
from msgspec import Struct
from werkzeug.datastructures import Headers

from reconciler.model import UserInfo

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
        "frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # no-referrer would take the Origin off forms, by which ours are told from others
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
REPEATED: Final = "webhook.repeated"  # where the listener says which headers came more than once
PORTS: Final = {"https": 443, "http": 80}


class Proxy(Struct, frozen=True):
    """Who signs people in before us: the addresses it comes from, and the headers in which it says who somebody is."""

    addresses: tuple[str, ...] = ()
    user: str = "X-Forwarded-User"
    groups: str = "X-Forwarded-Groups"

    def keys(self) -> frozenset[str]:
        """Its headers as the environment of a request names them."""
        return frozenset(f"HTTP_{one.upper().replace('-', '_')}" for one in (self.user, self.groups))

    def came(self, address: str) -> bool:
        """Whether a request is from the proxy. `address` is that of the other end of the connection."""
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        found = getattr(found, "ipv4_mapped", None) or found
        return any(found in ipaddress.ip_network(one) for one in self.addresses)


class Access(Struct, frozen=True):
    """How people sign in (`auth`: none, kubernetes or proxy), and what the API server says of them. `holder`: whose token one is, of
    somebody who signed in with it; `enter`: the same for somebody who signs in with it now, from an address. `may`: whether somebody
    may do a verb to a cluster, "" for all. `seen`: which objects of a kind (plural) somebody may get. `key`: what cookies are sealed
    with, the same in all replicas. Each may raise NidusError where nobody answered."""

    auth: str = "none"
    holder: Callable[[str], UserInfo | None] = lambda token: None
    may: Callable[[UserInfo, str, str], bool] = lambda who, verb, cluster: False
    seen: Callable[[UserInfo, Collection[str], str], frozenset[str]] = lambda who, names, kind: frozenset(names)
    key: Callable[[], bytes] = bytes
    proxy: Proxy = Proxy()
    enter: Callable[[str, str], UserInfo | None] = lambda token, address: None


class Door(Struct, frozen=True):
    """`trusted` says of a Host header whether it names this listener: else a page of somebody else could read this one by a name of
    its own that points here (DNS rebinding). `url` is where people reach it through a server in front, "" where there is none."""

    trusted: Callable[[str], bool]
    url: str = ""
    access: Access = Access()

    def origin(self, host: str) -> str:
        """Scheme and host of a page that is asked for by this Host header, "" where that is not ours. The server in front ends TLS, so
        the name says the scheme."""
        parts = urlsplit(self.url)
        if self.url and host.lower() in (parts.netloc, f"{parts.netloc}:{PORTS.get(parts.scheme)}"):
            return f"{parts.scheme}://{parts.netloc}"
        return f"http://{host.lower()}" if self.trusted(host) else ""


def refusal(door: Door, asked: Request) -> tuple[str, int] | None:
    """Why a request is refused by its head alone, None where there is no objection."""
    origin = door.origin(asked.headers.get("Host", ""))
    if not origin:
        return "The dashboard answers to its own names only; others are listed in spec.server.hosts.\n", 421
    if door.access.auth == "proxy" and not door.access.proxy.came(asked.remote_addr or ""):
        return "The dashboard answers to its proxy only; its addresses stand in spec.server.dashboard.proxy.\n", 403
    if door.access.auth == "proxy" and door.access.proxy.keys() & asked.environ.get(REPEATED, frozenset()):
        return "A header that says who somebody is came twice; the proxy must remove it from what browsers send.\n", 400
    if asked.method == "POST" and not _from_us(asked.headers, origin):
        return "This form did not come from a page of the dashboard. Open the page again.\n", 403
    return None


def _from_us(headers: Headers, origin: str) -> bool:
    """Whether a form was sent by a page of ours: browsers say so, and no page can make them say something else."""
    return headers.get("Origin", "").lower() == origin and headers.get("Sec-Fetch-Site", "same-origin") == "same-origin"
