"""Checks documents against their schemas (V2).

jsonschema-rs decides: linear patterns, no network, microseconds. jsonschema is loaded only to explain every mistake of
a document that fails, with an empty registry; where it finds none, the document is still refused, with jsonschema-rs's
message. Messages never contain values of the document, which may be secret.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, TypeVar

import msgspec
from jsonschema_rs import Draft7Validator, RegexOptions

import schemas
from reconciler.spec import explain
from reconciler.spec.codes import Code

Mistake = tuple[str, str, str, Code]
T = TypeVar("T")


def check(body: Mapping[str, Any]) -> list[Mistake]:
    """(pointer, message, hint, code) of every mistake, sorted; empty when the document is sound."""
    wrong = _envelope(body)
    if wrong:
        return wrong
    kind = str(body["kind"])
    if verdict(kind).is_valid(body):
        return []
    return sorted(set(explain.mistakes(kind, body)) or set(_refused(kind, body)))


def read(body: Mapping[str, Any], kinds: Mapping[str, type[T]]) -> tuple[T | None, list[Mistake]]:
    """The document as the model of its kind, or every mistake."""
    mistakes = check(body)
    if mistakes:
        return None, mistakes
    try:
        return msgspec.convert(body, kinds[body["kind"]]), []
    except msgspec.ValidationError as error:
        return None, [_misfit(error)]


def is_spec(body: Mapping[str, Any]) -> bool:
    """Whether the document claims to be one of ours."""
    version = body.get("apiVersion")
    return isinstance(version, str) and version.startswith("nidus.dev/")


@cache
def verdict(kind: str) -> Draft7Validator:
    """The compiled schema of a kind."""
    return Draft7Validator(schemas.load(kind), offline=True, pattern_options=RegexOptions(), validate_formats=False)


def _envelope(body: Mapping[str, Any]) -> list[Mistake]:
    """By kind first: nothing else can be said before apiVersion and kind are known."""
    if body.get("apiVersion") != schemas.API_VERSION:
        return [("/apiVersion", f"expected {schemas.API_VERSION}", "", Code.API_VERSION)]
    kind = body.get("kind")
    if "kind" not in body:
        return [("", "the field kind is missing", f"one of {', '.join(schemas.KINDS)}", Code.MISSING_FIELD)]
    if kind not in schemas.KINDS:
        return [("/kind", "a kind this version does not know", f"one of {', '.join(schemas.KINDS)}", Code.KIND)]
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
