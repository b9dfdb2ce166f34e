"""Messages between the controller and a render worker: length-prefixed JSON over one socket, never pickle (H4)."""

import socket
import struct
import time
from typing import Any, TypeVar

import msgspec

from reconciler import decoding

CAP = 64 << 20
"""Bytes of one frame at most, either way."""

_HEADER = struct.Struct(">I")
_M = TypeVar("_M")


class Job(msgspec.Struct, frozen=True):
    """One render. `files` maps paths (relative to the source) to their bytes, `spec` is the layer's own.

    `host_version` and `api_versions` are those of the API server the objects are meant for; `twice` asks for a second
    render to compare with; `cpu` is the processor time allowed, in seconds. `authored`: from the repository, not of our making.
    `keys` are age identities, where files of the layer are encrypted (K12).
    """

    kind: str
    namespace: str
    spec: dict[str, Any]
    files: dict[str, bytes]
    context: dict[str, Any]
    host_version: str
    api_versions: tuple[str, ...] = ()
    twice: bool = False
    cpu: int = 20
    authored: bool = False
    keys: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Without what it carries: keys, and what people wrote."""
        return f"Job({self.kind}, {len(self.files)} files)"


class Answer(msgspec.Struct, frozen=True):
    """The objects as one JSON array, or why there are none. `rss` is the worker's resident memory in bytes,
    `cpu` the processor time that the job took, in seconds.

    `confined`: in a worker's first answer, what keeps it from the network (see `packs.confine`).
    """

    objects: msgspec.Raw = msgspec.Raw(b"[]")
    reason: str = ""
    message: str = ""
    hint: str = ""
    rss: int = 0
    cpu: float = 0.0
    confined: tuple[str, ...] = ()


class TooBig(Exception):
    """A frame over `CAP`."""


def send(link: socket.socket, message: msgspec.Struct, deadline: float | None = None) -> None:
    """Writes one frame; `deadline` is on `time.monotonic`. Raises TooBig, OSError, TimeoutError."""
    body = msgspec.json.encode(message)
    if len(body) > CAP:
        raise TooBig
    _until(link, deadline)
    link.sendall(_HEADER.pack(len(body)) + body)


def receive(link: socket.socket, form: type[_M], deadline: float | None = None) -> _M:
    """Reads one frame as `form`. Raises EOFError when the other side is gone, TooBig, OSError, TimeoutError."""
    (size,) = _HEADER.unpack(_exactly(link, _HEADER.size, deadline))
    if size > CAP:
        raise TooBig
    return decoding.decoded(_exactly(link, size, deadline), form)


def begins(link: socket.socket, seconds: float) -> bool:
    """Whether the next frame, or the end of the other side, is there within so many seconds, more than 0. Raises OSError."""
    link.settimeout(seconds)
    try:
        link.recv(1, socket.MSG_PEEK)
    except TimeoutError:
        return False
    return True


def _exactly(link: socket.socket, size: int, deadline: float | None) -> bytearray:
    data = bytearray(size)
    view = memoryview(data)
    while view:
        _until(link, deadline)
        count = link.recv_into(view)
        if not count:
            raise EOFError
        view = view[count:]
    return data


def _until(link: socket.socket, deadline: float | None) -> None:
    if deadline is None:
        return
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    link.settimeout(left)
