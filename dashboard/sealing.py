"""What a cookie holds: a token, sealed for one origin, so that whoever finds the cookie cannot ask the API server with it, and
so that it opens nothing elsewhere."""

import base64
import hashlib
import hmac
import zlib
from typing import Final

import msgspec

from reconciler import decoding
from reconciler.errors import UNREADABLE

LASTS: Final = 12 * 3600  # seconds a sign-in lasts, where the token itself does not end earlier
LONGEST: Final = 3800  # characters of a cookie: browsers keep 4096 with its name and its attributes

_decoder = decoding.decoder(tuple[str, str])


def sealed(token: str, origin: str, key: bytes) -> str:
    """The value of a cookie."""
    from cryptography.fernet import Fernet

    return Fernet(_key(key)).encrypt(zlib.compress(msgspec.json.encode((origin, token)), 9)).decode()


def opened(cookie: str, origin: str, key: bytes) -> str:
    """The token in a cookie, "" where it is not one of ours, of another origin, or too old."""
    from cryptography.fernet import Fernet, InvalidToken

    if not cookie or len(cookie) > LONGEST or not cookie.isascii():
        return ""
    try:
        found, token = _decoder.decode(zlib.decompress(Fernet(_key(key)).decrypt(cookie.encode(), ttl=LASTS)))
    except (InvalidToken, *UNREADABLE):
        return ""
    return token if found == origin else ""


def proof(key: bytes, *parts: str) -> str:
    """What a form of a page carries: nobody else can make it, and it is good for these parts only."""
    told = msgspec.json.encode(parts)
    return hmac.new(hashlib.sha256(b"nidus dashboard forms" + key).digest(), told, hashlib.sha256).hexdigest()


def _key(key: bytes) -> bytes:
    return base64.urlsafe_b64encode(hashlib.sha256(b"nidus dashboard cookies" + key).digest())
