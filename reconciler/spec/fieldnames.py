"""Fields of objects that Kubernetes does not know, as far as it serves their kind itself: its API server refuses them.

The names are those of one version (schemas/kubernetes.json). A target may know more fields, or fewer: what is found is a warning.
"""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

import schemas
from reconciler.errors import closest, few

Path = tuple[str | int, ...]
TOLD = 20  # fields of one object, file or profile: to look for what was meant takes time
_SHOWN = 8  # known fields that a hint lists
_LONGEST = 60  # characters of a name that are compared
_STEPS = 3  # how far below a misplaced field is looked for


def unknown(body: Any) -> Iterator[tuple[Path, str, str]]:
    """(where, message, hint) of each unknown field of an object, the first ones of many. Nothing of an object of another
    kind, or that is none."""
    if not isinstance(body, Mapping):
        return
    name = schemas.kubernetes()["kinds"].get(f"{body.get('apiVersion')}/{body.get('kind')}")
    if name is not None:
        yield from islice(_below(name, body, ()), TOLD)


def _below(reference: str, value: Any, path: Path) -> Iterator[tuple[Path, str, str]]:
    """`reference`: a type, [ before it for a list of such, { for a map. A value of another shape is not judged here."""
    if reference.startswith("["):
        for index, item in enumerate(value if isinstance(value, list) else ()):
            yield from _below(reference[1:], item, (*path, index))
    elif isinstance(value, Mapping):
        is_map = reference.startswith("{")
        known = {} if is_map else schemas.kubernetes()["types"].get(reference, {})
        for name, item in value.items():
            below = reference[1:] if is_map else known.get(name)
            if below is None and not _filled(name):
                yield (*path, name), f"unknown field {written((*path, name))}", _hint(known, str(name), path)
            elif below:
                yield from _below(below, item, (*path, name))


def _filled(name: Any) -> bool:
    """Whether a variable gives the name."""
    return not isinstance(name, str) or "${{" in name


def written(path: Path) -> str:
    """As kubectl writes the way to a field."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)[1:201]


def _hint(known: Mapping[str, str], name: str, path: Path) -> str:
    name = name[:_LONGEST]
    close = closest(name, known) or next((one for one in known if one.lower() == name.lower()), "")
    if close:
        return f"did you mean {close}?"
    if (place := _deeper(known, name, _STEPS)) is not None:
        return f"it belongs into {written((*path, *place))}"
    return f"known here: {few(sorted(known), _SHOWN)}"


def _deeper(known: Mapping[str, str], name: str, steps: int) -> Path | None:
    """The nearest struct below that has the field, lists and maps left aside."""
    structs = {field: schemas.kubernetes()["types"].get(below, {}) for field, below in sorted(known.items())}
    for field, below in structs.items():
        if field != "status" and name in below:
            return (field,)
    for field, below in structs.items() if steps > 1 else ():
        if field != "status" and (found := _deeper(below, name, steps - 1)) is not None:
            return (field, *found)
    return None
