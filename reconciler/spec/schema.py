"""Checks documents against their schemas (V2).

jsonschema-rs decides: linear patterns, no network, microseconds. jsonschema is loaded only to explain every mistake of
a document that fails, with an empty registry; where it finds none, the document is still refused, with jsonschema-rs's
message. Messages never contain values of the document, which may be secret.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

import schemas
from reconciler import decoding
from reconciler.errors import closest
from reconciler.spec import explain, units
from reconciler.spec.codes import Code

if TYPE_CHECKING:
    from jsonschema_rs import Draft7Validator

Mistake = tuple[str, str, str, Code]
T = TypeVar("T")
Places = Mapping[str, "Places"]
"""Field -> the places below it; none below a quantity. EVERY is each item or field."""
EVERY = "*"


def settled(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """The document with every quantity as text: `cpu: 4` and `cpu: "4"` are one document, with one digest."""
    if not is_spec(body):
        return body
    places = _places(str(body.get("kind")))
    settled: Mapping[str, Any] = _settled(body, places) if places else body
    return settled


def _settled(value: Any, places: Places) -> Any:
    """`value` with every quantity as text; the same object where nothing changed. Each place is visited once: a start reads thousands of
    documents."""
    if not places:
        return units.written(value)
    if isinstance(value, dict):
        changed = {}
        for name in value if EVERY in places else places:
            if name in value and (new := _below(value[name], name, places)) is not value[name]:
                changed[name] = new
        return value | changed if changed else value
    if isinstance(value, list) and EVERY in places:
        items = [_settled(item, places[EVERY]) for item in value]
        return items if any(new is not old for new, old in zip(items, value, strict=True)) else value
    return value


def _below(value: Any, name: str, places: Places) -> Any:
    for step in {name, EVERY} & places.keys():
        value = _settled(value, places[step])
    return value


@cache
def _places(kind: str) -> Places:
    """Where the documents of a kind have quantities."""
    found: dict[str, Any] = {}
    for path in quantities(kind):
        node = found
        for step in path:
            node = node.setdefault(step, {})
    return found


def quantities(kind: str) -> tuple[tuple[str, ...], ...]:
    """The paths of a kind's quantities, from its schema: the texts that may be numbers."""
    if kind not in schemas.KINDS:
        return ()
    whole = schemas.load(kind)
    return tuple(_numeric(whole, whole["definitions"], ()))


def _numeric(node: Mapping[str, Any], named: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    node = named[node["$ref"].rpartition("/")[2]] if "$ref" in node else node
    if node.get("type") == ["string", "number"]:
        yield path
    for name, child in node.get("properties", {}).items():
        yield from _numeric(child, named, (*path, name))
    for name in ("items", "additionalProperties"):
        if isinstance(node.get(name), dict):
            yield from _numeric(node[name], named, (*path, EVERY))


def check(body: Mapping[str, Any], text: Callable[[str], str] | None = None) -> list[Mistake]:
    """(pointer, message, hint, code) of every mistake of a settled document, sorted; empty when it is sound. `text` gives
    the scalar at a pointer as it stands in the file: 1.30 is not 1.3 there."""
    wrong = _envelope(body)
    if wrong:
        return wrong
    kind = str(body["kind"])
    if verdict(kind).is_valid(body):
        return []
    return sorted(set(explain.mistakes(kind, body, text)) or set(_refused(kind, body)))


def read(
    body: Mapping[str, Any], kinds: Mapping[str, type[T]], text: Callable[[str], str] | None = None
) -> tuple[T | None, list[Mistake]]:
    """A settled document as the model of its kind, or every mistake; `text` as in `check`."""
    mistakes = check(body, text)
    if mistakes:
        return None, mistakes
    try:
        return decoding.converted(body, kinds[body["kind"]]), []
    except msgspec.ValidationError as error:
        return None, [_misfit(error)]


def is_spec(body: Mapping[str, Any]) -> bool:
    """Whether the document claims to be one of ours."""
    version = body.get("apiVersion")
    return isinstance(version, str) and version.startswith("nidus.dev/")


@cache
def verdict(kind: str) -> "Draft7Validator":
    """The compiled schema of a kind."""
    from jsonschema_rs import (  # brings the e-mail package: a start without documents goes without
        Draft7Validator,
        RegexOptions,
    )

    return Draft7Validator(schemas.load(kind), offline=True, pattern_options=RegexOptions(), validate_formats=False)


def _envelope(body: Mapping[str, Any]) -> list[Mistake]:
    """By kind first: nothing else can be said before apiVersion and kind are known."""
    if body.get("apiVersion") != schemas.API_VERSION:
        return [("/apiVersion", f"expected {schemas.API_VERSION}", f"write {schemas.API_VERSION}", Code.API_VERSION)]
    kind = body.get("kind")
    if "kind" not in body:
        return [("", "the field kind is missing", f"one of {', '.join(schemas.KINDS)}", Code.MISSING_FIELD)]
    if kind not in schemas.KINDS:
        close = closest(str(kind), schemas.KINDS)
        hint = f"did you mean {close}?" if close else f"one of {', '.join(schemas.KINDS)}"
        return [("/kind", "a kind this version does not know", hint, Code.KIND)]
    return []


def _refused(kind: str, body: Mapping[str, Any]) -> Iterator[Mistake]:
    for error in verdict(kind).iter_errors(body):
        keyword = str(error.schema_path[-1]) if error.schema_path else "schema"
        yield explain.pointer(error.instance_path), f"refused by the schema ({keyword})", "", Code.WRONG_VALUE


def _misfit(error: msgspec.ValidationError) -> Mistake:
    """JSON Schema takes 1.0 for an integer, the model does not: the stricter one counts (V2)."""
    text = str(error)
    what, _, place = text.partition(" - at `$")
    steps = re.findall(r"[^.\[\]]+", place.removesuffix("`"))
    return "".join(f"/{step}" for step in steps), what.replace("`", ""), "", Code.WRONG_TYPE
