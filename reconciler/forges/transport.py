"""HTTP to one forge: each request is sent once, over a connection of its own, and ends by its deadline. What comes back is
checked before anybody reads it (B9)."""

import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from http.client import HTTPException
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar
from urllib.parse import urlencode, urlsplit

import msgspec
from msgspec import Struct, field
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError

from reconciler.deadline import Deadline
from reconciler.errors import NidusError, Stalled, Unavailable
from reconciler.forges.answers import Answer, TooLarge, Unread, decoded, is_of_content, readable, refusal
from reconciler.forges.shortened import Shortened
from reconciler.forges.sizes import Sizes

T = TypeVar("T")
DEADLINE = 20.0  # seconds for a request and its whole answer
SIZE = 8 << 20  # bytes of an answer, without the longest texts where it has more
READ = 32 * SIZE  # bytes with them
CHUNK = 1 << 16
PAGES = 50  # of one list
LISTING = 600.0  # seconds for one list
LOST = 20  # items of one list that the forge may fail to give alone
AGENT = "nidus"
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
