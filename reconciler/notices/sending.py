"""Posts to one channel: to the address that the operator named and no other, signed, once, with a deadline (U11)."""

import base64
import hashlib
import hmac
import os
import re
import ssl
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError

from reconciler import keyfiles
from reconciler.deadline import Deadline, broken
from reconciler.errors import NidusError, Stalled, Unavailable
from reconciler.model import NotifyConfig
from reconciler.notices.formats import FORMATS
from reconciler.notices.pending import Batch
from reconciler.patterns import lazy

LONGEST: Final = 900.0  # seconds a receiver may ask us to wait
SECRET: Final = 4096  # bytes of a file
ADDRESS: Final = lazy(
    r"(https://[A-Za-z0-9.-]{1,253}|http://(127\.0\.0\.1|localhost))(:[0-9]{1,5})?(/[!-~]{0,1900})?", re.ASCII
)
AGAIN: Final = frozenset({408, 409, 425, 429})
STANDARD: Final = "whsec_"  # what a secret of Standard Webhooks begins with; the rest is Base64


class Post(Struct, frozen=True):
    """One post, the same at each try: `id` tells it from others."""

    id: str
    body: bytes


def post_of(config: NotifyConfig, batch: Batch, place: str, now: float) -> Post:
    """The post of a batch."""
    made = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
    return Post(f"msg_{os.urandom(12).hex()}", FORMATS[config.format](batch, place, made))


def send(config: NotifyConfig, post: Post, deadline: float) -> None:
    """Post it once. Raises Unavailable where it may be tried again: the receiver failed, or somebody may mend a file meanwhile; and Stalled
    where this post will never be taken."""
    address, secret = _address(config), _secret(config.secret_file)
    parts = urlsplit(address)
    headers = {"Content-Type": "application/json", "User-Agent": "nidus"} | (
        signed(post, secret, time.time()) if secret else {}
    )
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    connection = _connection(config, parts.scheme, parts.hostname or "", parts.port, deadline)
    with _Ended(connection, deadline) as ended:
        connection.connect()
        ended.sock = connection.sock
        connection.request("POST", target, post.body, headers, preload_content=False)
        response = connection.getresponse()
        status, told = response.status, {name.lower(): value for name, value in response.headers.items()}
        response.close()  # its body says nothing that we need
    if not 200 <= status < 300:
        raise refusal(status, told, time.time())


def signed(post: Post, secret: bytes, now: float) -> dict[str, str]:
    """The headers of Standard Webhooks 1.0.0 (standardwebhooks.com): an HMAC with SHA-256 over id, time and body. The time is that of this
    try: receivers refuse one that is minutes old."""
    at = int(now)
    content = f"{post.id}.{at}.".encode() + post.body
    made = base64.b64encode(hmac.new(secret, content, hashlib.sha256).digest()).decode()
    return {"webhook-id": post.id, "webhook-timestamp": str(at), "webhook-signature": f"v1,{made}"}


def refusal(status: int, headers: Mapping[str, str], now: float) -> NidusError:
    """What an answer that is no success means."""
    if 300 <= status < 400:
        return Stalled(f"it answers with another address ({status}), which is not followed")
    if status in (401, 403, 404):
        hint = "its address or its secret is wrong, or has ended"
        return Unavailable(f"it refuses the post ({status})", hint=hint)
    if status >= 500 or status in AGAIN:
        pause = _pause(headers.get("retry-after", ""), now)
        return Unavailable(f"it fails ({status})", after=pause)
    return Stalled(f"it refuses the post ({status})")


def _pause(told: str, now: float) -> float | None:
    """Seconds that Retry-After asks for, as a number or a date; None where it asks for none that we would wait."""
    try:
        found = (
            float(told)
            if told.isascii() and told.isdigit() and len(told) < 12
            else parsedate_to_datetime(told).timestamp() - now
        )
    except (TypeError, ValueError, OverflowError):
        return None
    return min(LONGEST, max(0.0, found))


def _address(config: NotifyConfig) -> str:
    """Where to post to, read anew each time where it is in a file: of Slack and Teams it is a secret."""
    address = config.url or _text(config.url_file, "urlFile")
    if not ADDRESS.fullmatch(address) or not _port(address):
        hint = "https://HOST/PATH; http for this machine only, and nobody named before the host"
        raise Unavailable("its address is none that is posted to", hint=hint)
    return address


def _port(address: str) -> bool:
    try:
        return urlsplit(address).port != 0
    except ValueError:
        return False


def _secret(file: str) -> bytes:
    if not file:
        return b""
    text = _text(file, "secretFile")
    if not text.startswith(STANDARD):
        return text.encode()
    try:
        return base64.b64decode(text.removeprefix(STANDARD), validate=True)
    except ValueError:
        raise Unavailable("its secret is no Base64 after whsec_", hint="secretFile") from None


def _text(file: str, key: str) -> str:
    try:
        content = keyfiles.read(Path(file), SECRET)
        text = content.decode().strip() if content is not None and len(content) <= SECRET else ""
    except (OSError, UnicodeDecodeError):
        text = ""
    if not text or not text.isprintable():
        raise Unavailable(f"its {key} cannot be read, or holds no single line", hint=f"spec.notify[].{key}")
    return text


def _connection(config: NotifyConfig, scheme: str, host: str, port: int | None, seconds: float) -> HTTPConnection:
    if scheme == "http":
        return HTTPConnection(host, port, timeout=seconds)
    try:
        context = ssl.create_default_context(cafile=config.ca_file or None)
    except (OSError, ssl.SSLError):
        told = "its file of certificate authorities cannot be read"
        raise Unavailable(told, hint="spec.notify[].caFile") from None
    return HTTPSConnection(host, port, timeout=seconds, ssl_context=context)


class _Ended(Deadline):
    """A post; what breaks it becomes Unavailable, without a word of the address, which may be secret."""

    def __enter__(self) -> "_Ended":
        self.begin()
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.end()
        if self.late:
            raise Unavailable(f"no answer within {self.seconds:g} s") from None
        if isinstance(error, HTTPError | HTTPException | OSError | ValueError):
            raise Unavailable(broken(error)) from None
