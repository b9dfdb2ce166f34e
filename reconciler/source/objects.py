"""Reads objects through one long-running `cat-file` process (H4), and checks every blob by its hash."""

import contextlib
import hashlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Collection, Iterator
from typing import BinaryIO

from msgspec import Struct

from reconciler.errors import Stalled, Unavailable
from reconciler.source.answers import Damaged
from reconciler.source.runner import stop

COMMAND = ("cat-file", "--batch-command", "--buffer")
_HEADER = 4096


class Info(Struct, frozen=True):
    """What an object is: its id, type (blob, tree, commit, tag) and size in bytes."""

    oid: str
    kind: str
    size: int


class Reader:
    """A `cat-file` process, started when first needed, that sees objects and refs written after it started.

    Not locked: the mirror's lock is held around every call.
    """

    def __init__(self, start: Callable[[], "subprocess.Popen[bytes]"], deadline: float) -> None:
        self._start = start
        self._deadline = deadline
        self._process: subprocess.Popen[bytes] | None = None

    def info(self, names: Collection[str]) -> list[Info | None]:
        """What each name (oid, ref, `COMMIT:path`) is, None where there is no such object. Raises Unavailable, Damaged."""
        with self._asking([f"info {name}" for name in names]) as stream:
            return [_info(_line(stream)) for _ in names]

    def contents(self, oids: Collection[str], kind: str = "blob") -> dict[str, bytes]:
        """The bytes of every object that exists; missing ones are left out, and the caller decides what that means.

        Raises Damaged when a content does not have its hash, Stalled("BadObjects") when it is of another type,
        Unavailable.
        """
        found: dict[str, bytes] = {}
        kinds: set[str] = {kind}
        with self._asking([f"contents {oid}" for oid in oids]) as stream:
            for oid in oids:
                info = _info(_line(stream))
                if info is None:
                    continue
                data = stream.read(info.size + 1)[:-1]
                if name(info.kind, data, len(oid)) != oid:
                    raise Damaged(f"object {oid} does not have the content its name promises")
                kinds.add(info.kind)
                found[oid] = data
        if len(kinds) > 1:
            raise Stalled(f"an object is a {max(kinds - {kind})} where a {kind} belongs", reason="BadObjects")
        return found

    def close(self) -> None:
        """Ends the process; the next call starts another."""
        if self._process is not None:
            stop(self._process)
            self._process = None

    @contextlib.contextmanager
    def _asking(self, lines: list[str]) -> Iterator[BinaryIO]:
        """Sends the questions and gives the stream of answers. Any failure ends the process: its stream is out of step."""
        process = self._process = self._process or self._start()
        late = threading.Event()
        timer = threading.Timer(self._deadline, _expire, (process, late))
        timer.daemon = True
        timer.start()
        try:
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write("".join(f"{line}\n" for line in (*lines, "flush")).encode())
            process.stdin.flush()
            yield process.stdout  # type: ignore[misc]
        except BaseException as error:
            self.close()
            if late.is_set():
                raise Unavailable(f"git did not answer within {self._deadline:g} s", reason="Timeout") from error
            if isinstance(error, OSError):
                raise Damaged("git ended while reading") from error
            raise
        finally:
            timer.cancel()


def _expire(process: "subprocess.Popen[bytes]", late: threading.Event) -> None:
    late.set()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _line(stream: BinaryIO) -> bytes:
    line = stream.readline(_HEADER)
    if not line.endswith(b"\n"):
        raise Damaged("git ended while reading")
    return line


def _info(line: bytes) -> Info | None:
    parts = line.split()
    if len(parts) != 3 or not parts[2].isdigit():  # "NAME missing", "NAME ambiguous"
        return None
    return Info(parts[0].decode(), parts[1].decode(), int(parts[2]))


def name(kind: str, data: bytes, length: int = 40) -> str:
    """git's name of an object: SHA-1, or SHA-256 in a repository of that format."""
    digest = hashlib.sha256() if length == 64 else hashlib.sha1(usedforsecurity=False)
    digest.update(b"%s %d\0" % (kind.encode(), len(data)))
    digest.update(data)
    return digest.hexdigest()
