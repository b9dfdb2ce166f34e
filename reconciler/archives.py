"""Archives at object stores: reads a snapshot back whole, and removes one (O7).

What is read was written by the engine of a tenant: it is unpacked step by step in memory of fixed size, and bounded.
"""

import hashlib
import time
import zlib
from collections.abc import Iterable
from contextlib import closing, suppress

from reconciler import stores
from reconciler.errors import one_line
from reconciler.model import Answer, Errand, Keys
from reconciler.stores import Failed, Refused

STEP = 1 << 20  # bytes unpacked at once
LARGEST = 16 << 30  # bytes of an archive, unpacked
MOST = 5_000_000  # entries
LEAST = 4  # bytes of the packed archive for an entry: one made of as good as nothing costs for long
FREE = 100_000  # entries that are not judged by that
MEMBERS = 1_000  # gzip members: each costs, also an empty one of 20 bytes; the engine writes one
BLOCK = 512  # bytes of a header of tar
OWN = b"vcluster/snapshot/"  # entries of the engine's own about the snapshot, which are no keys
FILES = (b"0", b"\0")  # types of entries that are files
TRIES = (0.0, 0.5, 1.5)  # seconds before each, where a store fails
WHOLE = 3600.0  # seconds of all of them


class _Unsound(Exception):
    """Why an archive is not a whole snapshot."""


def run(errand: Errand) -> Answer:
    """Do an errand; whatever fails is in its answer, without the credentials."""
    try:
        return _tried(errand)
    except _Unsound as error:
        return Answer(errand.does, str(error), unsound=True)
    except (Refused, Failed, FileNotFoundError) as error:
        return Answer(errand.does, concealed(str(error), errand.keys))
    except Exception as error:  # of a library over a network: any of them is that one's failure
        return Answer(errand.does, concealed(one_line(f"{type(error).__name__}: {error}", 300), errand.keys))


def concealed(text: str, keys: Keys) -> str:
    """A message without any of the credentials."""
    for value in filter(None, (keys.secret, keys.token, keys.access)):
        text = text.replace(value, "(credential)")
    return text


def counted(chunks: Iterable[bytes]) -> Answer:
    """Read a gzipped tar to its end. Raises _Unsound where it is cut, damaged, empty or too large."""
    digest, size, members, tar = hashlib.sha256(), 0, 1, _Tar()
    unpacking = zlib.decompressobj(31)
    try:
        for chunk in chunks:
            digest.update(chunk)
            size += len(chunk)
            tar.may = FREE + size // LEAST
            while chunk:
                if unpacking.eof:
                    unpacking, members = zlib.decompressobj(31), members + 1
                if members > MEMBERS:
                    raise _Unsound(f"the archive is made of more than {MEMBERS} gzip members")
                tar.feed(unpacking.decompress(chunk, STEP))
                chunk = unpacking.unconsumed_tail or unpacking.unused_data
    except zlib.error as error:
        raise _Unsound("the archive is damaged: it is no gzip") from error
    if not unpacking.eof or not tar.ended:
        raise _Unsound(f"the archive is cut short after {size} bytes")
    if not tar.keys:
        raise _Unsound("the archive holds no key")
    return Answer("read", size=size, keys=tar.keys, sha256=digest.hexdigest())


class _Tar:
    """Counts the entries of a tar that arrives in pieces, and keeps none of them."""

    def __init__(self) -> None:
        self.keys, self._entries, self._zeros, self._skip, self._all = 0, 0, 0, 0, 0
        self._head = b""
        self.may = MOST
        """How many entries there may be by now."""

    @property
    def ended(self) -> bool:
        """Whether the two empty blocks that end a tar were there."""
        return self._zeros >= 2

    def feed(self, data: bytes) -> None:
        self._all += len(data)
        if self._all > LARGEST:
            raise _Unsound(f"the archive unpacks to more than {LARGEST >> 30} GiB")
        view, at = memoryview(data), 0
        while at < len(view) and not self.ended:
            if self._skip:
                step = min(self._skip, len(view) - at)
                self._skip -= step
                at += step
                continue
            step = min(BLOCK - len(self._head), len(view) - at)
            self._head += bytes(view[at : at + step])
            at += step
            if len(self._head) == BLOCK:
                head, self._head = self._head, b""
                self._entry(head)

    def _entry(self, head: bytes) -> None:
        if not any(head):
            self._zeros += 1
            return
        self._zeros, self._entries = 0, self._entries + 1
        if self._entries > min(MOST, self.may) or sum(head[:148]) + 256 + sum(head[156:]) != _octal(head[148:156]):
            raise _Unsound("the archive is damaged: it is no tar")
        self._skip = -(-_size(head[124:136]) // BLOCK) * BLOCK
        if head[156:157] in FILES and not head.lstrip(b"/").startswith(OWN):
            self.keys += 1


def _size(field: bytes) -> int:
    return int.from_bytes(field[1:], "big") if field[0] & 0x80 else _octal(field)


def _octal(field: bytes) -> int:
    text = field.strip(b" \0")
    if not all(48 <= one < 56 for one in text):
        raise _Unsound("the archive is damaged: it is no tar")
    return int(text or b"0", 8)


def _tried(errand: Errand) -> Answer:
    """The answer of the first try that does not fail. Raises as `stores.read`, and _Unsound."""
    ends = time.monotonic() + WHOLE
    for pause in TRIES[:-1]:
        time.sleep(pause)
        with suppress(Failed):
            return _done(errand, ends)
    time.sleep(TRIES[-1])
    return _done(errand, ends)


def _done(errand: Errand, ends: float) -> Answer:
    seconds = ends - time.monotonic()
    if seconds <= 0:
        raise Failed(f"the archive was not read within {WHOLE:.0f} s")
    if errand.does == "read":
        with closing(stores.read(errand, seconds)) as chunks:
            return counted(chunks)
    stores.remove(errand, seconds)
    return Answer("remove")
