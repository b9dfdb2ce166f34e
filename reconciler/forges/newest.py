"""The comments of a change request: the newest come first, and what is read of them is bounded, because anybody may write more."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import TypeVar

from msgspec import Struct

from reconciler.errors import NidusError, Unavailable
from reconciler.forges.answers import Unread, is_of_content
from reconciler.model import Comment

T = TypeVar("T")
P = TypeVar("P")
REQUESTS = 12  # for the comments of one change request at a time
PAGES = 3  # whole ones, of the newest
PARTS = 10  # of a page that is too large
FAILURES = 3  # of the forge, while these are read


class Comments(Struct, frozen=True):
    """Comments, oldest first. Not `whole`: some between were not read."""

    found: tuple[Comment, ...] = ()
    whole: bool = True


def read(
    parts: Iterable[P],
    ask: Callable[[P], Iterable[T | Unread]],
    split: Callable[[P], Sequence[P]],
    most: int = REQUESTS,
) -> tuple[list[T], bool]:
    """What `ask` gives for each of the parts, in this order, and whether that is all: a part that is too large, or over which the forge
    fails, is split, and left out where it cannot be, or once `most` were asked for. Raises Unavailable where the forge fails over each
    part, or over more than FAILURES: what it has is not known then."""
    found, whole, left, failures, answered = list[T](), True, deque(parts), 0, False
    while left:
        if most == 0:
            return found, False
        most, part = most - 1, left.popleft()
        try:
            items = [*ask(part)]
        except NidusError as error:
            smaller = split(part) if is_of_content(error) else ()
            failures += isinstance(error, Unavailable)
            if not is_of_content(error) or failures > FAILURES or (failures and not (smaller or left or answered)):
                raise
            whole = whole and bool(smaller)
            left.extendleft(reversed(smaller))
        else:
            read = [one for one in items if not isinstance(one, Unread)]
            found, whole, answered = [*found, *read], whole and len(read) == len(items), True
    return found, whole


def smaller(part: tuple[int, int]) -> list[tuple[int, int]]:
    """A page (how many items it has, its number, from 1) in parts, the last first."""
    size, page = part
    return [(size // PARTS, page * PARTS - index) for index in range(PARTS)] if size >= PARTS else []


def of(found: Iterable[Comment], *, whole: bool) -> Comments:
    """Each once, oldest first."""
    return Comments(tuple(one for _, one in sorted({one.id: one for one in found}.items())), whole)


def instant(seconds: float) -> str:
    """A time of a forge, as its API takes it; one that no forge has is the nearest that it may have."""
    return datetime.fromtimestamp(min(max(0.0, seconds), 4e9), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
