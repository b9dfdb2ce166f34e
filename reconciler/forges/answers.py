"""What forges answer, checked before anybody reads it (B9)."""

import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Annotated, TypeVar

import msgspec
from msgspec import Struct

from reconciler import decoding
from reconciler.errors import UNREADABLE, NidusError, Stalled, Unavailable
from reconciler.patterns import lazy

T = TypeVar("T")
LONGEST = 3600.0  # seconds a forge may ask us to wait
LEAST = 60.0  # seconds to wait where it refuses for a limit and does not say how long
Commit = Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{40}|[0-9a-f]{64})?\Z")]  # "" where there is none
Name = Annotated[str, msgspec.Meta(max_length=300)]
Moment = Annotated[datetime, msgspec.Meta(tz=True)]  # one without a zone is another time on each machine, or none
Page = Annotated[str, msgspec.Meta(max_length=2000)]  # an address that people open; what may stand in it says `page`
_PAGE = lazy(r"https?://[A-Za-z0-9.:-]{1,255}(/[A-Za-z0-9._~/-]{0,1000})?", re.ASCII)
LINK = 8192  # characters of the header that are read
_LAST = lazy(r"[?&]page=([0-9]{1,6})[^>]{0,2000}>; rel=\"last\"", re.ASCII)


class TooLarge(Stalled):
    """An answer of more than SIZE bytes."""


class Formless(Stalled):
    """An answer in another form than its API's."""


class Unread(Struct, frozen=True):
    """An item of a list that cannot be read, and why. `lost`: the forge gives no answer that has only this one."""

    told: str
    lost: bool = False


class Answer(Struct, frozen=True):
    """A 2xx answer. Names of headers are lower case."""

    headers: Mapping[str, str]
    body: bytes

    @property
    def last(self) -> int:
        """The number of the last page of a list, as a forge says it that gives addresses of pages; 1 where it says none."""
        found = _LAST.search(self.headers.get("link", "")[:LINK])
        return int(found[1]) if found else 1

    def more(self, seen: int, here: int) -> bool:
        """Whether the forge says that a list has another page, after `seen` items of it, of which `here` are of this one. Its address is
        never followed. Gitea and Forgejo say of some lists, reviews among them, only how many items there are in all."""
        if "link" in self.headers:
            return 'rel="next"' in self.headers["link"]
        total = _number(self.headers.get("x-total-count", ""))
        return total is not None and here > 0 and seen < total


def page(address: str) -> str:
    """An address that may be written into a comment, without a slash at its end; "" of any other."""
    return address.rstrip("/") if _PAGE.fullmatch(address) else ""


def decoded(body: bytes, kind: type[T]) -> T:
    """JSON as a `kind`; fields that are not asked for are skipped. Raises Stalled("ForgeAnswer"), without a word of the body."""
    try:
        return decoding.decoded(body, kind)
    except UNREADABLE as error:
        raise Formless("the forge answers in a form that is not its API's", reason="ForgeAnswer") from error


def readable(body: bytes, kind: type[T]) -> list[T | Unread]:
    """The items of a list, each as a `kind`, or Unread where it is in another form. Raises Formless where it is no list."""
    try:
        return [*decoded(body, list[kind])]  # type: ignore[valid-type]
    except Formless:
        return [_item(one, kind) for one in decoded(body, list[msgspec.Raw])]


def _item(found: msgspec.Raw, kind: type[T]) -> T | Unread:
    try:
        return decoded(bytes(found), kind)
    except Formless as error:
        return Unread(error.message)


def is_of_content(error: NidusError) -> bool:
    """Whether this may come of what people wrote: less of it may be answered."""
    return isinstance(error, TooLarge | Formless) or error.reason == "ForgeUnreachable"


def refusal(status: int, headers: Mapping[str, str], now: float) -> NidusError:
    """What an answer that is no success means. A limit comes as 429, or as 403 with the forge's own headers."""
    limited = "retry-after" in headers or headers.get("x-ratelimit-remaining") == "0"
    if status == 429 or (status in (403, 503) and limited):
        after = _pause(headers, now)
        told = f"the forge asks to wait {after:.0f} s: its limit of requests is reached"
        return Unavailable(told, reason="ForgeLimited", after=after)
    if status in (401, 403):
        hint = "spec.sources[].forge.tokenFile or app: the token is wrong, has ended, or lacks a right"
        return Stalled(f"the forge refuses the token ({status})", reason="ForgeRefused", hint=hint)
    if status in (404, 410):
        told = "the forge has no such thing, or does not show it to this token"
        return Stalled(told, reason="ForgeMissing", hint="spec.sources[].forge.repository")
    if 300 <= status < 400:
        told = "the forge answers with another address, which is not followed"
        return Stalled(told, reason="ForgeAnswer", hint="spec.sources[].forge.api and repository, in their new form")
    if status >= 500 or status in (408, 409):
        return Unavailable(f"the forge fails ({status})", reason="ForgeUnreachable")
    return Stalled(f"the forge refuses a request ({status})", reason="ForgeAnswer")


def _pause(headers: Mapping[str, str], now: float) -> float:
    """Seconds to wait, as the forge says it: Retry-After in seconds or as a date, else the time its limit begins anew."""
    told = headers.get("retry-after", "")
    found = _number(told)
    if found is None and told:
        with suppress(TypeError, ValueError, OverflowError):
            found = parsedate_to_datetime(told).timestamp() - now
    if found is None and (reset := _number(headers.get("x-ratelimit-reset", headers.get("ratelimit-reset", "")))):
        found = reset - now
    return min(LONGEST, max(1.0, found if found is not None else LEAST))


def _number(text: str) -> float | None:
    return float(text) if text.isascii() and text.isdigit() and len(text) < 12 else None
