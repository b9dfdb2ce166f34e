"""Texts that mean something elsewhere and nothing here: typographic quotes around a value, templates of Helm. For warnings.

No message contains a value of the file, which may be secret.
"""

import re
from collections.abc import Iterator
from itertools import islice

from reconciler.model import Violation
from reconciler.patterns import lazy
from reconciler.spec import marks
from reconciler.spec.codes import Code

TEMPLATE = "write ${{ variables.NAME }} and declare the variable in the profile, or make the folder a chart"
AS_KEY = f"where it is a template of Helm, which is not filled in here: {TEMPLATE}"
_STRAIGHT = "write straight quotes (\" or '), or none"
_TOLD = 20  # of one file
_LOOKED = 400  # characters of a value that are looked at
_CALL = r"\{\{-?[ \t]*\.(?:Values|Release|Chart|Capabilities|Files)\b"
_TEMPLATE, _TEMPLATES = lazy(_CALL), lazy(_CALL.encode())
_QUOTES = lazy(rb"\xe2\x80[\x98-\x9f]|\xc2[\xab\xbb]")
_QUOTED = lazy(r"[“”„‘’‚«»][^“”„‘’‚«»]*[“”‘’«»][ \t]*(?:$|[,\]}]|[ \t]#)")


def quoted(path: str, data: bytes) -> tuple[Violation, ...]:
    """A warning for each scalar of a file that begins and ends with typographic quotes; the first ones of many."""
    if _QUOTES.search(data) is None:
        return ()
    message = "typographic quotes: they are a part of the value"
    found = (place for place, text in _scalars(data) if _QUOTED.match(text))
    return tuple(Violation(path, *place, Code.SLIP, message, hint=_STRAIGHT) for place in islice(found, _TOLD))


def templates(path: str, data: bytes) -> tuple[Violation, ...]:
    """A warning for each scalar of one line that names a value of a chart; the first ones of many."""
    if _TEMPLATES.search(data) is None:
        return ()
    message = "a template of Helm, which is not filled in here"
    found = (place for place, text in _scalars(data) if text[:1] not in "|>{[" and _TEMPLATE.search(_bare(text)))
    return tuple(Violation(path, *place, Code.SLIP, message, hint=TEMPLATE) for place in islice(found, _TOLD))


def _scalars(data: bytes) -> Iterator[tuple[marks.Place, str]]:
    """Where each value stands, and the beginning of its line from there on."""
    lines = data.decode(errors="replace").split("\n")
    for places in marks.read(data):
        above = {pointer.rpartition("/")[0] for pointer in places if pointer}
        for line, column in sorted({place for pointer, (place, _) in places.items() if pointer not in above}):
            yield (line, column), lines[line - 1][column - 1 : column - 1 + _LOOKED] if line <= len(lines) else ""


def _bare(text: str) -> str:
    """What of a line belongs to the scalar that begins it, without the comment behind."""
    return re.split(r"[ \t]#", text, maxsplit=1)[0]
