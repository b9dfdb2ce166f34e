"""Reads the trailers of commit messages (D3)."""

import re

_TRAILER = re.compile(r"([A-Za-z0-9][A-Za-z0-9-]{0,63}): (\S.{0,1000})")


def trailers(commit: bytes) -> tuple[tuple[str, str], ...]:
    """The (key, value) trailers of one commit object: the last paragraph of its message, if every line of it is one.

    Stricter than git (no continuation lines, no paragraphs with other text), because a trailer can be an approval. A
    message that is only a subject has none.
    """
    _, _, message = commit.partition(b"\n\n")
    paragraphs = re.split(r"\n\s*\n", message.decode("utf-8", "replace").strip())
    found = [_TRAILER.fullmatch(line.rstrip()) for line in paragraphs[-1].splitlines()]
    if len(paragraphs) < 2 or not all(found):
        return ()
    return tuple((match[1], match[2]) for match in found if match)
