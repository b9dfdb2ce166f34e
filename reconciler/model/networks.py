"""Addresses that are no part of the public network: what network policies of nested clusters except, and where no content comes from."""

import ipaddress

PRIVATE = (
    *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16"),
    "168.63.129.16/32",  # Azure: the platform's own address, outside the private ranges
    "192.0.0.0/24",  # IETF protocol assignments; Oracle's metadata at 192.0.0.192
    "198.18.0.0/15",  # benchmarks of networks (RFC 2544), in use inside clouds
)
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052: an IPv4 address in the last 32 bits
PRIVATE_6 = (
    *("::1/128", "fc00::/7", "fe80::/10"),
    "fec0::/10",  # site-local, RFC 3879
    "2002::/16",  # 6to4, RFC 7526: holds an IPv4 address
    "64:ff9b:1::/48",  # NAT64 of a site's own choice, RFC 8215
    *(
        str(ipaddress.IPv6Network((int(NAT64[0]) + int(block[0]), NAT64.prefixlen + block.prefixlen)))
        for block in map(ipaddress.IPv4Network, PRIVATE)
    ),
)
ODD_6 = (
    "::/96",  # IPv4-compatible, RFC 4291: an IPv4 address in the last 32 bits
    "::ffff:0:0:0/96",  # IPv4-translated, RFC 2765
    "5f00::/16",  # segments of a network's own routing, RFC 9602
)
"""Blocks that nothing public is in either. Network policies do not name them: tenants repeat that list in policies of their own."""

_BLOCKS = tuple(map(ipaddress.ip_network, (*PRIVATE, *PRIVATE_6, *ODD_6)))


_WRAPS = (NAT64, *map(ipaddress.IPv6Network, ("64:ff9b:1::/48", "::/96", "::ffff:0:0:0/96")))
_LOW = (1 << 32) - 1


def all_of(address: str) -> tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, ...]:
    """An address as a socket has it, and the one of IPv4 that it wraps: a connection may lead to either. Raises ValueError."""
    found = ipaddress.ip_address(address.partition("%")[0])
    inner = _inner(found) if isinstance(found, ipaddress.IPv6Address) else None
    return (found,) if inner is None else (found, inner)


def _inner(found: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if any(found in block for block in _WRAPS):
        return ipaddress.IPv4Address(int(found) & _LOW)
    return found.ipv4_mapped or found.sixtofour or (found.teredo[1] if found.teredo else None)


def private(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Whether the address is in one of these blocks."""
    return any(address in block for block in _BLOCKS)
