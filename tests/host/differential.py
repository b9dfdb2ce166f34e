"""The same calls to a real API server and to the one in memory: how calls are made up, sent, and their answers made comparable.

A history is a list of steps in a namespace of its own. What differs from server to server (uids, versions, times, addresses)
is named in a step by what it is, and taken out of the answers.
"""

import json
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlencode

import urllib3

from devhost.api import Access
from tests.memory.server import Server

Object = dict[str, Any]
Answer = tuple[int, Object]
APPLY, MERGE, JSON = "application/apply-patch+yaml", "application/merge-patch+json", "application/json"


@dataclass(frozen=True, slots=True)
class Step:
    """One call. In `body` and `query` the words $uid and $version stand for those of the object last seen under `path`, $old for the
    version seen first, $next for the continue token of the last list."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    body: Any = None
    content: str = JSON

    def __str__(self) -> str:
        query = f"?{urlencode(dict(self.query))}" if self.query else ""
        return f"{self.method} {self.path}{query}" + (f" {json.dumps(self.body)}" if self.body is not None else "")


class Side(Protocol):
    """A server: `send` gives the status and the decoded body."""

    def send(self, method: str, path: str, query: Mapping[str, str], body: bytes | None, content: str) -> Answer: ...


class Real:
    """A real API server."""

    def __init__(self, access: Access) -> None:
        import ssl

        context = ssl.create_default_context(cafile=str(access.ca))
        context.load_cert_chain(str(access.certificate), str(access.key))
        self._server = access.server
        self._pool = urllib3.PoolManager(ssl_context=context, retries=False, timeout=30.0)

    def send(self, method: str, path: str, query: Mapping[str, str], body: bytes | None, content: str) -> Answer:
        url = self._server + path + (f"?{urlencode(query)}" if query else "")
        headers = {"Content-Type": content, "Accept": "application/json", "User-Agent": "test"}
        answer = self._pool.request(method, url, headers=headers, body=body)
        return answer.status, _decoded(answer.data)

    def lines(self, path: str, query: Mapping[str, str], count: int) -> list[Object]:
        """The first `count` events of a watch."""
        answer = self._pool.request(
            "GET", f"{self._server}{path}?{urlencode(query)}", headers={"User-Agent": "test"}, preload_content=False
        )
        found: list[Object] = []
        rest = b""
        for chunk in answer.read_chunked() if count else ():
            *whole, rest = (rest + chunk).split(b"\n")
            found += [json.loads(line) for line in whole if line]
            if len(found) >= count:
                break
        answer.close()
        return found

    def close(self) -> None:
        self._pool.clear()


class Memory:
    """The server in memory."""

    def __init__(self, server: Server) -> None:
        self.server = server

    def send(self, method: str, path: str, query: Mapping[str, str], body: bytes | None, content: str) -> Answer:
        headers = {"Content-Type": content, "User-Agent": "test"}
        answer = self.server.request(method, path, query, headers, body or b"")
        return answer.status, _decoded(answer.body)

    def lines(self, path: str, query: Mapping[str, str]) -> list[Object]:
        """Every event of a watch so far."""
        stream = self.server.request("GET", path, query, {}).stream
        assert stream is not None
        found = [json.loads(line) for line in stream.next(0) or ()]
        stream.close()
        return found


def _decoded(body: bytes) -> Object:
    try:
        found = json.loads(body)
    except ValueError:
        return {"text": body.decode(errors="replace")}
    return found if isinstance(found, dict) else {"items": found}


# Playing


@dataclass(slots=True)
class Player:
    """One side's part of a history: what it has seen, to fill in what a step leaves open."""

    side: Side
    seen: dict[str, list[Object]] = field(default_factory=dict)
    next: str = ""

    def play(self, step: Step) -> Answer:
        """Send a step; the answer as it came."""
        key = step.path.removesuffix("/status").removesuffix("/scale")
        known = [one["metadata"] for one in self.seen.get(key, ())]
        words = {
            "$uid": known[-1]["uid"] if known else "00000000-1111-2222-3333-444444444444",
            "$version": known[-1]["resourceVersion"] if known else "1",
            "$old": known[0]["resourceVersion"] if known else "1",
            "$next": self.next,
        }
        body = None if step.body is None else json.dumps(_filled(step.body, words)).encode()
        status, answer = self.side.send(step.method, step.path, _filled(dict(step.query), words), body, step.content)
        meta = answer.get("metadata") or {}
        self.next = str(meta.get("continue", ""))
        if status < 300 and meta.get("uid") and ("dryRun", "All") not in step.query:
            name = f"{key}/{meta['name']}" if step.method == "POST" else key
            self.seen.setdefault(name, []).append(answer)
        return status, answer


def _filled(value: Any, words: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {name: _filled(one, words) for name, one in value.items()}
    if isinstance(value, list):
        return [_filled(one, words) for one in value]
    return words.get(value, value) if isinstance(value, str) else value


@dataclass(frozen=True, slots=True)
class Difference:
    """The shortest history that is answered differently, and both answers to its last step."""

    steps: Sequence[Step]
    real: Answer
    memory: Answer

    def __str__(self) -> str:
        lines = [str(step) for step in self.steps]
        lines += [
            f"real   {json.dumps(self.real, sort_keys=True)}",
            f"memory {json.dumps(self.memory, sort_keys=True)}",
        ]
        return "\n".join(["", *lines, *_between(self.real, self.memory)])


def _between(real: Any, memory: Any, path: str = "") -> list[str]:
    if isinstance(real, dict) and isinstance(memory, dict):
        names = sorted({*real, *memory})
        return [line for name in names for line in _between(real.get(name), memory.get(name), f"{path}.{name}")]
    if isinstance(real, list | tuple) and isinstance(memory, list | tuple) and len(real) == len(memory):
        return [line for at in range(len(real)) for line in _between(real[at], memory[at], f"{path}[{at}]")]
    return [] if real == memory else [f"{path}: real {json.dumps(real)}, memory {json.dumps(memory)}"]


def difference(real: Side, memory: Side, steps: Sequence[Step]) -> Difference | None:
    """The first difference in the answers of both, with the steps up to it."""
    left, right = Player(real), Player(memory)
    for at, step in enumerate(steps):
        a, b = comparable(left.play(step)), comparable(right.play(step))
        if a != b:
            return Difference(steps[: at + 1], a, b)
    return None


# Comparing

_UID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TIME = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
_ADDRESS = re.compile(r"\b10\.\d+\.\d+\.\d+\b")
_STORAGE = re.compile(r"StorageError: .*AdditionalErrorMsg: ")


def comparable(answer: Answer) -> Answer:
    """An answer without what no two servers share."""
    status, body = answer
    told = _plain(body)
    if (told.get("details") or {}).get("causes"):
        del told["message"]  # it says what the causes say
    return status, told


def _plain(value: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        return {key: _plain(one, key) for key, one in value.items() if key != "time"}
    if isinstance(value, list):
        if not value and name == "rules":
            return None  # a real server has [] until it has read it back
        items = [_plain(one) for one in value]
        if name == "causes":  # of several managers in any order
            return sorted(items, key=lambda one: json.dumps(one, sort_keys=True))
        return sorted(items, key=_rank) if name == "managedFields" else items
    if isinstance(value, str):
        return _plain_text(value, name)
    return "PORT" if name == "nodePort" and value else value


def _rank(entry: Object) -> str:
    return json.dumps([entry.get(name, "") for name in ("operation", "manager", "apiVersion", "subresource")])


def _plain_text(value: str, name: str) -> str:
    if name in ("resourceVersion", "continue"):
        return name.upper() if value else ""
    for pattern, word in ((_STORAGE, ""), (_UID, "UID"), (_TIME, "TIME"), (_ADDRESS, "ADDRESS")):
        value = pattern.sub(word, value)
    return value


# Making up


def chance(dice: random.Random, share: float) -> bool:
    """True in that share of the cases."""
    return dice.random() < share
