"""Explains why a document fails its schema: one sentence per mistake, with the pointer and what would be right. Used
for failing documents only."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import Any

import schemas
from reconciler.errors import closest
from reconciler.patterns import lazy
from reconciler.spec import elsewhere, forms, linear, unsupported
from reconciler.spec.codes import Code

Told = tuple[str, str, str, Code]
_FIELDS = 3  # fields that an example has, where none is required
_NOT_BUILT = "not supported in this version"


def pointer(path: Iterable[str | int]) -> str:
    """A JSON pointer (RFC 6901)."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def mistakes(kind: str, body: Mapping[str, Any], text: Callable[[str], str] | None = None) -> Iterator[Told]:
    """(pointer, message, hint, code) of every mistake jsonschema sees. `text` gives a scalar as it stands in the
    file."""
    for error in _validator(kind).iter_errors(body):
        path = tuple(error.absolute_path)
        if "propertyNames" in error.absolute_schema_path:
            yield _property(path, error)
        elif error.validator in ("pattern", "minLength", "type") and (form := forms.of(error.schema)):
            yield _formed(path, error, form, text)
        else:
            yield from _TELL.get(str(error.validator), _other)(kind, path, error)


def _property(path: tuple[str | int, ...], error: Any) -> Told:
    form = forms.of(error.schema)
    message = form.told if form else "a name that is not allowed here"
    hint = form.hint(str(error.instance), error.schema) if form else _rule(error)
    return pointer((*path, str(error.instance))), message, hint, Code.WRONG_VALUE


def _formed(path: tuple[str | int, ...], error: Any, form: forms.Form, text: Callable[[str], str] | None) -> Told:
    """A text that has not the form of its field, or a number where such a text belongs."""
    where, given = pointer(path), error.instance
    if isinstance(given, str):
        return where, form.told, form.hint(given, error.schema), Code.WRONG_VALUE
    if isinstance(given, int | float) and not isinstance(given, bool):
        written = (text(where) if text else "") or str(given)
        if "pattern" not in error.schema or linear.found(error.schema["pattern"], written):
            return where, f"expected string, found {_name(given)}", f'write "{written}"', Code.WRONG_TYPE
        return where, form.told, form.hint(written, error.schema), Code.WRONG_TYPE
    return where, f"expected {_kinds(error)}, found {_name(given)}", f"such as {form.example}", Code.WRONG_TYPE


def _kinds(error: Any) -> str:
    expected = error.validator_value
    return " or ".join(expected) if isinstance(expected, list) else str(expected)


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
            hint = elsewhere.hint(path, name) or "remove it"
            yield pointer(here), f"the field {name} is {_NOT_BUILT}", hint, Code.UNSUPPORTED
            continue
        yield pointer(here), f"unknown field {name[:60]}", _instead(path, name, known), Code.UNKNOWN_FIELD


def _instead(path: tuple[str | int, ...], name: str, known: Mapping[str, Any]) -> str:
    """What to do about a field that is not known at `path`."""
    if path in ((), ("metadata",)) and (why := _OF_KUBERNETES.get(name)):
        return f"remove it: {why}"
    if known_elsewhere := elsewhere.hint(path, name):
        return known_elsewhere
    close = closest(name, known) or next((one for one in known if one.lower() == name.lower()), "")
    return f"did you mean {close}?" if close else _some("known here:", sorted(known))


def _missing(_: str, path: tuple[str | int, ...], error: Any) -> Iterator[Told]:
    for name in error.validator_value:
        if name not in error.instance:
            hint = str(error.schema.get("properties", {}).get(name, {}).get("description", ""))
            yield pointer(path), f"the field {name} is missing", hint, Code.MISSING_FIELD


def _type(kind: str, path: tuple[str | int, ...], error: Any) -> Iterator[Told]:
    expected, given = _kinds(error), _name(error.instance)
    known = elsewhere.hint(path)
    hint = known or str(error.schema.get("description", ""))
    shape = _shape(kind, error.schema) if expected in ("array", "object") else ""
    if expected == "string" and given in ("integer", "number", "boolean"):
        hint = "put it in quotes"
    elif meant := _turned(kind, error):
        hint = meant
    elif shape and (not known or (expected == "array" and "{" in shape)):  # what is known is of the items then
        hint = f"write {'a list' if expected == 'array' else 'its fields'}: {shape}"
    elif given == "string" and _BARE.get(expected, _NEVER).fullmatch(error.instance):
        hint = f"write {error.instance.lower()}, without quotes"
    yield pointer(path), f"expected {expected}, found {given}", hint, Code.WRONG_TYPE


def _turned(kind: str, error: Any) -> str:
    """What to write where names are the keys of a mapping and a list of them is wanted, or the other way round; "" for anything else."""
    schema, given = error.schema, error.instance
    if isinstance(given, dict) and given and "name" in _fields(kind, schema.get("items", {})):
        names = [f"{{name: {_quotable(name)}, ...}}" for name in list(given)[:_FIELDS]]
        return f"write a list: [{', '.join(names)}]"
    free = schema.get("additionalProperties", True) is not False and not schema.get("properties")
    if isinstance(given, list) and free and all(isinstance(one, dict) and "name" in one for one in given):
        names = [f"{_quotable(one['name'])}: ..." for one in given[:_FIELDS]]
        return f"write a mapping: {{{', '.join(names)}}}" if names else ""
    return ""


def _quotable(name: object) -> str:
    """A name as it may stand in a hint: no value of a file does, so what is no name is left out."""
    return str(name) if linear.found("^[A-Za-z_][A-Za-z0-9_-]{0,62}$", str(name)) else "..."


def _fields(kind: str, schema: Mapping[str, Any]) -> Mapping[str, Any]:
    if "$ref" in schema:
        schema = schemas.load(kind)["definitions"][str(schema["$ref"]).rpartition("/")[2]]
    found: Mapping[str, Any] = schema.get("properties", {})
    return found


def _shape(kind: str, schema: Mapping[str, Any]) -> str:
    """How a value of this schema is written: what it requires, else the first fields it has; "" where that cannot be told."""
    if "$ref" in schema:
        schema = schemas.load(kind)["definitions"][str(schema["$ref"]).rpartition("/")[2]]
    if "items" in schema:
        return f"[{_shape(kind, schema['items']) or '...'}]"
    fields = list(schema.get("required", ())) or list(schema.get("properties", ()))[:_FIELDS]
    return f"{{{', '.join(f'{name}: ...' for name in fields)}}}" if fields else ""


def _enum(kind: str, path: tuple[str | int, ...], error: Any) -> Iterator[Told]:
    allowed = [str(value) for value in error.validator_value]
    if unsupported.value(kind, path, error.instance):
        yield pointer(path), f"{error.instance} is {_NOT_BUILT}", _some("one of", allowed), Code.UNSUPPORTED
        return
    close = closest(str(error.instance), allowed)
    hint = f"did you mean {close}?" if close else ""
    yield pointer(path), f"expected {_some('one of', allowed)}", hint, Code.WRONG_VALUE


def _choice(_: str, path: tuple[str | int, ...], error: Any) -> Iterator[Told]:
    if not isinstance(error.instance, dict):
        return  # told as a value of the wrong type
    names = [name for branch in error.validator_value for name in branch.get("required", [])]
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
_OF_KUBERNETES = {
    "namespace": "the controller derives the host namespace from the name",
    "annotations": "annotations have no effect here; labels are known",
    "status": "what is known of a cluster stands on the host, not in Git",
    **dict.fromkeys(
        ("creationTimestamp", "generation", "managedFields", "ownerReferences", "resourceVersion", "selfLink", "uid"),
        "an API server writes it, people do not",
    ),
}
"""Fields of Kubernetes objects that people copy, and that no document has."""
_NEVER = lazy(r"(?!)")
_BARE = {
    "boolean": lazy(r"true|false", re.IGNORECASE),
    "integer": lazy(r"0|[1-9][0-9]{0,14}", re.ASCII),
    "number": lazy(r"(0|[1-9][0-9]{0,14})(\.[0-9]{1,14})?", re.ASCII),
}
_RULES = {
    "pattern": "has characters that are not allowed here",
    "minLength": "shorter than {} characters",
    "maxLength": "longer than {} characters",
    "minimum": "smaller than {}",
    "maximum": "larger than {}",
    "minItems": "fewer than {} items",
    "maxItems": "more than {} items",
    "maxProperties": "more than {} entries",
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
