"""Keeps what a chart makes up (K8): two renders are compared, and where they differ the text of the first one, or the one that is
stored, is used from then on.

A text is compared by its words, so that what else stands in it follows the chart. Only scalars may differ: another number of objects,
fields or items is refused.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any

from reconciler.errors import Stalled
from reconciler.packs.objects import Sourced
from reconciler.patterns import lazy
from reconciler.plan import frozen

MOST = 512 << 10  # bytes of all that is kept of a layer
_WORD = lazy(r"([A-Za-z0-9+/=_-]+)")
_MISSING = object()


class Unlike(Exception):
    """The renders differ in more than scalars."""


def frozen_documents(
    first: Sequence[Sourced], second: Sequence[Sourced], stored: Mapping[str, Any]
) -> tuple[list[Sourced], dict[str, Any]]:
    """The documents with what is stored where the renders differ, and all that has to be stored: place -> what stands there.

    Raises Unlike, and Stalled(RenderFailed) where it is too much.
    """
    if [_place(one) for one in first] != [_place(one) for one in second]:
        raise Unlike
    found = _Found(stored)
    documents = [
        (source, found.merged(one, other, _name(one))) for (source, one), (_, other) in zip(first, second, strict=True)
    ]
    if sum(len(key) + len(str(value)) for key, value in found.kept.items()) > MOST:
        raise Stalled(f"the chart makes up more than {MOST >> 10} KiB", reason="RenderFailed")
    return documents, found.kept


def document(values: Mapping[str, Any]) -> Sourced:
    """What is to be stored, as the last document of a render."""
    return "", {**frozen.DOCUMENT, "metadata": {"name": "frozen"}, "values": dict(values)}


class _Found:
    """Merges two renders of an object; `kept` grows by what differs."""

    def __init__(self, stored: Mapping[str, Any]) -> None:
        self._stored = stored
        self.kept: dict[str, Any] = {}

    def merged(self, one: Any, other: Any, place: str) -> Any:
        if isinstance(one, Mapping) and isinstance(other, Mapping) and list(one) == list(other):
            return {key: self._child(one[key], other[key], place, str(key)) for key in one}
        if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
            return [self._child(mine, other[at], place, str(at)) for at, mine in enumerate(one)]
        if any(isinstance(each, Mapping | list) for each in (one, other)):
            raise Unlike
        if one == other and type(one) is type(other):
            return one
        return self._scalar(one, other, place)

    def _child(self, one: Any, other: Any, place: str, key: str) -> Any:
        return self.merged(one, other, f"{place}/{key.replace('~', '~0').replace('/', '~1')}")

    def _scalar(self, one: Any, other: Any, place: str) -> Any:
        """The words that differ are kept, the rest follows the chart. Data of Secrets is compared as what it encodes."""
        if not isinstance(one, str) or not isinstance(other, str):
            return self._whole(one, place)
        if place.startswith("Secret ") and "/data/" in place:
            plain, again = _decoded(one), _decoded(other)
            if plain is not None and again is not None:
                return base64.b64encode(str(self._text(plain, again, place)).encode()).decode()
        return self._text(one, other, place)

    def _text(self, one: str, other: str, place: str) -> Any:
        mine, theirs = _WORD.split(one), _WORD.split(other)
        if len(mine) != len(theirs) or mine[::2] != theirs[::2]:
            return self._whole(one, place)
        at = [index for index in range(1, len(mine), 2) if mine[index] != theirs[index]]
        known = self._stored.get(place)
        if isinstance(known, list) and len(known) == len(at):
            for index, word in zip(at, known, strict=True):
                mine[index] = word
        self.kept[place] = [mine[index] for index in at]
        return "".join(mine)

    def _whole(self, one: Any, place: str) -> Any:
        known = self._stored.get(place, _MISSING)
        self.kept[place] = one if known is _MISSING or type(known) is not type(one) else known
        return self.kept[place]


def _decoded(text: str) -> str | None:
    try:
        return base64.b64decode(text, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None


def _place(one: Sourced) -> tuple[str, str]:
    return one[0], _name(one[1])


def _name(body: Any) -> str:
    """Kind, namespace and name."""
    metadata = body.get("metadata") if isinstance(body, Mapping) else None
    if not isinstance(body, Mapping) or not isinstance(metadata, Mapping):
        return ""
    if body.get("apiVersion") == frozen.DOCUMENT["apiVersion"]:
        raise Stalled("the chart makes an object of apiVersion nidus.dev/frozen", reason="ObjectInvalid")
    return f"{body.get('kind')} {metadata.get('namespace', '')}/{metadata.get('name')}"
