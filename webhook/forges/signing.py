"""How deliveries are signed: digests over the raw bytes, tokens, and Standard Webhooks. Every comparison is of bytes, in constant
time, and every secret is tried, also after one has matched (W1)."""

import base64
import binascii
import hmac
import re
from collections.abc import Iterable, Mapping

LENGTHS = {"sha256": 64, "sha512": 128}
"""Digests that are accepted, with the length of their hexadecimal text."""
TOLERANCE = 300.0
"""Seconds that the time of a delivery may lie before or after ours (Standard Webhooks, reference libraries)."""
_HEX = re.compile(r"[0-9a-fA-F]+", re.ASCII)
_DIGITS = re.compile(r"[0-9]{1,12}", re.ASCII)
_SIGNATURES = 8  # of one delivery: its sender signs with several keys during a rotation
KEY = b"whsec_"
SHORTEST_KEY = 24  # bytes of a key of Standard Webhooks, as its specification says
SHORTEST = 32  # bytes of every other secret


def claimed(header: str, algorithms: Iterable[str] = ("sha256",)) -> str:
    """The `algorithm=<hex>` in a header, "" where it is of another form."""
    algorithm, _, digest = header.partition("=")
    return header if algorithm in algorithms and bare(digest, algorithm) else ""


def bare(digest: str, algorithm: str = "sha256") -> str:
    """A hexadecimal digest as it stands in a header, "" where it is of another form."""
    return digest if len(digest) == LENGTHS[algorithm] and _HEX.fullmatch(digest) else ""


def signed(digest: str, body: bytes, secrets: tuple[bytes, ...], algorithm: str = "sha256") -> bool:
    """Whether the hexadecimal HMAC `digest` is of these bytes under one of the secrets; an empty secret never matches."""
    if not bare(digest, algorithm):
        return False
    return _any(bytes.fromhex(digest), (hmac.digest(secret, body, algorithm) for secret in secrets if secret))


def token(given: bytes, secrets: tuple[bytes, ...]) -> bool:
    """Whether a secret that was sent as it is, is one of ours. Digests are compared, so that lengths do not show either."""
    return _any(
        hmac.digest(b"token", given, "sha256"),
        (hmac.digest(b"token", secret, "sha256") for secret in secrets if secret),
    )


def digest(body: bytes, secret: bytes, algorithm: str = "sha256") -> str:
    """The hexadecimal HMAC of a body."""
    return hmac.digest(secret, body, algorithm).hex()


# Standard Webhooks (standard-webhooks.com, specification 1.0.0): `webhook-id`, `webhook-timestamp` (seconds), `webhook-signature`


def standard(headers: Mapping[str, str], body: bytes, secrets: tuple[bytes, ...], now: float) -> bool:
    """Whether one of the `v1` signatures is of this id, time and body under one of the keys `whsec_...`, and the time is near `now`
    (seconds since the epoch), so that an old delivery cannot be sent again."""
    time = headers.get("webhook-timestamp", "")
    if not _DIGITS.fullmatch(time) or abs(int(time) - now) > TOLERANCE:
        return False
    text = _told(headers.get("webhook-id", ""), time, body)
    keys = [key for key in map(key_of, secrets) if key]
    given = [
        _decoded(one[3:]) for one in headers.get("webhook-signature", "").split(" ")[:_SIGNATURES] if one[:3] == "v1,"
    ]
    answers = [_any(one, (hmac.digest(key, text, "sha256") for key in keys)) for one in given]
    return any(answers)


def standard_headers(body: bytes, secret: bytes, now: float, name: str) -> dict[str, str]:
    """The header fields of a delivery `name` signed with a key `whsec_...`. ValueError where it is none."""
    key, time = key_of(secret), str(int(now))
    if not key:
        raise ValueError("not a signing token")
    signature = base64.b64encode(hmac.digest(key, _told(name, time, body), "sha256")).decode()
    return {"webhook-id": name, "webhook-timestamp": time, "webhook-signature": f"v1,{signature}"}


def key_of(secret: bytes) -> bytes:
    """The key in a secret `whsec_<base64>`, empty where it is of another form or shorter than 24 bytes."""
    key = _decoded(secret.removeprefix(KEY).decode("ascii", "replace")) if secret.startswith(KEY) else b""
    return key if len(key) >= SHORTEST_KEY else b""


def fault(secret: bytes) -> str:
    """Why a secret is not good enough to be one, "" where it is. Says nothing of its content but the length."""
    if not secret:
        return "is empty"
    if secret.startswith(KEY):
        return (
            "" if key_of(secret) else f"is no signing token: {KEY.decode()} and at least {SHORTEST_KEY} bytes in base64"
        )
    return f"has {len(secret)} bytes, at least {SHORTEST} are needed" if len(secret) < SHORTEST else ""


def _told(name: str, time: str, body: bytes) -> bytes:
    return f"{name}.{time}.".encode("latin-1", "backslashreplace") + body


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""


def _any(given: bytes, right: Iterable[bytes]) -> bool:
    answers = [hmac.compare_digest(given, one) for one in right]
    return any(answers)
