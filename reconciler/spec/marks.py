"""Positions inside a YAML file. The file is read again for them only after a mistake, because parsing keeps none
(V1)."""

import re
from collections.abc import Mapping

from reconciler.patterns import lazy

Place = tuple[int, int]
Places = tuple[Place, Place]
_START: Place = (1, 1)
_PLAIN = lazy(r"[-+.:0-9A-Za-z]{1,100}", re.ASCII)


def read(data: bytes) -> list[dict[str, Places]]:
    """Per document (empty ones left out, as the parser does) pointer -> places, 1-based (line, column): of what it means, and of its key.

    A scalar is where its value stands, a list or mapping where its key stands. What follows a syntax error is missing.
    """
    from reconciler.spec import walked  # libyaml is loaded where there is a mistake

    return walked.read(data)


def place(data: bytes, offset: int) -> Place:
    """1-based line and column of an offset."""
    head = data[:offset]
    return head.count(b"\n") + 1, offset - (head.rfind(b"\n") + 1) + 1


def find(places: Mapping[str, Places], pointer: str, *, key: bool = False) -> Place:
    """The place of a pointer, or of its nearest parent that stands in the file; with `key` that of the field's name."""
    while pointer not in places and pointer:
        pointer = pointer.rpartition("/")[0]
    return places.get(pointer, (_START, _START))[key]


def text(data: bytes, document: int, pointer: str) -> str:
    """A plain scalar of one line as it stands in the nth document of a file; "" where none stands at the pointer."""
    documents = read(data)
    if document >= len(documents) or pointer not in documents[document]:
        return ""
    (line, column), _ = documents[document][pointer]
    lines = data.decode(errors="replace").splitlines()
    found = _PLAIN.match(lines[line - 1], column - 1) if line <= len(lines) else None
    return found[0] if found else ""
