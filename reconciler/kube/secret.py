"""What a nested API server's client needs, taken from the engine's Secret `vc-NAME` field by field (A8, M15).

The engine's account can write that Secret, so it is hostile input. Its kubeconfig is never read, with its commands,
addresses, file names and options. Values must be PEM blocks of limited size and a token of header-safe characters;
otherwise the Secret is refused.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from reconciler.errors import Stalled
from reconciler.kube.plain import show
from reconciler.model import Object
from reconciler.patterns import lazy

if TYPE_CHECKING:
    import ssl

VALUE_LIMIT = 64 << 10
_MOST = 16  # certificates in one value
_KEYS = ("PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY")
_BASE64 = lazy(r"[A-Za-z0-9+/=]+")
_TOKEN = lazy(r"[A-Za-z0-9._~+/=-]+")


class Credentials(Struct, frozen=True):
    """The server's CA and our own credentials: PEM text; either certificate and key, or a token."""

    ca: str
    certificate: str = ""
    key: str = ""
    token: str = ""

    def __repr__(self) -> str:
        """Without the key and the token."""
        return f"Credentials(ca={self.ca!r}, certificate={self.certificate!r})"


def credentials(secret: Object) -> Credentials:
    """Read `vc-NAME`; raises Stalled(CredentialsInvalid) naming the key that is wrong, never its value."""
    data = secret.get("data")
    if not isinstance(data, Mapping):
        raise _refused("data")
    ca = _value(data, "certificate-authority", _certificates)
    if not ca:
        raise _refused("certificate-authority")
    certificate = _value(data, "client-certificate", _certificates)
    key = _value(data, "client-key", _key)
    if certificate and key:
        return Credentials(ca, certificate, key)
    token = _value(data, "token", _token)
    if not token:
        raise _refused("client-certificate, client-key and token")
    return Credentials(ca, token=token)


def context(found: Credentials) -> ssl.SSLContext:
    """A TLS context that trusts only this CA, checks names and sends our certificate; Stalled when a part is
    malformed."""
    import ssl

    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        made.load_verify_locations(cadata=found.ca)
        if found.certificate:
            show(made, found.certificate, found.key)
    except (ssl.SSLError, ValueError, OSError):
        raise _refused("certificate-authority, client-certificate or client-key") from None
    return made


def _value(data: Mapping[str, Any], name: str, shaped: Callable[[str], bool]) -> str:
    raw = data.get(name)
    if raw is None or raw == "":
        return ""
    if not isinstance(raw, str) or len(raw) > VALUE_LIMIT * 2:
        raise _refused(name)
    try:
        text = base64.b64decode(raw, validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        raise _refused(name) from None
    if len(text) > VALUE_LIMIT or not shaped(text):
        raise _refused(name)
    return text


def _certificates(text: str) -> bool:
    return 1 <= len(_blocks(text, ("CERTIFICATE",))) <= _MOST


def _key(text: str) -> bool:
    return len(_blocks(text, _KEYS)) == 1


def _token(text: str) -> bool:
    return _TOKEN.fullmatch(text) is not None


def _blocks(text: str, labels: Sequence[str]) -> list[str]:
    """The labels of the PEM blocks that `text` consists of, [] where it holds anything else. Line by line: the cost is its length."""
    found: list[str] = []
    inside, lines = "", 0
    for line in filter(None, map(str.strip, text.split("\n"))):
        if not inside:
            inside = next((label for label in labels if line == f"-----BEGIN {label}-----"), "")
            lines = 0
            if not inside:
                return []
        elif line == f"-----END {inside}-----" and lines:
            found.append(inside)
            inside = ""
        elif _BASE64.fullmatch(line):
            lines += 1
        else:
            return []
    return [] if inside else found


def _refused(name: str) -> Stalled:
    return Stalled(
        f"the engine's kubeconfig Secret is refused: {name} is missing or not what it must be",
        reason="CredentialsInvalid",
        hint="look at who wrote the Secret vc-NAME; the engine writes a good one when it restarts",
    )
