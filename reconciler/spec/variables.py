"""`${{ }}`: typed substitution in the string scalars of parsed documents.

A scalar that is only a reference gets the type of the value; in a longer text the value is inserted as text. `$${{` is
a literal `${{`.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from reconciler.model import ClusterProfile, NestedCluster
from reconciler.patterns import lazy

_OPEN = "${{"
_PART = lazy(r"(\$?)\$\{\{(?:\s*([A-Za-z0-9_./-]+)\s*\}\})?", re.ASCII)


class UnknownVariable(ValueError):
    """A reference that names nothing, or something without a value; `name` is the text between the braces."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"${{{{ {name} }}}}: {reason}" if name else reason)
        self.name = name
        self.reason = reason


def context(
    document: NestedCluster, profile: ClusterProfile, values: Mapping[str, Any], *, namespace: str, host: str
) -> dict[str, Any]:
    """What references mean for one profile of one cluster; JSON-ready. `values`: variables with their defaults filled in."""
    meta = document.metadata
    return {
        "variables": dict(values),
        "cluster": {"name": meta.name, "namespace": namespace, "labels": dict(meta.labels)},
        "host": {"name": host},
        "profile": {"name": profile.metadata.name, "version": profile.spec.version},
    }


def fill(value: Any, known: Mapping[str, Any]) -> Any:
    """`value` with every reference replaced; what holds none is returned as it is. Raises UnknownVariable."""
    if isinstance(value, str):
        return _text(value, known) if _OPEN in value else value
    if isinstance(value, (dict, Mapping)):  # dict first: asking an abstract class is slow
        return {key: fill(item, known) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [fill(item, known) for item in value]
    return value


def references(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """(path, name) of every reference below `value`; an opening that is no reference has the name ""."""
    if isinstance(value, str):
        if _OPEN in value:
            yield from ((path, match[2] or "") for match in _PART.finditer(value) if not match[1])
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from references(item, (*path, key))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from references(item, (*path, index))


def lookup(name: str, known: Mapping[str, Any]) -> Any:
    """The value a reference names. Raises UnknownVariable."""
    room, _, rest = name.partition(".")
    found = known.get(room)
    if room == "cluster" and rest.startswith("labels."):
        found, rest = known["cluster"]["labels"], rest.removeprefix("labels.")
    if not isinstance(found, Mapping) or rest not in found or (room == "cluster" and rest == "labels"):
        raise UnknownVariable(name, "has no value here" if room == "variables" else "means nothing")
    return found[rest]


def _text(text: str, known: Mapping[str, Any]) -> Any:
    whole = _PART.fullmatch(text)
    if whole and whole[2] and not whole[1]:
        return lookup(whole[2], known)
    return _PART.sub(lambda match: _part(match, known), text)


def _part(match: re.Match[str], known: Mapping[str, Any]) -> str:
    if match[1]:
        return match[0][1:]
    if not match[2]:
        raise UnknownVariable("", "`${{` opens a reference that does not end; write `$${{` for the text")
    return _plain(lookup(match[2], known), match[2])


def _plain(value: Any, name: str) -> str:
    """How a value reads inside a longer text. Lists and mappings have no such form."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise UnknownVariable(name, "is not a scalar, it cannot stand inside a longer text")
