"""A forge on a real socket of the loopback, that speaks the documented API of one of three and is strict about it: who asks, how
many a page has, how long a text may be. It knows nothing of the product."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from tests.forge import githublike, gitlab
from tests.forge.state import State
from tests.forge.wire import Asked, Refused

SPEAKS: Mapping[str, Callable[[State, Asked], Any]] = {
    "github": githublike.github,
    "gitea": githublike.gitea,
    "gitlab": gitlab.gitlab,
}
PREFIX = {"github": "", "gitea": "/api/v1", "gitlab": "/api/v4"}


@dataclass
class Failure:
    """What is answered instead, `times` times, to requests whose path holds `where`. `drip`: seconds between two bytes. `late`: to
    requests that write, and they take effect all the same."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b"{}"
    where: str = ""
    times: int = 1_000_000
    drip: float = 0.0
    late: bool = False

    def meets(self, asked: Asked) -> bool:
        return self.times > 0 and self.where in asked.path and not (self.late and asked.method == "GET")


class Forge:
    """`state` is what it knows, `asked` what was asked for, `failures` what goes wrong, the first that fits first; `listed` is called
    once, when a list was made and is not sent yet."""

    def __init__(self, provider: str) -> None:
        self.provider, self.state = provider, State()
        self.asked: list[Asked] = []
        self.failures: list[Failure] = []
        self.listed: Callable[[], object] | None = None
        self.over = threading.Event()
        self.dripping = 0  # answers that are under way, byte by byte
        self._lock = threading.Lock()
        self._http = _Http(self)
        self.api = f"http://127.0.0.1:{self._http.server_address[1]}{PREFIX[provider]}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self.over.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(60.0)

    def fail(self, status: int, **more: Any) -> Failure:
        self.failures.append(Failure(status, **more))
        return self.failures[-1]

    def wrote(self, method: str = "") -> list[Asked]:
        """What was asked for that changes something."""
        return [one for one in self.asked if one.method != "GET" and method in ("", one.method)]

    def answer(self, asked: Asked) -> tuple[int, dict[str, str], bytes, float]:
        with self._lock:
            self.asked.append(asked)
            wrong = next((one for one in self.failures if one.meets(asked)), None)
            if wrong is not None:
                wrong.times -= 1
            if wrong is not None and not wrong.late:
                return wrong.status, dict(wrong.headers), wrong.body, wrong.drip
            try:
                found = SPEAKS[self.provider](self.state, asked)
            except Refused as refused:
                return refused.status, {}, json.dumps({"message": refused.message}).encode(), 0.0
        if wrong is not None:
            return wrong.status, dict(wrong.headers), wrong.body, wrong.drip
        if not isinstance(found, list):
            return (201 if asked.method == "POST" else 200), {}, json.dumps(found).encode(), 0.0
        if self.listed is not None:
            listed, self.listed = self.listed, None
            listed()
        return self._page(asked, found)

    def _page(self, asked: Asked, found: list[Any]) -> tuple[int, dict[str, str], bytes, float]:
        page, size = asked.page, asked.size
        shown = found[(page - 1) * size : page * size] if size else found
        headers = {"X-Total-Count": str(len(found))} if asked.counted else {}
        if asked.linked and size and page * size < len(found):
            last = -(-len(found) // size)
            where = [
                f"http://elsewhere.invalid{asked.path}?{urlencode({**asked.query, 'page': at})}"
                for at in (page + 1, last)
            ]
            headers["Link"] = f'<{where[0]}>; rel="next", <{where[1]}>; rel="last"'
        return 200, headers, json.dumps(shown).encode(), 0.0


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, forge: Forge) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.forge = forge

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""


class _Handler(BaseHTTPRequestHandler):
    disable_nagle_algorithm = True  # else a body waits 40 ms for the acknowledgement of its head

    def answer(self) -> None:
        forge: Forge = self.server.forge  # type: ignore[attr-defined]
        parts = urlsplit(self.path)
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        path = parts.path.removeprefix(PREFIX[forge.provider])
        body = json.loads(raw) if raw else None
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        status, more, found, drip = forge.answer(Asked(self.command, path, query, headers, body))
        self.send_response(status)
        for name, value in {"Content-Length": str(len(found)), **more}.items():
            self.send_header(name, value)
        self.end_headers()
        if not drip:
            self.wfile.write(found)
            return
        forge.dripping += 1
        try:
            for byte in found:
                if forge.over.wait(drip):
                    return
                self.wfile.write(bytes([byte]))
                self.wfile.flush()
        finally:
            forge.dripping -= 1

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815 (the names http.server calls)

    def log_message(self, format: str, *args: Any) -> None:
        """`asked` is the log."""
