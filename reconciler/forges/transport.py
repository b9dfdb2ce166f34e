"""HTTP to one forge: each request is sent once, over a connection of its own, and ends by its deadline. What comes back is
checked before anybody reads it (B9)."""

import re
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from pathlib import Path
from typing import Annotated, Any, Generic, Protocol, TypeVar
from urllib.parse import urlencode, urlsplit

import msgspec
from msgspec import Struct, field
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError

from reconciler import decoding
from reconciler.deadline import Deadline
from reconciler.errors import UNREADABLE, NidusError, Stalled, Unavailable
from reconciler.forges.shortened import Shortened
from reconciler.forges.sizes import Sizes
from reconciler.patterns import lazy

T = TypeVar("T")
DEADLINE = 20.0  # seconds for a request and its whole answer
SIZE = 8 << 20  # bytes of an answer, without the longest texts where it has more
READ = 32 * SIZE  # bytes with them
CHUNK = 1 << 16
PAGES = 50  # of one list
LISTING = 600.0  # seconds for one list
LOST = 20  # items of one list that the forge may fail to give alone
LONGEST = 3600.0  # seconds a forge may ask us to wait
LEAST = 60.0  # seconds to wait where it refuses for a limit and does not say how long
AGENT = "nidus"
Commit = Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{40}|[0-9a-f]{64})?\Z")]  # "" where there is none
Name = Annotated[str, msgspec.Meta(max_length=300)]
Moment = Annotated[datetime, msgspec.Meta(tz=True)]  # one without a zone is another time on each machine, or none
Page = Annotated[str, msgspec.Meta(max_length=2000)]  # an address that people open; what may stand in it says `page`
_PAGE = lazy(r"https?://[A-Za-z0-9.:-]{1,255}(/[A-Za-z0-9._~/-]{0,1000})?", re.ASCII)
LINK = 8192  # characters of the header that are read
_LAST = lazy(r"[?&]page=([0-9]{1,6})[^>]{0,2000}>; rel=\"last\"", re.ASCII)
LOCAL = frozenset({"127.0.0.1", "localhost", "::1"})


_alive: ContextVar[Callable[[], None]] = ContextVar("alive", default=lambda: None)


@contextmanager
def beating(alive: Callable[[], None]) -> Iterator[None]:
    """While this is entered, `alive` is called before each request of this thread: many requests that are slow are no stalled loop (H3)."""
    token = _alive.set(alive)
    try:
        yield
    finally:
        _alive.reset(token)


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


class Issuer(Protocol):
    """What gives tokens that do not lie in a file."""

    def token(self) -> str:
        """A token for one request."""
        ...

    def drop(self, token: str) -> None:
        """The forge refused it."""
        ...


class Transport(Struct, frozen=True):
    """`api` is the address below which everything is asked for; nothing is ever sent elsewhere, so redirects are refused.
    `sign` makes the headers of a token, which is read from `token_file` for each request (F28), or given by `issued`."""

    api: str
    token_file: str
    ca_file: str = ""
    sign: Callable[[str], Mapping[str, str]] = field(default=lambda token: {"Authorization": f"Bearer {token}"})
    deadline: float = DEADLINE
    issued: Issuer | None = None

    def get(self, kind: type[T], path: str, **query: str | int) -> T:
        """The answer as a `kind`. Raises Stalled("ForgeRefused"), ("ForgeMissing"), ("ForgeAnswer"), Unavailable("ForgeUnreachable"),
        ("ForgeLimited"), as every call does."""
        return decoded(self.send("GET", _path(path, query)).body, kind)

    def find(self, kind: type[T], path: str, **query: str | int) -> T | None:
        """As `get`; None where the forge says 404."""
        try:
            return self.get(kind, path, **query)
        except Stalled as error:
            if error.reason != "ForgeMissing":
                raise
            return None

    def page(self, path: str, query: Mapping[str, str | int]) -> Answer:
        """One page of a list. Raises TooLarge, as `send`."""
        return self.send("GET", _path(path, query))

    def pages(
        self, kind: type[T], path: str, size: tuple[str, int], up: Callable[[], object], **query: str | int
    ) -> Iterator[T | Unread]:
        """Every item of a list, page by page; `size` is how the number of items of a page is called, and that number. One that cannot be
        read by itself is Unread, and the others are read; `up` is called where the forge fails, and raises where it always does. Raises
        Stalled("ForgeAnswer") for a list of more than PAGES pages, that takes longer than LISTING, whose pages are of uneven sizes, or
        that has more than LOST items the forge cannot give: a part is not the list."""
        asked, known = _List(kind, path, query, size[0], time.monotonic() + LISTING), Sizes(size[1], size[1])
        seen, more, lost = 0, True, 0
        while more:
            if seen >= PAGES * known.whole:
                raise Stalled(f"the forge lists more than {PAGES} pages", reason="ForgeAnswer")
            items, more, known = self._page(asked, known, seen, up)
            lost += sum(isinstance(one, Unread) and one.lost for one in items)
            if lost > LOST:
                raise Stalled(f"the forge fails over more than {LOST} items of a list", reason="ForgeAnswer")
            yield from items
            seen += len(items)

    def _page(
        self, asked: "_List[T]", known: Sizes, seen: int, up: Callable[[], object]
    ) -> tuple[list[T | Unread], bool, Sizes]:
        """The items that come after `seen` others, none where they are to be asked for anew, whether there are more, and what is known
        then. Anybody may write texts so long that a page of them is too large, or that the forge does not come to an end of it: it is
        asked for in smaller ones."""
        for size in known.after(seen):
            if time.monotonic() > asked.ends:
                raise Stalled(f"a list of the forge takes longer than {LISTING:g} s", reason="ForgeAnswer")
            page = seen // size + 1
            try:
                answer = self.send("GET", _path(asked.path, {**asked.query, asked.size: size, "page": page}))
                items = readable(answer.body, asked.kind)
            except NidusError as error:
                if not is_of_content(error):
                    raise
                if isinstance(error, Unavailable):
                    up()
                if size == 1:
                    return [Unread(error.message, lost=True)], True, known
            else:
                more = answer.more(seen + len(items), len(items))
                learned = known.learned(seen, size, len(items), more=more)
                return (items, more, learned) if known.tells(seen, size, len(items)) else ([], True, learned)
        raise AssertionError("a page of one item was asked for")

    def made(self, kind: type[T], path: str, body: Any, method: str = "POST") -> T:
        """What a request made, as a `kind`."""
        return decoded(self.send(method, path, body).body, kind)

    def send(self, method: str, path: str, body: Any = None) -> Answer:
        """One request; `path` begins with a slash and is below `api`."""
        _alive.get()()
        parts = urlsplit(self.api)
        token = self.issued.token() if self.issued else _token(self.token_file)
        headers = {"Accept": "application/json", "User-Agent": AGENT, **self.sign(token)}
        if body is not None:
            headers["Content-Type"] = "application/json"
        data = msgspec.json.encode(body) if body is not None else None
        connection = self._connection(parts.scheme, parts.hostname or "", parts.port)
        with _Ended(connection, self.deadline) as ended:
            connection.connect()
            ended.sock = connection.sock
            connection.request(method, parts.path.rstrip("/") + path, data, headers, preload_content=False)
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.headers.items()}
            content = _read(response)
        if self.issued and response.status == 401:
            self.issued.drop(token)
        if not 200 <= response.status < 300:
            raise refusal(response.status, found, time.time())
        return Answer(found, content)

    def _connection(self, scheme: str, host: str, port: int | None) -> HTTPConnection:
        if scheme != "https" and host not in LOCAL:
            raise Stalled("a token is sent over https only", reason="ForgeRefused", hint="spec.sources[].forge.api")
        if scheme != "https":
            return HTTPConnection(host, port, timeout=self.deadline)
        try:
            context = ssl.create_default_context(cafile=self.ca_file or None)
        except (OSError, ssl.SSLError) as error:
            hint = "spec.sources[].forge.caFile"
            raise Stalled("the file of certificates cannot be read", reason="ForgeRefused", hint=hint) from error
        return HTTPSConnection(host, port, timeout=self.deadline, ssl_context=context)


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


class _List(Struct, Generic[T], frozen=True):
    """A list that is asked for page by page, until `ends` (time.monotonic()). `size`: how the number of items of a page is called."""

    kind: type[T]
    path: str
    query: Mapping[str, str | int]
    size: str
    ends: float


def _path(path: str, query: Mapping[str, str | int]) -> str:
    return f"{path}?{urlencode(query)}" if query else path


def _token(file: str) -> str:
    try:
        token = Path(file).read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        hint = "spec.sources[].forge.tokenFile"
        raise Stalled("the forge's token cannot be read", reason="ForgeRefused", hint=hint) from error
    if not token or not token.isprintable() or " " in token:
        raise Stalled("the file of the forge's token is empty or holds more than a token", reason="ForgeRefused")
    return token


def _read(response: Any) -> bytes:
    """All of an answer; where that is more than SIZE, without its longest texts."""
    found, shortened, size = bytearray(), Shortened(), 0
    while chunk := response.read(CHUNK):
        size += len(chunk)
        if size <= SIZE:
            found += chunk
            continue
        shortened.feed(found + chunk)
        found = bytearray()
        if len(shortened.kept) > SIZE or size > READ:
            response.close()  # it holds the socket, which nobody reads to its end
            raise TooLarge(f"an answer of the forge has more than {SIZE >> 20} MiB", reason="ForgeAnswer")
    return bytes(shortened.kept or found)


class _Ended(Deadline):
    """A request to a forge; failures become Unavailable."""

    def __enter__(self) -> "_Ended":
        self.begin()
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.end()
        if self.late:  # whatever came: its end may be where it was cut
            told = f"the forge does not answer within {self.seconds:g} s"
            raise Unavailable(told, reason="ForgeUnreachable") from None
        if isinstance(error, HTTPError | HTTPException | OSError | ValueError):
            told = f"the forge cannot be reached ({type(error).__name__})"
            raise Unavailable(told, reason="ForgeUnreachable") from None
