"""One API server over one pooled client: a request is sent once (M18), returns by its deadline (M17), and fails as
ApiError.

The official client's `ApiClient` is used for authentication, token refresh and the pool. Bodies are bytes; its
generated models are not used.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Protocol
from urllib.parse import urlencode

from msgspec import Struct

from reconciler.errors import ApiError, ErrorClass
from reconciler.kube import errors, timed, weight
from reconciler.kube.timed import Limit
from reconciler.model import ObjectRef

JSON = "application/json"
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
BODY_LIMIT = (
    32 << 20
)  # bytes of one answer of the host: one object, or a page of a list, which gets smaller where it has more
CHUNK = 1 << 16


class Guard(Protocol):
    """What is called before and after every request of a target: its breaker (A7)."""

    def before(self) -> None:
        """Raise ApiError when nothing may be sent now."""

    def after(self, failure: str) -> None:
        """Report why the server did not answer; "" when it did, whatever the answer."""


class Call(Struct, frozen=True):
    """One request. `verb` and `ref` are for the error; `body` is encoded JSON for APPLY and a JSON value otherwise."""

    verb: str
    method: str
    path: str
    query: Mapping[str, str] | None = None
    body: Any = None
    content_type: str = JSON
    accept: str = JSON
    ref: ObjectRef | None = None
    resource: str = ""


class Limits(Struct, frozen=True):
    """Limits of one server: seconds for a call, for a page of a list and without a byte (None: as long as the call); bytes of
    one answer; bytes and values of a whole list, which is all its pages.

    `name` is how messages call the server.
    """

    name: str = "the API server"
    deadline: float = 10.0
    listing: float = 60.0
    silence: float | None = None
    size: int = BODY_LIMIT
    whole: int = 128 * BODY_LIMIT
    values: int = 1 << 29


USUAL = Limits()


class Transport:
    """Sends calls to one server. Thread-safe; `renew` makes a new ApiClient after a 401 (None where there is nothing to reload)."""

    def __init__(
        self,
        api: Any,
        *,
        renew: Callable[[], Any] | None = None,
        guard: Guard | None = None,
        limits: Limits = USUAL,
    ) -> None:
        self.limits = limits
        self._api = api
        self._renew = renew
        self._guard = guard
        self._lock = threading.Lock()
        self._calls = 0
        self._used_at = time.monotonic()

    @property
    def api(self) -> Any:
        """The ApiClient now in use, for what is not a plain request (the WebSocket of a port-forward)."""
        return self._api

    def send(self, call: Call, *, deadline: float | None = None, limit: Limit | None = None) -> tuple[int, bytes]:
        """Return (status, body) of a 2xx answer within `deadline` seconds and `limit`; raise ApiError for anything else.

        A 401 is repeated once with renewed credentials: it did nothing, and tokens rotate (F6).
        """
        ends = timed.sooner(Limit.of(deadline or self.limits.deadline), limit, timed.current())
        api = self._api
        try:
            return self._once(api, call, ends)
        except ApiError as error:
            if error.kind is not ErrorClass.UNAUTHENTICATED or not self._renewed(api):
                raise
        return self._once(self._api, call, ends)

    def stream(self, call: Call, *, deadline: float, silence: float) -> "Stream":
        """Open a watch: headers within `deadline` seconds, then at most `silence` seconds between two lines."""
        limit = timed.sooner(Limit.of(deadline), timed.current())
        with self._translated(call, limit):
            response = self._open(self._api, call, (limit.wait, silence))
            body = b"" if response.status == 200 else _read(response, limit, self.limits.size)
        if response.status != 200:
            raise errors.classify(response.status, body, call.verb, call.ref, resource=call.resource)
        return Stream(response.response, self.limits, silence)

    def close_idle(self, seconds: float) -> None:
        """Close the pooled connections unless a call was made within `seconds`; open watches stay."""
        with self._lock:
            if not self._calls and time.monotonic() - self._used_at >= seconds:
                self._used_at = float("inf")
                self._api.close()

    def close(self) -> None:
        """Close the pooled connections; a request after it opens new ones."""
        self._api.close()

    def _once(self, api: Any, call: Call, limit: Limit) -> tuple[int, bytes]:
        with self._translated(call, limit):
            response = self._open(api, call, min(limit.wait, self.limits.silence or limit.wait))
            body = _read(response, limit, self.limits.size)
            if weight.exceeds(body, self.limits.values):
                raise errors.TooLarge(f"{self.limits.values} values")
        if 200 <= response.status < 300:
            return response.status, body
        after = response.headers.get("Retry-After", "")
        raise errors.classify(response.status, body, call.verb, call.ref, resource=call.resource, after=after)

    def _open(self, api: Any, call: Call, timeout: float | tuple[float, float]) -> Any:
        with self._in_use():
            return api.call_api(*self._request(api, call), _request_timeout=timeout)

    @contextmanager
    def _translated(self, call: Call, limit: Limit) -> Iterator[None]:
        """Call the guard, keep the limit, and turn exceptions of the client, urllib3 and ssl into ApiError (M18)."""
        if self._guard:
            self._guard.before()
        failure = "the request was interrupted"
        try:
            with timed.within(limit):
                if not limit.left:
                    raise TimeoutError
                yield
            failure = ""
        except Exception as error:
            seconds = self.limits.silence if limit.left and self.limits.silence else limit.seconds
            made = errors.translate(error, call.verb in errors.WRITES, self.limits.name, seconds)
            failure = made.message
            raise made from None
        finally:
            if self._guard:
                self._guard.after(failure)

    @contextmanager
    def _in_use(self) -> Iterator[None]:
        self._count(1)
        try:
            yield
        finally:
            self._count(-1)

    def _count(self, change: int) -> None:
        with self._lock:
            self._calls += change
            self._used_at = time.monotonic()

    def _request(self, api: Any, call: Call) -> tuple[Any, ...]:
        path = f"{call.path}?{urlencode(call.query)}" if call.query else call.path
        headers = {"Accept": call.accept}
        if call.body is not None:
            headers["Content-Type"] = call.content_type
        request: tuple[Any, ...] = api.param_serialize(
            call.method, path, header_params=headers, body=call.body, auth_settings=["BearerToken"]
        )
        return request

    def _renewed(self, used: Any) -> bool:
        if self._renew is None:
            return False
        with self._lock:
            if self._api is used:  # else another thread renewed meanwhile
                self._api = self._renew()
                used.close()
        return True


class Stream:
    """The open answer of a watch; iterate for lines, `stop` from any thread ends the iteration."""

    def __init__(self, response: Any, limits: Limits, silence: float) -> None:
        self._response = response
        self._limits = limits
        self._silence = silence

    def __iter__(self) -> Iterator[bytes]:
        """Yield each line without its end. Ends when the server closes; raises ApiError TRANSIENT on silence or a reset."""
        rest = bytearray()
        heard = time.monotonic()
        try:
            for chunk in self._chunks():
                whole, ended, started = chunk.rpartition(b"\n")
                if ended:
                    yield from (bytes(rest) + whole).split(b"\n")
                    rest = bytearray(started)
                    heard = time.monotonic()
                    continue
                rest += chunk
                if len(rest) > min(weight.OBJECT, self._limits.size):
                    raise errors.broken("watch", "one event is larger than any object")
                if time.monotonic() - heard > self._silence:
                    raise TimeoutError
        except ApiError:
            raise
        except Exception as error:
            raise errors.translate(error, False, self._limits.name, self._silence) from None
        finally:
            self._response.close()

    def _chunks(self) -> Iterator[bytes]:
        """What comes, each within the silence: extensions of chunks and trailers are no bytes of an event."""
        chunks = self._response.stream(CHUNK)
        while True:
            with timed.within(Limit.of(self._silence)):
                chunk = next(chunks, None)
            if chunk is None:
                return
            yield chunk

    def stop(self) -> None:
        """End a blocked read of another thread: closing alone would not wake it."""
        with suppress(Exception):
            self._response.shutdown()


def _read(response: Any, limit: Limit, most: int) -> bytes:
    """The body. A connection is used again only after a whole answer: otherwise it is closed here, and not when the collector
    finds it."""
    body = response.response
    chunks: list[bytes] = []
    size = 0
    whole = False
    try:
        if response.status < 200:  # an interim answer: another would come
            return b""
        while chunk := body.read1(CHUNK):  # what has come: slow single bytes do not pass the deadline
            chunks.append(chunk)
            size += len(chunk)
            if size > most or not limit.left:
                raise TimeoutError if size <= most else errors.TooLarge(f"{most} bytes")
        whole = True
    finally:
        if not whole:
            body.close()
    return b"".join(chunks)
