"""How many items the pages of a forge's list have, which is learned from its answers."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from reconciler.errors import Stalled


class Sizes(Struct, frozen=True):
    """How many items the pages of a list have: `whole` is what a page has that is not too large, as far as is known, `most` are asked for,
    and the server is known to give pages of up to `sure`. Many give fewer than they are asked for (MAX_RESPONSE_ITEMS of Gitea and
    Forgejo): a page then begins elsewhere than the one asked for."""

    whole: int
    most: int
    sure: int = 0

    def after(self, seen: int) -> Iterator[int]:
        """The sizes of pages that begin after `seen` items, largest first; the last is 1."""
        size = self.most
        while size > 1:
            if seen % size == 0:
                yield size
            size //= next(factor for factor in range(2, size + 1) if size % factor == 0)
        yield 1

    def tells(self, seen: int, size: int, count: int) -> bool:
        """Whether `count` items, of a page of `size` after `seen` others, begin there: not if the server may give no such pages."""
        return count == size or seen == 0 or size <= max(1, self.sure)

    def learned(self, seen: int, size: int, count: int, *, more: bool) -> Sizes:
        """What is known after such an answer. Raises Stalled("ForgeAnswer") where it fits no size of pages."""
        if count == size:
            return Sizes(self.whole, self.most, max(self.sure, size))
        if not self.tells(seen, size, count):
            told = more and 0 < count < size
            return Sizes(count, count, count) if told else Sizes(self.whole, self.sure, self.sure)
        if ((more or count > size) and seen) or (more and not 0 < count < size):
            raise Stalled("the pages of a list of the forge are of uneven sizes", reason="ForgeAnswer")
        return Sizes(count, count, count) if more else self
