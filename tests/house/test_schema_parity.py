"""The schemas, the model, the codes, the reference and the CRDs say the same."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jsonschema_rs import Draft7Validator, RegexOptions, meta

import schemas
from reconciler.model import ClusterProfile, ControllerConfig, NestedCluster
from reconciler.spec import forms, linear, unsupported
from reconciler.spec.codes import MEANING, Code
from reconciler.spec.values import _TYPES
from schemas import crds, docs

ROOT = Path(__file__).parents[2]
MODEL: dict[str, type[msgspec.Struct]] = {
    "ClusterProfile": ClusterProfile,
    "NestedCluster": NestedCluster,
    "ControllerConfig": ControllerConfig,
}


def model_fields(kind: type[msgspec.Struct], path: str = "") -> Iterator[tuple[str, msgspec.structs.FieldInfo]]:
    for field in msgspec.structs.fields(kind):
        here = f"{path}.{field.encode_name}" if path else field.encode_name
        yield here, field
        for suffix, inner in structs(field.type):
            yield from model_fields(inner, here + suffix)


def structs(annotation: Any, suffix: str = "") -> Iterator[tuple[str, type[msgspec.Struct]]]:
    """Structs inside an annotation, with the step (`[]`, `.*`) that leads to them."""
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        yield suffix, annotation
        return
    step = {tuple: "[]", dict: ".*"}.get(getattr(annotation, "__origin__", None), "")
    for inner in getattr(annotation, "__args__", ()):
        yield from structs(inner, suffix + step)


def nodes(schema: Any, place: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(schema, dict):
        yield place, schema
        for name, child in schema.items():
            if name not in ("default", "const", "enum"):
                yield from nodes(child, f"{place}/{name}")
    elif isinstance(schema, list):
        for index, child in enumerate(schema):
            yield from nodes(child, f"{place}/{index}")


@pytest.mark.parametrize("kind", schemas.KINDS)
def test_every_field_of_the_schema_is_a_field_of_the_model_and_back(kind: str) -> None:
    assert {path for path, _, _ in docs.fields(schemas.load(kind))} == {path for path, _ in model_fields(MODEL[kind])}


@pytest.mark.parametrize("kind", schemas.KINDS)
def test_defaults_and_required_fields_agree(kind: str) -> None:
    model = dict(model_fields(MODEL[kind]))
    for path, node, required in docs.fields(schemas.load(kind)):
        field = model[path]
        assert required == field.required, path
        default = default_of(field)
        if "default" in node:
            assert node["default"] == default, path
        else:
            assert default in ("", 0, [], None, msgspec.UNSET) or isinstance(default, dict) or required, path


def default_of(field: msgspec.structs.FieldInfo) -> Any:
    """A field's default as JSON; NODEFAULT where there is none."""
    if field.default_factory is not msgspec.NODEFAULT:
        return msgspec.to_builtins(field.default_factory())
    if field.default is msgspec.NODEFAULT or field.default is msgspec.UNSET:
        return field.default
    plain = msgspec.to_builtins(field.default)
    return list(plain) if isinstance(plain, tuple) else plain


@pytest.mark.parametrize("kind", schemas.KINDS)
def test_schemas_are_closed_described_and_offline(kind: str) -> None:
    schema = schemas.load(kind)
    assert meta.is_valid(schema)
    for place, node in nodes(schema):
        in_choice = "/oneOf/" in place or "/anyOf/" in place
        if "properties" in node and not place.endswith("/properties"):
            assert node.get("additionalProperties") is False, place
        if re.search(r"/(properties|definitions)/[^/]+$|/items$|/additionalProperties$", place) and "$ref" not in node:
            assert node.get("description"), place
        if "$ref" in node:
            assert list(node) == ["$ref"] and node["$ref"].startswith("#/definitions/"), place
        assert (
            not {"$dynamicRef", "unevaluatedProperties", "$defs", "uniqueItems", "format", "if"} & set(node)
            or in_choice
            or place.endswith("/properties")  # names of fields
        ), place


@pytest.mark.parametrize("kind", schemas.KINDS)
def test_defaults_pass_their_own_schema(kind: str) -> None:
    schema = schemas.load(kind)
    for path, node, _ in docs.fields(schema):
        if "default" in node:
            own = {**node, "definitions": schema.get("definitions", {})}
            assert Draft7Validator(own, offline=True).is_valid(node["default"]), path


@pytest.mark.parametrize("kind", schemas.KINDS)
def test_every_pattern_has_a_form_that_is_told_in_words(kind: str) -> None:
    """A regular expression is no answer to a person."""
    for place, node in nodes(schemas.load(kind)):
        if isinstance(node.get("pattern"), str):
            assert forms.of(node), f"{place} needs a title of reconciler/spec/forms.py"


def test_every_form_is_used() -> None:
    assert {node.get("title") for kind in schemas.KINDS for _, node in nodes(schemas.load(kind))} >= set(forms.FORMS)


HOSTILE = ("a" * 50_000 + "!", "a-" * 25_000 + "!", "1." * 25_000, "/a" * 25_000 + "\n", "0" * 50_000)


@pytest.mark.parametrize("kind", schemas.KINDS)
def test_patterns_are_linear_anchored_and_refuse_a_trailing_newline(kind: str) -> None:
    patterns = {node["pattern"] for _, node in nodes(schemas.load(kind)) if isinstance(node.get("pattern"), str)}
    assert patterns
    for pattern in patterns:
        Draft7Validator({"pattern": pattern}, pattern_options=RegexOptions())
        assert pattern.startswith("^") and pattern.endswith("$"), pattern
        for text in HOSTILE:
            linear.found(pattern, text)
        assert not any(
            linear.found(pattern, text + "\n") for text in ("a", "a.b", "1Gi", "5m", "0.36.1", "v1.36.0", "A")
        ), pattern


@pytest.mark.parametrize("kind", schemas.KINDS)
def test_what_is_not_supported_is_not_in_the_schema(kind: str) -> None:
    shown = {path.replace("[]", ".*").replace(".", "/") for path, _, _ in docs.fields(schemas.load(kind))}
    assert not shown & unsupported.FIELDS[kind]
    parents = {path.rpartition("/")[0].removesuffix("/*") for path in unsupported.FIELDS[kind]}
    assert parents <= shown | {"spec"}


def test_variable_types_are_those_of_the_schema() -> None:
    variable = schemas.load("ClusterProfile")["definitions"]["variable"]["properties"]["type"]
    assert variable["enum"] == list(_TYPES)


def test_every_code_has_its_meaning_and_its_number() -> None:
    assert set(MEANING) == set(Code)
    assert all(re.fullmatch(r"NID1\d\d", code.value) for code in Code)


@pytest.mark.parametrize("name", sorted(docs.render()))
def test_the_reference_is_current(name: str) -> None:
    assert (docs.FOLDER / name).read_text(encoding="utf-8") == docs.render()[name], "python -m schemas.docs"


@pytest.mark.parametrize("name", sorted(crds.render()))
def test_the_definitions_are_current(name: str) -> None:
    assert (crds.FOLDER / name).read_text(encoding="utf-8") == crds.render()[name], "python -m schemas.crds"


def test_definitions_are_structural() -> None:
    for definition in crds.definitions().values():
        schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        for place, node in nodes(schema):
            if "properties" in node and not place.endswith("/properties"):
                assert node["type"] == "object", place


def test_no_other_file_stands_beside_the_generated_ones() -> None:
    assert {file.name for file in crds.FOLDER.iterdir()} == set(crds.render())


def test_schema_files_are_canonical_json() -> None:
    for kind in schemas.KINDS:
        text = schemas.text(kind)
        assert text == json.dumps(json.loads(text), indent=2, ensure_ascii=False) + "\n"
