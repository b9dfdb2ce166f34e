"""A whole list, page by page: smaller pages where they are too large, and an end whatever the server says (S3, A8)."""

from collections.abc import Callable

from reconciler.errors import ApiError, ErrorClass
from reconciler.kube import shape, weight
from reconciler.kube.errors import Oversized, broken
from reconciler.kube.shape import Asked, Head, Kept
from reconciler.kube.transport import Call, Limits
from reconciler.model import replace

PAGE = 500  # objects
SMALLER = 5  # a page that is too large is asked for again with so many times fewer objects
PAGES = 2000  # pages of one list: a million objects
Heads = list[Head]
Raws = list[tuple[Head, bytes]]
Send = Callable[[Call], bytes]


def everything(head: Head, raw: bytes) -> tuple[Head, bytes]:
    """Keep an item as it came."""
    return head, raw


def collect(send: Send, call: Call, asked: Asked, limits: Limits, kept: Kept, *, partial: bool) -> tuple[Raws, str]:
    """The items of a list, as far as `kept` keeps them, and its resourceVersion. What is kept counts against `limits`.

    `partial` = metadata alone is asked for. An expired page starts over once, then raises RELIST. Raises ApiError.
    """
    try:
        return _collected(send, call, asked, limits, kept, partial)
    except ApiError as error:
        if error.kind is not ErrorClass.RELIST:
            raise
    return _collected(send, call, asked, limits, kept, partial)


def _collected(send: Send, call: Call, asked: Asked, limits: Limits, kept: Kept, partial: bool) -> tuple[Raws, str]:
    query = {**(call.query or {}), "limit": str(PAGE)}
    items: Raws = []
    size = values = 0
    for _ in range(PAGES):
        page = shape.page(_page(send, replace(call, query=query), query), asked, partial=partial, kept=kept)
        size += sum(len(raw) for _, raw in page.items)
        values += sum(weight.values(raw) for _, raw in page.items)
        if size > limits.whole or values > limits.values:
            break
        items += page.items
        if not page.more:
            return items, page.version
        query["continue"] = page.more
    raise broken("list", f"its list of {asked.resource.kind} does not end")


def _page(send: Send, call: Call, query: dict[str, str]) -> bytes:
    """One page; of fewer objects, from here on, where it is too large."""
    while True:
        try:
            return send(call)
        except Oversized:
            if query["limit"] == "1":
                raise
        query["limit"] = str(max(1, int(query["limit"]) // SMALLER))
