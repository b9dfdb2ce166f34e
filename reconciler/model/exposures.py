"""How people reach a cluster from outside: what is tried, and what came of it."""

from typing import Literal

from msgspec import Struct

Found = Literal["", "NameUnresolved", "NotReached", "NotTls", "ForeignCertificate", "NameNotInCertificate"]


class Exposure(Struct, frozen=True):
    """An address to try: a host name or an address, its port, and the PEM of who signs for the API server behind it."""

    host: str
    port: int
    ca: str


class Tried(Struct, frozen=True):
    """What came of trying an address: `found` "" where the cluster's own API server answered. `detail`: in words,
    for the log alone, since it tells of the controller's network."""

    exposure: Exposure
    found: Found
    detail: str = ""


class Outside(Struct, frozen=True):
    """What the host says of a cluster's exposure: the address to try (None: there is none yet), and what is wrong already, as one
    sentence with its reason; `unread`: why one of these could not be read, and then the address has no PEM. `port`: of the Gateway's
    listener, 0 where there is none or it could not be read."""

    exposure: Exposure | None = None
    reason: str = ""
    message: str = ""
    unread: str = ""
    port: int = 0
