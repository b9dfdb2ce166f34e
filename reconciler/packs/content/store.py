"""Content on disk, by its SHA-256: one folder that many processes share (K3)."""

import contextlib
import fcntl
import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from reconciler.errors import Fetching, NidusError, Unavailable
from reconciler.packs.content.access import refused

_BLOCK = 1 << 20

USED = 3600.0
"""Seconds after its last use in which content is not removed for other content; uses are noted at most every tenth of it."""


class Store:
    """Files of content, at most `limit` bytes of them together. Thread-safe, and safe between processes: a file is complete or not
    there, and whoever fills a part holds its lock."""

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder, self._limit = folder, limit
        self._noted: dict[str, float] = {}

    def get(self, digest: str) -> bytes | None:
        """The bytes, None where they are not here. What is not what its name says is removed."""
        place = self._place(digest)
        try:
            found = place.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise disk(error) from error
        if hashlib.sha256(found).hexdigest() != digest:
            place.unlink(missing_ok=True)
            return None
        self.used(digest)
        return found

    def has(self, digest: str) -> bool:
        """Whether it is here, without reading it."""
        return self._place(digest).is_file()

    def size(self, digest: str) -> int:
        """Its bytes, 0 where it is not here, without reading it."""
        with contextlib.suppress(FileNotFoundError):
            return self._place(digest).stat().st_size
        return 0

    def unnoted(self, digest: str) -> bool:
        """Whether a use of it is to be noted."""
        return time.time() - self._noted.get(digest, 0.0) > USED / 10

    def used(self, digest: str) -> None:
        """Content is in use: it stays."""
        if self.unnoted(digest):
            self._noted[digest] = time.time()
            with contextlib.suppress(OSError):
                os.utime(self._place(digest))

    @contextlib.contextmanager
    def part(self, digest: str, address: str = "") -> Iterator[BinaryIO]:
        """The part that is here of some content from an address, to be filled; it stands at its end. What was read stays for the next
        attempt. A server that is slow or wrong holds up nobody who fetches the same content elsewhere.

        Raises Fetching where another process fills it, Unavailable where the disk fails or the store is full of what is in use.
        """
        place = self._folder / "parts" / f"{digest}.{hashlib.sha256(address.encode()).hexdigest()[:32]}"
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            self._make_room()
            with _locked(place) as part:
                part.seek(0, os.SEEK_END)
                yield part
        except BlockingIOError:
            raise Fetching("another process fetches it", after=1.0) from None
        except OSError as error:
            raise disk(error) from error

    def keep(self, digest: str, part: BinaryIO) -> None:
        """The part is whole. Raises Stalled(ContentRefused) where it is other content, and Unavailable where the store is full of what is
        in use, or the disk fails; the part is then gone."""
        place = Path(part.name)
        try:
            part.flush()
            found = _digest(part)
            if found != digest:
                raise refused(
                    f"the content has the digest sha256:{found[:12]}..., and not sha256:{digest[:12]}...",
                    "what stands there was changed: look why, then run `nidus lock --upgrade`",
                )
            self._make_room()
            os.fsync(part.fileno())
            self._place(digest).parent.mkdir(parents=True, exist_ok=True)
            place.rename(self._place(digest))
        except (OSError, NidusError) as error:
            place.unlink(missing_ok=True)
            raise disk(error) if isinstance(error, OSError) else error from error

    def put(self, content: bytes | bytearray) -> str:
        """Keep bytes that were read otherwise; their digest."""
        digest = hashlib.sha256(content).hexdigest()
        if not self.has(digest):
            with self.part(digest) as part:
                part.truncate(0)
                part.write(content)
                self.keep(digest, part)
        return digest

    def _make_room(self) -> None:
        """Remove what is beyond the limit: first parts that nobody fills, then what was used longest ago."""
        kept = sorted(self._kept())
        left = self._limit - sum(length for _, _, length, _ in kept)
        for whole, at, length, place in kept:
            if left >= 0:
                return
            if time.time() - at > USED if whole else _left(place):
                place.unlink(missing_ok=True)
                left += length
        if left < 0:
            told = f"the content store is full: {self._limit >> 20} MiB are in use"
            raise Unavailable(told, reason="ContentStoreFull", hint="spec.content.store", after=60.0)

    def _kept(self) -> Iterator[tuple[bool, float, int, Path]]:
        """Whether it is whole, when it was used last, its size and its place, of every content and of every part."""
        for folder in ("sha256", "parts"):
            with contextlib.suppress(FileNotFoundError):
                for entry in os.scandir(self._folder / folder):
                    with contextlib.suppress(FileNotFoundError):
                        status = entry.stat()
                        yield folder == "sha256", status.st_mtime, status.st_size, Path(entry.path)

    def _place(self, digest: str) -> Path:
        return self._folder / "sha256" / digest


def _locked(place: Path) -> BinaryIO:
    """The part, locked. What was moved to its place in the store between opening and locking is no part any more: nobody may write it.

    Raises BlockingIOError where another process holds it."""
    while True:
        part = place.open("ab+")
        try:
            fcntl.flock(part, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(part.fileno()), place.stat()):
                    return part
        except BaseException:
            part.close()
            raise
        part.close()


def _left(place: Path) -> bool:
    """Whether nobody fills the part."""
    try:
        with place.open("ab") as part:
            fcntl.flock(part, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
    except BlockingIOError:
        return False


def _digest(part: BinaryIO) -> str:
    part.seek(0)
    found = hashlib.sha256()
    while block := part.read(_BLOCK):
        found.update(block)
    return found.hexdigest()


def disk(error: OSError) -> Unavailable:
    """A failure of the disk."""
    return Unavailable(f"the content store cannot be used: {error.strerror or 'it fails'}", reason="DiskFailed")
