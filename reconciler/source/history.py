"""Reads the trailers of commit messages (D3)."""

import re

LONGEST = 64 << 10
"""Bytes of a commit object that is looked at; a longer one has no trailers for us."""

_TRAILER = re.compile(r"([A-Za-z0-9][A-Za-z0-9-]{0,63}): (\S.{0,1000})")


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
