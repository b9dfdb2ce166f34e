"""What may be asked, of whom, and with which credentials (K1)."""

import base64
import ssl
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

from msgspec import Struct

from reconciler.errors import Stalled
from reconciler.model import ContentAllow, networks
from reconciler.spec import addresses


def refused(message: str, hint: str = "") -> Stalled:
    """What a human has to change."""
    return Stalled(message, reason="ContentRefused", hint=hint)


class Proxy(Struct, frozen=True):
    """A proxy that makes tunnels (RFC 9110, 9.3.6), and what it may see."""

    host: str
    port: int
    headers: dict[str, str]

    def __repr__(self) -> str:
        return f"Proxy({self.host}:{self.port})"


class Way(Struct, frozen=True):
    """How one address is asked: `anywhere` = its host may have any address, else a public one only; `home` = it is the place's own
    host, which may see what is for it; `proxy` = through it, which finds the address of the host itself."""

    address: str
    anywhere: bool
    headers: dict[str, str]
    context: ssl.SSLContext | None
    home: bool = False
    proxy: Proxy | None = None


class Access(Struct, frozen=True):
    """The operator's rules; `allow` None = nobody's: every public address may be asked, by https."""

    allow: tuple[ContentAllow, ...] | None = None

    def place(self, address: str) -> ContentAllow:
        """What is said of an address that somebody wrote. Raises Stalled(ContentRefused)."""
        if not addresses.plain(address):
            raise refused(f"{address}: not an address of content")
        if self.allow is None:
            return ContentAllow(prefix="")
        found = addresses.allowed(address, self.allow)
        if found is None:
            raise refused(f"content may not come from {address}", "the controller's spec.content.allow")
        return found


def first(address: str, place: ContentAllow) -> Way:
    """The way to an address of `place` itself. Raises Stalled(ContentRefused)."""
    host = addresses.host(address).rpartition(":")[0]
    if not address.startswith("https://") and not (place.plain_http and addresses.local(host)):
        raise refused(f"{address}: content comes by https only", "plainHTTP is for addresses of this machine")
    context = None if address.startswith("http://") else _trusting(place.ca_file)
    return Way(address, bool(place.prefix), _basic(place), context, True, _proxy(place) if context else None)


def led(address: str, place: ContentAllow, *, fixed: bool) -> Way:
    """The way to where a redirect, an index or a challenge of `place` leads. `fixed`: the digest of what is there is known.

    On another host: by https, without credentials, to a host that `via` names, or to a public address where the digest is known.
    Raises Stalled(ContentRefused).
    """
    if address.startswith("oci://") and addresses.plain(address.rpartition(":")[0]):
        raise refused(
            f"the chart lies in a registry, at {address}", "write chart: {oci: oci://HOST/PATH, version: VERSION}"
        )
    try:
        there = addresses.origin(address)
    except ValueError:
        raise refused("an answer leads to what is no address") from None
    if there == home(place):
        folder = address.partition("?")[0]
        below = addresses.allowed(folder, (place,)) is not None or place.prefix.startswith("oci://")
        way = first(address, place)
        return way if below else Way(address, way.anywhere, {}, way.context, proxy=way.proxy)
    if not address.startswith("https://"):
        raise refused(f"an answer leads to {there}, and another host is asked by https only")
    via = named(address, place)
    if not via and not fixed:
        hint = "write the digest, or name the host in content.allow[].via"
        raise refused(f"an answer leads to another host, {addresses.host(address)}, for content without a digest", hint)
    if place.proxy_file and not via:
        what = f"an answer leads to another host, {addresses.host(address)}, whose address a proxy would find unseen"
        raise refused(what, "name the host in content.allow[].via")
    return Way(address, via, {}, _trusting(place.ca_file if via else "", besides=True), proxy=_proxy(place))


def joined(address: str, reference: str) -> str:
    """Where an answer of `address` leads (RFC 3986, 5.2). Raises Stalled(ContentRefused) for what is no address."""
    try:
        return urljoin(address, reference)
    except ValueError:
        raise refused("an answer leads to what is no address") from None


def named(address: str, place: ContentAllow) -> bool:
    """Whether `via` of a place names the host of an address. Raises ValueError for a port that is none."""
    return addresses.host(address) in {addresses.host(f"https://{one}") for one in place.via}


def home(place: ContentAllow) -> str:
    """The origin of the place itself, "" of nobody's."""
    scheme = "http" if place.plain_http else "https"
    return addresses.origin(f"{scheme}://{place.prefix.partition('://')[2]}") if place.prefix else ""


def public(peer: str) -> bool:
    """Whether an address that was connected to is one of the public network, also inside an address that wraps it."""
    return all(one.is_global and not one.is_multicast and not networks.private(one) for one in networks.all_of(peer))


def credentials(place: ContentAllow) -> tuple[str, str]:
    """User name and password, ("", "") where there are none. Raises Stalled(ContentRefused) for a file that cannot be read."""
    return _secret(place.username_file), _secret(place.password_file)


def _basic(place: ContentAllow) -> dict[str, str]:
    name, password = credentials(place)
    if not (name or password) or place.prefix.startswith("oci://"):  # a registry asks for them first
        return {}
    return {"Authorization": basic(name, password)}


def basic(name: str, password: str) -> str:
    """The value of the header (RFC 7617)."""
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def _secret(file: str) -> str:
    if not file:
        return ""
    try:
        found = Path(file).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise refused("a file of credentials cannot be read", "spec.content.allow[]") from None
    if not found.isprintable() or len(found) > 8192:
        raise refused("a file of credentials holds more than one line", "spec.content.allow[]")
    return found


def _proxy(place: ContentAllow) -> Proxy | None:
    """The proxy of a place. Raises Stalled(ContentRefused) where its file holds no address of one."""
    text = _secret(place.proxy_file)
    if not text:
        if place.proxy_file:
            raise refused("the file of the proxy is empty", "spec.content.allow[].proxyFile")
        return None
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port or 3128
    except ValueError:
        host, port = None, 0
    if not host or parts.scheme != "http" or parts.path.strip("/") or parts.query:
        hint = "spec.content.allow[].proxyFile holds http://HOST:PORT, with USER:PASSWORD@ before the host where it wants that"
        raise refused("the file of the proxy holds no address of one", hint)
    name, password = unquote(parts.username or ""), unquote(parts.password or "")
    return Proxy(host, port, {"Proxy-Authorization": basic(name, password)} if name or password else {})


def _trusting(file: str, *, besides: bool = False) -> ssl.SSLContext:
    """The system's certificate authorities, or those of a file instead of them or `besides` them."""
    try:
        context = ssl.create_default_context(cafile=file or None)
    except (OSError, ssl.SSLError):
        raise refused("the file of certificate authorities cannot be read", "spec.content.allow[].caFile") from None
    if file and besides:
        context.load_default_certs()
    return context
