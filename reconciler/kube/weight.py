"""How large and how deep an answer is, before it is decoded: decoded, a short text may take many times its size (A8)."""

OBJECT = 16 << 20  # bytes of one object as a server tells it: etcd takes 1.5 MiB, and a text may be escaped
VALUES = 2_000_000  # of one object: the largest that etcd takes, of commas alone, has 1.5 million
DEPTH = 100  # levels; the deepest definitions in the field have about 50, and recursion here must stay far below Python's limit
_SLICE = 1 << 20  # characters that are looked at together for their depth
_OTHERS = bytes(sorted(set(range(256)) - set(b'{}[]"')))


def values(raw: bytes) -> int:
    """At most how many JSON values stand in a text; what is inside its strings counts too. Decoded, each takes about 100 bytes."""
    return 1 + raw.count(b",") + raw.count(b"{") + raw.count(b"[")


def exceeds(raw: bytes, most: int) -> bool:
    """Whether there may be more JSON values in a text. A short text needs no count."""
    return len(raw) >= most and values(raw) > most


def is_an_objects(raw: bytes) -> bool:
    """Whether one object may be of this size."""
    return len(raw) <= OBJECT and not exceeds(raw, VALUES)


def is_shallow(raw: bytes) -> bool:
    """Whether no value is deeper than DEPTH; text that is no JSON may pass."""
    if raw.count(b"{") + raw.count(b"[") <= DEPTH:
        return True
    bare = raw.replace(rb"\\", b"").replace(rb"\"", b"") if b"\\" in raw else raw
    brackets = _outside(bare.translate(None, _OTHERS).replace(b'""', b""))
    for _ in range(DEPTH):  # each round removes the innermost level
        if not brackets:
            return True
        brackets = brackets.replace(b"{}", b"").replace(b"[]", b"")
    return not brackets


def _outside(marks: bytes) -> bytes:
    """The brackets that are not between two quotes, of brackets and quotes alone. In slices: each part is an object of its own."""
    found, inside = [], 0
    for at in range(0, len(marks), _SLICE):
        parts = marks[at : at + _SLICE].split(b'"')
        found.append(b"".join(parts[inside::2]))
        inside = (inside + len(parts) - 1) % 2
    return b"".join(found)
