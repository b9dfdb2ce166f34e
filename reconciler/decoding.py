"""Bytes and plain values as values of a type, by decoders that one thread at a time makes.

msgspec (0.22) makes what it knows of a Struct when a decoder first meets it. Another thread that meets the same Struct meanwhile reads
what is half made, and the process ends by a segmentation fault. So all of ours come from here; `msgspec.json.decode` without a type
needs none.
"""

import threading
from typing import Any, TypeVar

import msgspec

_T = TypeVar("_T")
_turn = threading.Lock()
_made: dict[Any, msgspec.json.Decoder[Any]] = {}


def decoder(kind: type[_T]) -> msgspec.json.Decoder[_T]:
    """The decoder of JSON as a type, made once."""
    found = _made.get(kind)
    if found is None:
        found = _made.setdefault(kind, fresh(kind))
    return found


def fresh(kind: type[_T]) -> msgspec.json.Decoder[_T]:
    """Another decoder, for a type that is made for one call."""
    with _turn:
        return msgspec.json.Decoder(kind)


def decoded(data: bytes | bytearray | str | msgspec.Raw, kind: type[_T]) -> _T:
    """JSON as a type. Raises one of `errors.UNREADABLE`."""
    return decoder(kind).decode(data)


def unpacked(data: bytes, kind: type[_T]) -> _T:
    """MessagePack as a type. Raises one of `errors.UNREADABLE`."""
    decoder(kind)
    return msgspec.msgpack.decode(data, type=kind)


def converted(value: object, kind: type[_T]) -> _T:
    """Plain values as a type. Raises msgspec.ValidationError."""
    decoder(kind)
    return msgspec.convert(value, kind)
