"""Tokens of a GitHub App. Source: GitHub's documentation, "Generating a JSON Web Token (JWT) for a GitHub App", "Generating an
installation access token for a GitHub App"."""

import base64
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated

import msgspec

from reconciler.errors import Stalled
from reconciler.forges.answers import Moment, Name
from reconciler.forges.transport import Transport
from reconciler.model import AppConfig

LIVES = 540.0  # seconds of a JWT; GitHub takes 600 at most
BEHIND = 60.0  # seconds that the clock of the forge may be behind ours
EARLY = 300.0  # seconds before its end at which a token is replaced
LEAST = 2048  # bits of a key
HINT = "spec.sources[].forge.app.keyFile: the private key that GitHub made for the App, as PEM"


class Issued(msgspec.Struct):
    token: Annotated[str, msgspec.Meta(min_length=1, max_length=1024, pattern=r"^[A-Za-z0-9._~+/=-]+\Z")]
    expires_at: Moment


class Slug(msgspec.Struct):
    slug: Name


class AppTokens:
    """The token of one installation, asked for where there is none, it ends soon, or the forge refused it. Thread-safe; it lives in memory
    alone."""

    def __init__(self, api: str, app: AppConfig, ca_file: str, clock: Callable[[], float] = time.time) -> None:
        self._app, self._clock = app, clock
        self._http = Transport(api, "", ca_file, issued=_Signed(app, clock))
        self._lock = threading.Lock()
        self._token, self._ends = "", 0.0

    def token(self) -> str:
        """A token that still counts. Raises what the forge raises, and Stalled where the key cannot be used."""
        with self._lock:
            if not self._token or self._clock() >= self._ends - EARLY:
                made = self._http.made(Issued, f"/app/installations/{self._app.installation:d}/access_tokens", {})
                self._token, self._ends = made.token, made.expires_at.timestamp()
            return self._token

    def drop(self, token: str) -> None:
        """The forge refused this token: another one is asked for next."""
        with self._lock:
            if token == self._token:
                self._token = ""

    def account(self) -> str:
        """The name of the account that the App writes as."""
        return f"{self._http.get(Slug, '/app').slug}[bot]"


class _Signed:
    """Signs a JWT for each request. The key is read each time, so that another one counts at once (F28)."""

    def __init__(self, app: AppConfig, clock: Callable[[], float]) -> None:
        self._app, self._clock = app, clock

    def token(self) -> str:
        now = self._clock()
        claims: dict[str, str | int] = {"iat": int(now - BEHIND), "exp": int(now + LIVES - BEHIND), "iss": self._app.id}
        signed = f"{_part({'alg': 'RS256', 'typ': 'JWT'})}.{_part(claims)}"
        return f"{signed}.{_base64(signature(self._app.key_file, signed.encode()))}"

    def drop(self, token: str) -> None:
        """Each is another one."""


def signature(key_file: str, data: bytes) -> bytes:
    """RS256 (RFC 7518, 3.3) with the key of a file. Raises Stalled without a word of what the file holds."""
    from cryptography.exceptions import UnsupportedAlgorithm  # slow to import, and most have no App
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(Path(key_file).read_bytes(), None)
    except OSError:
        raise Stalled("the App's key cannot be read", reason="ForgeRefused", hint=HINT) from None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise Stalled("the file of the App's key holds no private key", reason="ForgeRefused", hint=HINT) from None
    if not isinstance(key, RSAPrivateKey) or key.key_size < LEAST:
        raise Stalled(f"the App's key is no RSA key of {LEAST} bits or more", reason="ForgeRefused", hint=HINT)
    return key.sign(data, PKCS1v15(), SHA256())


def _part(value: Mapping[str, str | int]) -> str:
    return _base64(msgspec.json.encode(value))


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
