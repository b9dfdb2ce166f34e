"""One request to an object store: signed for itself alone, ended by its deadline, and sent to the store itself (O7). The only
importer of obstore, which signs.

Clients of S3 follow a store's redirects. Whoever answers for a store would lead them into the network of the controller, so what the store
names is never asked.
"""

import ssl
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from reconciler.deadline import Deadline, broken
from reconciler.model import Errand
from reconciler.patterns import lazy

if TYPE_CHECKING:
    from urllib3.connection import HTTPConnection

STEP = 1 << 20  # bytes read at once
CONNECT = 10.0  # seconds
IDLE = 60.0  # seconds without a byte
VALID = timedelta(seconds=300)  # a signature, from now until the store sees it
TOLD = 1 << 14  # bytes of a refusal that are looked at
AGENT = "nidus"
_CODE = lazy(rb"<Code>([A-Za-z]{1,60})</Code>")


class Refused(Exception):
    """Why the store gives no answer, as a sentence. Asking again is of no use."""


class Failed(Exception):
    """Why there is no answer now, as a sentence."""


def read(errand: Errand, seconds: float) -> Generator[bytes]:
    """What lies under a key, in pieces of 1 MiB at most. Raises Refused; Failed, also where all of it takes longer than `seconds`."""
    with _answered(errand, "GET", seconds) as answer:
        while chunk := answer.read(STEP, decode_content=False):
            yield bytes(chunk)


def remove(errand: Errand, seconds: float) -> None:
    """Remove what lies under a key; nothing is fine. Raises as `read`."""
    with suppress(FileNotFoundError), _answered(errand, "DELETE", seconds):
        pass


@contextmanager
def _answered(errand: Errand, method: str, seconds: float) -> Iterator[Any]:
    """The answer of 2xx. Raises Refused, Failed, FileNotFoundError."""
    parts = urlsplit(_signed(errand, method))
    connection = _connection(parts.scheme, parts.hostname or "", parts.port)
    with _Asked(connection, max(seconds, 0.001)) as asked:
        connection.connect()
        asked.sock = connection.sock
        if asked.sock is not None:
            asked.sock.settimeout(IDLE)
        sent = {"User-Agent": AGENT, "Accept-Encoding": "identity"}
        connection.request(method, f"{parts.path}?{parts.query}", headers=sent, preload_content=False)
        answer = connection.getresponse()
        if answer.status // 100 != 2:
            raise refusal(answer.status, answer.read(TOLD))
        yield answer


def _signed(errand: Errand, method: Any) -> str:
    """The address with a signature in it: it is told to nobody."""
    import obstore
    from obstore.store import S3Store

    where, keys = errand.location, errand.keys
    token: Any = {"session_token": keys.token} if keys.token else {}
    store = S3Store(
        where.bucket,
        endpoint=where.endpoint,
        region=where.region,
        access_key_id=keys.access,
        secret_access_key=keys.secret,
        virtual_hosted_style_request=False,
        **token,
    )
    return obstore.sign(store, method, errand.key, VALID)


def _connection(scheme: str, host: str, port: int | None) -> "HTTPConnection":
    from urllib3.connection import (  # a fifth of the start of `plan`, which asks no store
        HTTPConnection,
        HTTPSConnection,
    )

    if scheme == "http":
        return HTTPConnection(host, port, timeout=CONNECT)
    return HTTPSConnection(host, port, timeout=CONNECT, ssl_context=ssl.create_default_context())


def refusal(status: int, body: bytes) -> Exception:
    """What an answer that is no success means. Of its body the code is told alone."""
    found = _CODE.search(body)
    told = f"({status} {found[1].decode()})" if found else f"({status})"
    if 300 <= status < 400:
        where = "write its own endpoint and region"
        return Refused(f"the object store answers with another address {told}, which is not followed: {where}")
    if status in (401, 403):
        return Refused(f"the object store refuses the credentials {told}: they are wrong, have ended, or lack a right")
    if status == 404:
        return FileNotFoundError(f"the object store has no such archive or bucket {told}")
    if status in (408, 409, 425, 429) or status >= 500:
        return Failed(f"the object store fails {told}")
    return Refused(f"the object store refuses the request {told}")


class _Asked(Deadline):
    """What fails on the way becomes one sentence, without the address: a signature stands in it."""

    def __enter__(self) -> "_Asked":
        self.begin()
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.end()
        if isinstance(error, GeneratorExit):
            return  # nobody wants the rest
        if self.late:
            raise Failed(f"the archive was not read within {self.seconds:.0f} s") from None
        from http.client import HTTPException

        from urllib3.exceptions import HTTPError

        if isinstance(error, HTTPError | HTTPException | OSError) and not isinstance(error, FileNotFoundError):
            raise Failed(f"the object store: {broken(error)}") from None
