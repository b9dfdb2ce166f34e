"""What is wrong with the dashboard of a configuration: who would reach it without a sign-in, or sign in where others can listen (U8)."""

import ipaddress
from collections.abc import Iterable

from reconciler.model import ControllerSpec, DashboardConfig
from reconciler.spec import addresses
from reconciler.spec.ceilings import Told
from reconciler.spec.codes import Code

PLACE = "/spec/server/dashboard"


def wrong(spec: ControllerSpec) -> Iterable[Told]:
    """Every mistake."""
    wanted = spec.server.dashboard
    if wanted is None:
        return
    yield from _reached(wanted, addresses.local(wanted.address.rpartition(":")[0].strip("[]")))
    yield from _proxy(wanted)


def _reached(wanted: DashboardConfig, local: bool) -> Iterable[Told]:
    if local:
        return
    if wanted.auth == "none":
        told = "without sign-in everybody who reaches this address sees the dashboard"
        hint = "write 127.0.0.1:9294 and reach it by a port-forward, or let people sign in: auth: kubernetes"
        yield f"{PLACE}/address", Code.WRONG_VALUE, told, hint
    elif not wanted.url:
        told = "people would sign in where others can listen: nothing says that TLS is in front of this address"
        yield (
            f"{PLACE}/address",
            Code.WRONG_VALUE,
            told,
            "put a server with TLS in front, and name it in url: https://...",
        )
    elif not wanted.url.startswith("https://"):
        told = "people would sign in where others can listen: http is not safe"
        yield f"{PLACE}/url", Code.WRONG_VALUE, told, "write https://"


def _proxy(wanted: DashboardConfig) -> Iterable[Told]:
    if wanted.auth == "proxy" and wanted.proxy is None:
        told = "auth proxy needs the addresses of the proxy: others could say that they are anybody"
        yield f"{PLACE}/auth", Code.WRONG_VALUE, told, "write proxy: {addresses: [10.0.3.0/24]}"
    if wanted.auth != "proxy" and wanted.proxy is not None:
        yield f"{PLACE}/proxy", Code.WRONG_VALUE, f"nothing reads it with auth {wanted.auth}", "write auth: proxy"
    for index, one in enumerate(wanted.proxy.addresses if wanted.proxy else ()):
        if told := _block(one):
            yield f"{PLACE}/proxy/addresses/{index}", Code.WRONG_VALUE, told, "write a block such as 10.0.3.0/24"


def _block(text: str) -> str:
    """Why this is no block of addresses for a proxy, "" where it is one."""
    try:
        found = ipaddress.ip_network(text)
    except ValueError:
        return f"{text} is no block of addresses"
    return "everybody would be the proxy" if found.prefixlen == 0 else ""
