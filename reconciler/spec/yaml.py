"""Strict YAML for documents of people (V1), built from libyaml's event stream without recursion.

Refused: anything but UTF-8, anchors, aliases, merge keys, tags, directives, duplicate and non-string keys, ambiguous
plain scalars, nesting, nodes and documents beyond the limits. Depth is checked while events arrive, because libyaml's
own loader crashes on deep input. Positions are not kept for sound files; `locate` reads them again where something
failed.
"""

from functools import lru_cache

from msgspec import Struct

from reconciler.model import Document, Limits, Violation
from reconciler.spec import marks
from reconciler.spec.codes import Code
from reconciler.spec.scalars import EXACT
from reconciler.spec.units import room, size

_LFS = b"version https://git-lfs.github.com/spec/"


class Parsed(Struct, frozen=True):
    """The documents of one file, or (also) what is wrong with it. Empty documents are left out.

    `whole`: the file could be read to its end, so its documents are there although some scalars are wrong.
    """

    documents: tuple[Document, ...]
    violations: tuple[Violation, ...] = ()
    whole: bool = True


def locate(data: bytes, document: int, pointer: str, *, key: bool = False) -> tuple[int, int]:
    """1-based line and column of a pointer in the nth document of a file, or of its nearest parent that stands there.

    A scalar is where its value stands (with `key`: where its name stands), a list or mapping where its name stands.
    """
    documents = _places(data)
    return marks.find(documents[document], pointer, key=key) if document < len(documents) else (1, 1)


@lru_cache(maxsize=2)
def _places(data: bytes) -> list[dict[str, marks.Places]]:
    """Every place in a file, read once for all mistakes in it."""
    return marks.read(data)


def parse(data: bytes, path: str, limits: Limits, *, largest: int = EXACT) -> Parsed:
    """Reads one file. Never raises for its content: mistakes are returned as violations with 1-based positions.

    `largest`: how far from zero whole numbers may lie.
    """
    refused = _refuse_bytes(data, path, limits)
    if refused:
        return Parsed((), (refused,), whole=False)
    from reconciler.spec import events  # libyaml is loaded when there is a file to read

    return Parsed(*events.read(data, path, limits, largest))


def _refuse_bytes(data: bytes, path: str, limits: Limits) -> Violation | None:
    if len(data) > size(limits.file):
        hint = f"split it, or set spec.limits.file to {room(len(data))} in the controller's configuration"
        return Violation(path, 1, 1, Code.TOO_LARGE, f"{len(data)} bytes, the limit is {limits.file}", hint=hint)
    if data.startswith(_LFS):
        return Violation(
            path, 1, 1, Code.LFS_POINTER, "a Git LFS pointer, not the content", hint="keep text out of LFS"
        )
    try:
        data.decode()
    except UnicodeDecodeError as error:
        line, column = marks.place(data, error.start)
        return Violation(path, line, column, Code.NOT_UTF8, "not UTF-8 text", hint="save the file as UTF-8")
    return None
