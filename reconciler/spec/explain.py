"""Explains why a document fails its schema: one sentence per mistake, with the pointer and what would be right. Used
for failing documents only."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from typing import Any

import schemas
from reconciler.spec import linear, unsupported
from reconciler.spec.codes import Code

Told = tuple[str, str, str, Code]
_NOT_BUILT = "not supported in this version"


def pointer(path: Iterable[str | int]) -> str:
    """A JSON pointer (RFC 6901)."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def mistakes(kind: str, body: Mapping[str, Any]) -> Iterator[Told]:
    """(pointer, message, hint, code) of every mistake jsonschema sees."""
    for error in _validator(kind).iter_errors(body):
        path = tuple(error.absolute_path)
        if "propertyNames" in error.absolute_schema_path:
            yield (
                pointer((*path, str(error.instance))),
                "a name that is not allowed here",
                _rule(error),
                Code.WRONG_VALUE,
            )
            continue
        yield from _TELL.get(str(error.validator), _other)(kind, path, error)


@cache
def _validator(kind: str) -> Any:
    """jsonschema with our linear patterns and a registry that fetches nothing (M5, M7, M8)."""
    from jsonschema import Draft7Validator, ValidationError, validators
    from referencing import Registry

    def pattern(_: Any, wanted: str, instance: object, __: Any) -> Iterator[ValidationError]:
        if isinstance(instance, str) and not linear.found(wanted, instance):
            yield ValidationError("pattern")

    extend: Any = validators.extend
    return extend(Draft7Validator, {"pattern": pattern})(schemas.load(kind), registry=Registry())


def _unknown(kind: str, path: tuple[str | int, ...], error: Any) -> Iterator[Told]:
    known = error.schema.get("properties", {})
    for name in sorted(str(key) for key in error.instance if key not in known):
        here = (*path, name)
        if unsupported.field(kind, here):
            yield pointer(here), f"the field {name} is {_NOT_BUILT}", "remove it", Code.UNSUPPORTED
            continue
        close = get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]}?" if close else _some("known here:", sorted(known))
        yield pointer(here), f"unknown field {name[:60]}", hint, Code.UNKNOWN_FIELD


def _missing(_: str, path: tuple[str | int, ...], error: Any) -> Iterator[Told]:
    for name in error.validator_value:
        if name not in error.instance:
            hint = str(error.schema.get("properties", {}).get(name, {}).get("description", ""))
            yield pointer(path), f"the field {name} is missing", hint, Code.MISSING_FIELD


def _type(_: str, path: tuple[str | int, ...], error: Any) -> Iterator[Told]:
    expected, given = str(error.validator_value), _name(error.instance)
    quote = expected == "string" and given in ("integer", "number", "boolean")
    hint = "put it in quotes" if quote else str(error.schema.get("description", ""))
    yield pointer(path), f"expected {expected}, found {given}", hint, Code.WRONG_TYPE


def _enum(kind: str, path: tuple[str | int, ...], error: Any) -> Iterator[Told]:
    allowed = [str(value) for value in error.validator_value]
    if unsupported.value(kind, path, error.instance):
        yield pointer(path), f"{error.instance} is {_NOT_BUILT}", _some("one of", allowed), Code.UNSUPPORTED
        return
    close = get_close_matches(str(error.instance), allowed, n=1)
    hint = f"did you mean {close[0]}?" if close else ""
    yield pointer(path), f"expected {_some('one of', allowed)}", hint, Code.WRONG_VALUE


def _choice(kind: str, path: tuple[str | int, ...], error: Any) -> Iterator[Told]:
    if not isinstance(error.instance, dict):
        return  # told as a value of the wrong type
    names = [name for branch in error.validator_value for name in branch.get("required", [])]
    if any(unsupported.field(kind, (*path, str(name))) for name in error.instance):
        return  # told as a field that is not supported
    many = "exactly one of" if error.validator == "oneOf" else "at least one of"
    yield pointer(path), f"expected {many} {', '.join(names)}", "", Code.MISSING_FIELD


def _other(_: str, path: tuple[str | int, ...], error: Any) -> Iterator[Told]:
    hint = str(error.schema.get("description", ""))
    yield pointer(path), _rule(error), hint, Code.WRONG_VALUE


_TELL: dict[str, Callable[[str, tuple[str | int, ...], Any], Iterator[Told]]] = {
    "additionalProperties": _unknown,
    "required": _missing,
    "type": _type,
    "enum": _enum,
    "oneOf": _choice,
    "anyOf": _choice,
}
_RULES = {
    "pattern": "does not match {}",
    "minLength": "shorter than {} characters",
    "maxLength": "longer than {} characters",
    "minimum": "smaller than {}",
    "maximum": "larger than {}",
    "minItems": "fewer than {} items",
    "maxItems": "more than {} items",
    "const": "expected {}",
    "enum": "expected one of {}",
}


def _rule(error: Any) -> str:
    wording = _RULES.get(str(error.validator), "refused by the schema")
    value = error.validator_value
    return wording.format(", ".join(map(str, value)) if isinstance(value, list) else value)


def _some(lead: str, names: list[str]) -> str:
    return f"{lead} {', '.join(names[:12])}" + (" ..." if len(names) > 12 else "")


def _name(value: object) -> str:
    """A value's JSON type."""
    kinds: tuple[tuple[type, str], ...] = (
        (bool, "boolean"),
        (int, "integer"),
        (float, "number"),
        (str, "string"),
        (list, "array"),
        (dict, "object"),
    )
    return next((name for kind, name in kinds if isinstance(value, kind)), "null")
