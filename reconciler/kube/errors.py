"""Decides what an answer of a Kubernetes API means (A6).

No other module reads a status code. Only ABSENT means "not there"; a proxy's page, an unknown path or a missing kind
does not.
"""

import re
from collections.abc import Sequence

import msgspec

from reconciler import decoding
from reconciler.errors import UNREADABLE, ApiError, ErrorClass, one_line
from reconciler.model import ObjectRef
from reconciler.patterns import lazy
from reconciler.plan.redact import is_secret_like

RETRY_AFTER_LIMIT = 60.0
WRITES = frozenset({"create", "apply", "replace", "delete", "patch"})

_AFTER_WORDS = lazy(
    r"immutable|may not be changed|may not change|cannot be changed|can't be changed|cannot change"
    r"|updates to \w+ spec for fields other than|may not be unset|self == oldSelf",
    re.IGNORECASE,
)
_UNTYPED = lazy(r"failed to (create typed patch object|convert new object)")
"""How server-side apply refuses a body that does not fit its schema: as a 500 without a reason [measured on 1.36]."""
_POLICY = lazy(r"ValidatingAdmissionPolicy '[^']*' with binding '[^']*' denied request")


class Cause(msgspec.Struct, frozen=True):
    reason: str = ""
    message: str = ""
    field: str = ""


class Details(msgspec.Struct, frozen=True):
    name: str = ""
    group: str = ""
    kind: str = ""
    causes: tuple[Cause, ...] | None = None


class Status(msgspec.Struct, frozen=True):
    """The fields of `meta/v1 Status` that decide anything."""

    kind: str = ""
    reason: str = ""
    message: str = ""
    code: int = 0
    details: Details | None = None


def classify(
    status: int, body: bytes, verb: str, ref: ObjectRef | None = None, *, resource: str = "", after: str = ""
) -> ApiError:
    """The error for a refusal.

    `verb` is one of get, list, watch or WRITES; `ref` the object asked for (None for a collection), `resource` its
    plural when discovery knows it, `after` the Retry-After header. For Secret-like kinds the server's text is left out
    (P5).
    """
    answer = parse(body)
    kind = _kind_of(status, answer, verb, ref, resource)
    return ApiError(
        kind,
        _message(status, answer, verb, ref, kind),
        status=status,
        causes=_causes(answer, ref),
        after=_seconds(after),
    )


def parse(body: bytes) -> Status:
    """Read a Status; anything else (HTML, nothing, another kind) is an empty one."""
    try:
        answer = decoding.decoded(body, Status)
    except UNREADABLE:
        return Status()
    return answer if answer.kind == "Status" else Status()


class TooLarge(Exception):
    """An answer has more than so many bytes or values, as its text says."""


class Oversized(ApiError):
    """What TooLarge becomes: a list may be asked for again in smaller pages."""


def translate(error: Exception, wrote: bool, name: str = "the API server", seconds: float = 0.0) -> ApiError:
    """Turn a failure of the transport into TRANSIENT, or AMBIGUOUS when a write may have reached the server.

    `name` is how the message calls the server, `seconds` how long it was waited for.
    """
    if isinstance(error, ApiError):
        return error
    kind = ErrorClass.AMBIGUOUS if wrote and not _was_before(error) else ErrorClass.TRANSIENT
    made = Oversized if isinstance(error, TooLarge) else ApiError
    return made(kind, getattr(error, "told", "") or f"{name} {_what_it_did(error, seconds)}")


def _was_before(error: Exception) -> bool:
    """Whether the request cannot have reached the server: no connection was made, or a header cannot be sent, which http.client says
    before it sends anything. An error of TLS may come after the request was read."""
    from urllib3 import exceptions as http  # large; loaded already wherever such an error can come from

    if isinstance(error, http.ReadTimeoutError):
        return False
    unmade = http.NewConnectionError | http.ConnectTimeoutError
    if isinstance(error, http.ProxyError):  # of any failure, where the connection was closed before it is looked at
        cause = error.original_error
        return isinstance(cause, unmade) or str(cause).startswith("Tunnel connection failed")
    return _is_header(error) or isinstance(error, unmade | http.LocationParseError | http.PoolError)


def _is_header(error: Exception) -> bool:
    return isinstance(error, UnicodeEncodeError) or (
        type(error) is ValueError and str(error).startswith("Invalid header")
    )


def _what_it_did(error: Exception, seconds: float) -> str:
    from urllib3 import exceptions as http

    if isinstance(error, TooLarge):
        return f"sent an answer of more than {error}"
    if isinstance(error, http.TimeoutError | TimeoutError) and not isinstance(error, http.NewConnectionError):
        return f"did not answer within {seconds:g} s"
    causes = (error, *error.args, error.__cause__, error.__context__)
    if any(isinstance(one, ConnectionRefusedError) for one in causes):
        return "refused the connection"
    if any(isinstance(one, http.NameResolutionError) for one in causes):
        return "has an address that cannot be resolved"
    if any(isinstance(one, ConnectionError | http.IncompleteRead | EOFError) for one in causes):
        return "closed the connection"
    return f"did not answer: {_transport_words(error)}"


def broken(verb: str, what: str) -> ApiError:
    """The error for a 2xx answer that Kubernetes would not give (a body of another shape, another object): `what` says
    how."""
    kind = ErrorClass.AMBIGUOUS if verb in WRITES else ErrorClass.TRANSIENT
    return ApiError(kind, f"the server does not answer as Kubernetes does: {what}")


# What it means


def _kind_of(status: int, answer: Status, verb: str, ref: ObjectRef | None, resource: str) -> ErrorClass:
    if status >= 500 or status < 400:
        return _failed(status, answer, verb)
    match status:
        case 404:
            return _missing(answer, ref, resource)
        case 409 if _has_cause(answer, "FieldManagerConflict"):
            return ErrorClass.FIELD_CONFLICT
        case 403 if _has_cause(answer, "NamespaceTerminating"):
            return ErrorClass.WAIT_NAMESPACE
        case 422:
            return _invalid(answer)
        case _:
            return _OTHERS.get(status, ErrorClass.REJECTED)


def _failed(status: int, answer: Status, verb: str) -> ErrorClass:
    if status == 500 and verb == "apply" and _UNTYPED.match(answer.message):
        return ErrorClass.INVALID
    return ErrorClass.AMBIGUOUS if verb in WRITES else ErrorClass.TRANSIENT


NO_RIGHT = "the account has no right to it"  # in place of the server's words, where those may quote what is secret
_REFUSED_BY_RBAC = lazy(r'User "[^"]*" cannot \w+ resource')

_OTHERS = {
    401: ErrorClass.UNAUTHENTICATED,
    403: ErrorClass.DENIED,
    409: ErrorClass.RACED,
    408: ErrorClass.TRANSIENT,
    410: ErrorClass.RELIST,
    429: ErrorClass.TRANSIENT,  # refused before anything was done, so never ambiguous
}


def _missing(answer: Status, ref: ObjectRef | None, resource: str) -> ErrorClass:
    details = answer.details
    if answer.reason != "NotFound" or details is None or not details.name or not details.kind:
        return ErrorClass.KIND_MISSING
    if details.kind == "namespaces" and (ref is None or ref.kind != "Namespace"):
        return ErrorClass.NAMESPACE_MISSING
    return ErrorClass.ABSENT if ref and _is_meant(details, ref, resource) else ErrorClass.KIND_MISSING


def _is_meant(details: Details, ref: ObjectRef, resource: str) -> bool:
    """Whether the server's status names the object that was asked for."""
    same_kind = details.kind in (ref.kind, resource or details.kind)
    return same_kind and (details.group, details.name) == (ref.group, ref.name)


def _invalid(answer: Status) -> ErrorClass:
    causes = _all_causes(answer)
    if _POLICY.search(answer.message):
        return ErrorClass.DENIED  # a ValidatingAdmissionPolicy answers 422 unless it names another reason
    if any(cause.field == "metadata.uid" for cause in causes):
        return ErrorClass.RACED  # A2: the known object is gone, another has its name
    texts = [cause.message for cause in causes] or [answer.message]
    return ErrorClass.IMMUTABLE if any(_AFTER_WORDS.search(text) for text in texts) else ErrorClass.INVALID


def _all_causes(answer: Status) -> Sequence[Cause]:
    return (answer.details.causes or ()) if answer.details else ()


def _has_cause(answer: Status, reason: str) -> bool:
    return any(cause.reason == reason for cause in _all_causes(answer))


# What it says


def is_no_right(message: str) -> bool:
    """Whether a message says that RBAC gives whoever asked no right to it."""
    return NO_RIGHT in message or _REFUSED_BY_RBAC.search(message) is not None


def _message(status: int, answer: Status, verb: str, ref: ObjectRef | None, kind: ErrorClass) -> str:
    if ref and is_secret_like(ref):
        if status == 403 and _REFUSED_BY_RBAC.search(answer.message):
            return f"{verb} {ref}: Forbidden: {NO_RIGHT}"
        fields = ", ".join(sorted({cause.field for cause in _all_causes(answer) if cause.field}))
        return f"{verb} {ref}: {one_line(answer.reason, 100) or kind}" + (f" ({one_line(fields)})" if fields else "")
    if answer.message:
        return one_line(answer.message)
    return f"{verb} {ref or 'collection'}: HTTP {status} without a readable Status"


def _causes(answer: Status, ref: ObjectRef | None) -> tuple[tuple[str, str, str], ...]:
    keep = not (ref and is_secret_like(ref)) or _has_cause(
        answer, "FieldManagerConflict"
    )  # conflict texts name managers only
    return tuple(
        (one_line(cause.field), one_line(cause.reason), one_line(cause.message) if keep else "")
        for cause in _all_causes(answer)
    )


def _seconds(header: str) -> float | None:
    """Retry-After in seconds; a date or garbage is left to the caller's backoff (F4)."""
    return min(float(header), RETRY_AFTER_LIMIT) if header.isascii() and header.isdigit() else None


def _transport_words(error: Exception) -> str:
    if _is_header(error):
        return "a header of the request cannot be sent"  # http.client quotes it, and it may be who asks
    reason = str(getattr(error, "reason", "") or error)
    return one_line(f"{type(error).__name__}: {reason}")[:300]
