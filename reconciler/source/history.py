"""Reads commit objects: who wrote one, and its trailers (D3)."""

import re

from reconciler.errors import one_line
from reconciler.model import Authored
from reconciler.patterns import lazy

LONGEST = 64 << 10
"""Bytes of a commit object that is looked at; a longer one has no trailers for us."""

_AUTHOR = lazy(rb"^author ([^\n]{0,1000}>) (\d{1,12}) [-+]\d{4}$", re.M)
SHOWN = 200  # characters of a name and of a first line
_TRAILER = lazy(r"([A-Za-z0-9][A-Za-z0-9-]{0,63}): (\S.{0,1000})")


def trailers(commit: bytes) -> tuple[tuple[str, str], ...]:
    """The (key, value) trailers of one commit object: the last paragraph of its message, if every line of it is one.

    Stricter than git (no continuation lines, no paragraphs with other text), because a trailer can be an approval. A
    message that is only a subject has none.
    """
    _, _, message = commit.partition(b"\n\n")
    lines = [line.rstrip() for line in message.decode("utf-8", "replace").strip().splitlines()]
    blank = next((index for index in reversed(range(len(lines))) if not lines[index]), None)
    if blank is None:
        return ()
    found = [_TRAILER.fullmatch(line) for line in lines[blank + 1 :]]
    if not all(found):
        return ()
    return tuple((match[1], match[2]) for match in found if match)


def authored(commit: bytes) -> Authored | None:
    """Who wrote a commit, as its object says (anybody may write any name there); None where it has no author that can be read."""
    head, _, message = commit.partition(b"\n\n")
    found = _AUTHOR.search(head)
    if found is None:
        return None
    first = message.decode("utf-8", "replace").strip().partition("\n")[0]
    return Authored(one_line(found[1].decode("utf-8", "replace"), SHOWN), one_line(first, SHOWN), float(found[2]))
