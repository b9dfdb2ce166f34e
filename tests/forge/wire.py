"""A request to a forge of the tests, and how one is refused."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


class Refused(Exception):
    def __init__(self, status: int, message: str = "") -> None:
        super().__init__(message)
        self.status, self.message = status, message


@dataclass
class Asked:
    """`page` and `size` are set by whoever answers with a list; size 0 means that the list has no pages. `counted`: the answer says how
    many items there are in all, `linked`: the address of the next page."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any = None
    page: int = 1
    size: int = field(default=0)
    counted: bool = False
    linked: bool = True

    def paged(self, name: str, usual: int, most: int, *allowed: str) -> None:
        """This list has pages of at most `most`; nothing but `allowed` may be asked for besides."""
        unknown = set(self.query) - {"page", name, *allowed}
        if unknown:
            raise Refused(400, f"unknown: {unknown}")
        self.page = int(self.query.get("page", 1))
        self.size = min(most, int(self.query.get(name, usual)))

    def text(self, name: str, longest: int) -> str:
        """A text of the body, refused where it is missing, empty or too long."""
        value = self.body.get(name) if isinstance(self.body, dict) else None
        if not isinstance(value, str) or not value or len(value) > longest:
            raise Refused(422, f"{name} is too long (maximum is {longest} characters)")
        return value

    def only(self, *names: str) -> None:
        if not isinstance(self.body, dict) or set(self.body) - set(names):
            raise Refused(422, "unknown fields")


def routed(routes: Sequence[tuple[str, str, Callable[..., Any]]], asked: Asked, rest: str, *given: Any) -> Any:
    """The answer of the first row (method, pattern, answer) that fits; `given` goes before what the pattern found."""
    for method, pattern, answer in routes:
        found = re.fullmatch(pattern, rest)
        if found and method == asked.method:
            return answer(*given, *found.groups())
    raise Refused(404, "Not Found")
