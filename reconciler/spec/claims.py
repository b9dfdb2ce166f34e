"""Which host names meet: one name made twice, and a domain (`*.NAME`) with every name below it."""

from bisect import bisect_left, bisect_right, insort
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from heapq import merge
from itertools import chain, islice
from typing import Any

Claim = tuple[str, str]
"""A cluster, and a name it makes."""
ALL = "*."  # before a name: all below it
_Row = tuple[Any, Claim]


class Claims:
    """Names that clusters make, each with those of others that it meets in the order of `rank`, the first to have it first.

    Adding, removing and asking for the first ones cost about as much as a name has labels, however many clusters there are.
    """

    def __init__(self, claims: Iterable[Claim], rank: Callable[[Claim], Any]) -> None:
        self._rank = rank
        self._of, self._below = defaultdict[str, list[_Row]](list), defaultdict[str, list[_Row]](list)
        for row in sorted((rank(claim), claim) for claim in claims):
            for rows in self._places(row[1][1]):
                rows.append(row)

    def add(self, claim: Claim) -> None:
        for rows in self._places(claim[1]):
            insort(rows, (self._rank(claim), claim))

    def remove(self, claim: Claim) -> None:
        """`claim` is one of them."""
        row = (self._rank(claim), claim)
        for rows in self._places(claim[1]):
            del rows[bisect_left(rows, row)]

    def rivals(self, claim: Claim, most: int) -> list[Claim]:
        """What others make that meets it, the first `most` of each name and domain."""
        met = (islice((row for row in rows if row[1][0] != claim[0]), most) for rows in self._met(claim[1]))
        return [other for _, other in merge(*met)]

    def preceded(self, claim: Claim) -> Claim | None:
        """The first of what others make that meets it, where that comes before it."""
        rivals = self.rivals(claim, 1)
        return rivals[0] if rivals and (self._rank(rivals[0]), rivals[0]) < (self._rank(claim), claim) else None

    def following(self, claim: Claim) -> Iterator[Claim]:
        """What others make that meets it and comes after it."""
        row = (self._rank(claim), claim)
        after = (rows[bisect_right(rows, row) :] for rows in self._met(claim[1]))
        return (other for _, other in chain.from_iterable(after) if other[0] != claim[0])

    def _places(self, name: str) -> Iterator[list[_Row]]:
        """Where a claim of this name is listed."""
        yield self._of[name]
        yield from (self._below[domain] for domain in domains(name))

    def _met(self, name: str) -> Iterator[list[_Row]]:
        """Where the claims are listed that meet this name."""
        yield self._of.get(name, [])
        yield self._below.get(name, [])
        yield from (self._of.get(domain, []) for domain in domains(name))


def domains(name: str) -> Iterator[str]:
    """`*.b.c` and `*.c` for `a.b.c` and for `*.a.b.c`: the domains that a name lies in."""
    rest = name.removeprefix(ALL)
    while "." in rest:
        rest = rest.partition(".")[2]
        yield ALL + rest
