"""One API server over one pooled client: a request goes out once (M18), returns by its deadline (M17), fails as ApiError.

The official client's `ApiClient` is used for what it is good at: authentication, token refresh and the pool. Bodies go in and
come out as bytes; no generated model is touched.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlencode

from reconciler.errors import ApiError, ErrorClass
from reconciler.kube import errors
from reconciler.model import ObjectRef

JSON = "application/json"
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
BODY_LIMIT = 256 << 20  # bytes of one answer of the host: a page of a list, however large its objects
CHUNK = 1 << 16


class Guard(Protocol):
    """What stands before every request of a target: its breaker (A7)."""

    def before(self) -> None:
        """Raise ApiError when nothing may be sent now."""

    def after(self, reached: bool) -> None:
        """Learn whether the server was reached at all."""


@dataclass(frozen=True, slots=True)
class Call:
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


class Transport:
    """Sends calls to one server. Thread-safe; `renew` makes a new ApiClient after a 401 (None where there is nothing to reload)."""

    def __init__(
        self,
        api: Any,
        *,
        renew: Callable[[], Any] | None = None,
        guard: Guard | None = None,
        deadline: float = 10.0,
        limit: int = BODY_LIMIT,
    ) -> None:
        self.deadline = deadline
        self._api = api
        self._renew = renew
        self._guard = guard
        self._limit = limit
        self._lock = threading.Lock()

    @property
    def api(self) -> Any:
        """The ApiClient now in use, for what is not a plain request (the WebSocket of a port-forward)."""
        return self._api

    def send(self, call: Call, *, deadline: float | None = None) -> tuple[int, bytes]:
        """Return (status, body) of a 2xx answer within `deadline` seconds; raise ApiError for anything else.

        A 401 is repeated once with renewed credentials: it did nothing, and tokens rotate (F6).
        """
        api = self._api
        try:
            return self._once(api, call, deadline or self.deadline)
        except ApiError as error:
            if error.kind is not ErrorClass.UNAUTHENTICATED or not self._renewed(api):
                raise
        return self._once(self._api, call, deadline or self.deadline)

    def stream(self, call: Call, *, deadline: float, silence: float) -> "Stream":
        """Open a watch: headers within `deadline` seconds, then at most `silence` seconds between two bytes."""
        response = self._open(self._api, call, (deadline, silence))
        if response.status != 200:
            body = self._body(response, time.monotonic() + deadline, call.verb)
            raise errors.classify(response.status, body, call.verb, call.ref, resource=call.resource)
        return Stream(response.response, self._limit)

    def close(self) -> None:
        """Close the pooled connections; a request after it opens new ones."""
        self._api.close()

    def _once(self, api: Any, call: Call, deadline: float) -> tuple[int, bytes]:
        ends = time.monotonic() + deadline
        response = self._open(api, call, deadline)
        body = self._body(response, ends, call.verb)
        if 200 <= response.status < 300:
            return response.status, body
        after = response.headers.get("Retry-After", "")
        raise errors.classify(response.status, body, call.verb, call.ref, resource=call.resource, after=after)

    def _open(self, api: Any, call: Call, timeout: float | tuple[float, float]) -> Any:
        if self._guard:
            self._guard.before()
        reached = False
        try:
            response = api.call_api(*self._request(api, call), _request_timeout=timeout)
            reached = True
        except Exception as error:  # the client leaks urllib3's, ssl's and its own types (M18)
            raise errors.translate(error, call.verb in errors.WRITES) from None
        finally:
            if self._guard:
                self._guard.after(reached)
        return response

    def _request(self, api: Any, call: Call) -> tuple[Any, ...]:
        path = f"{call.path}?{urlencode(call.query)}" if call.query else call.path
        headers = {"Accept": call.accept}
        if call.body is not None:
            headers["Content-Type"] = call.content_type
        request: tuple[Any, ...] = api.param_serialize(
            call.method, path, header_params=headers, body=call.body, auth_settings=["BearerToken"]
        )
        return request

    def _body(self, response: Any, ends: float, verb: str) -> bytes:
        try:
            return _read(response.response, ends, self._limit)
        except Exception as error:
            raise errors.translate(error, verb in errors.WRITES) from None

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

    def __init__(self, response: Any, limit: int) -> None:
        self._response = response
        self._limit = limit

    def __iter__(self) -> Iterator[bytes]:
        """Yield each line without its end. Ends when the server closes; raises ApiError TRANSIENT on silence or a reset."""
        rest = b""
        try:
            for chunk in self._response.stream(CHUNK):
                *lines, rest = (rest + chunk).split(b"\n") if rest else chunk.split(b"\n")
                if len(rest) > self._limit:
                    raise errors.broken("watch", "one event is larger than any object")
                yield from lines
        except ApiError:
            raise
        except Exception as error:
            raise errors.translate(error, False) from None
        finally:
            self._response.close()

    def stop(self) -> None:
        """End a blocked read of another thread: closing alone would not wake it."""
        with suppress(Exception):
            self._response.shutdown()


class _TooSlow(Exception):
    """The whole answer did not come within the deadline."""


def _read(response: Any, ends: float, limit: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while chunk := response.read1(CHUNK):  # what has come, so that a byte now and then cannot outlast the deadline
        chunks.append(chunk)
        size += len(chunk)
        if size > limit or time.monotonic() > ends:
            response.close()
            raise _TooSlow(f"{size} bytes by the deadline" if size <= limit else "the answer is too large")
    return b"".join(chunks)
