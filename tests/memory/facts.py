"""What a real API server says of its own kinds, made small: `facts.json` holds it, `extract` makes it from the server's answers.

Rules of the extraction: k8s.io/kube-openapi/pkg/schemaconv, by which the server itself makes the types of server-side apply.
A type is written as
    "s" "n" "b" "u"        a string, number, boolean, any scalar         "?"  anything, one piece     "*"  anything, maps by key
    "@Name" "@Name!"       a named type; ! = one piece where it is used
    ["atomic", T]  ["set", T]  ["map", T, key, ...]                      a list
    {"": T}                a map; with more names: a struct, where "" is the type of other names and "!" says one piece, and "="
                           holds what is written where nothing was given (its defaults, and the zero values of Go)
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("facts.json")
_PREFIX = "#/components/schemas/"
_QUANTITY, _RAW = "io.k8s.apimachinery.pkg.api.resource.Quantity", "io.k8s.apimachinery.pkg.runtime.RawExtension"
_SCALARS = {"integer": "n", "number": "n", "boolean": "b"}
_MARKS = ("!", "=")
_KIND = "x-kubernetes-group-version-kind"


def read() -> dict[str, Any]:
    """Return the committed facts: `kinds` and `types`."""
    found: dict[str, Any] = json.loads(FILE.read_text())
    return found


def extract(discovery: list[Mapping[str, Any]], documents: list[Mapping[str, Any]]) -> dict[str, Any]:
    """Return facts of aggregated discovery documents (/api, /apis) and of every document behind /openapi/v3."""
    schemas: dict[str, Any] = {}
    for document in documents:
        schemas |= document.get("components", {}).get("schemas", {})
    names = {
        (entry["group"], entry["version"], entry["kind"]): name
        for name, schema in schemas.items()
        for entry in schema.get(_KIND, ())
    }
    kinds = [kind for listed in discovery for kind in _kinds(listed, names)]
    types: dict[str, Any] = {}
    for kind in kinds:
        _collect(str(kind["type"]), schemas, types)
    return {"kinds": kinds, "types": dict(sorted(types.items()))}


def write(facts: Mapping[str, Any]) -> None:
    """Write `facts.json`, one line for each kind and type."""
    lines = [f"  {json.dumps(kind, separators=(',', ':'))}" for kind in facts["kinds"]]
    types = [f"  {json.dumps(name)}: {json.dumps(one, separators=(',', ':'))}" for name, one in facts["types"].items()]
    FILE.write_text('{"kinds": [\n' + ",\n".join(lines) + '\n], "types": {\n' + ",\n".join(types) + "\n}}\n")


def _kinds(listed: Mapping[str, Any], names: Mapping[tuple[str, str, str], str]) -> list[dict[str, Any]]:
    found = []
    for group in listed["items"]:
        name = group["metadata"].get("name", "")
        for version in group["versions"]:
            for one in version["resources"]:
                schema = names.get((name, version["version"], one["responseKind"]["kind"]))
                if schema and "list" in one["verbs"]:
                    subs = sorted(sub["subresource"] for sub in one.get("subresources", ()))
                    found.append({
                        "group": name, "version": version["version"], "kind": one["responseKind"]["kind"],
                        "plural": one["resource"], "namespaced": one["scope"] == "Namespaced", "subresources": subs,
                        "verbs": one["verbs"], "type": schema,
                    })  # fmt: skip
    return found


def _collect(name: str, schemas: Mapping[str, Any], types: dict[str, Any]) -> None:
    if name in types:
        return
    types[name] = None
    types[name] = _special(name) or _type(schemas[name])
    for other in sorted(_named(types[name])):
        _collect(other, schemas, types)


def _special(name: str) -> str:
    return {_QUANTITY: "u", _RAW: "?"}.get(name, "")


def _named(expression: Any) -> set[str]:
    if isinstance(expression, str):
        return {expression[1:].rstrip("!")} if expression.startswith("@") else set()
    parts = (
        [one for name, one in expression.items() if name not in _MARKS]
        if isinstance(expression, dict)
        else expression[1:2]
    )
    return {name for part in parts for name in _named(part)}


def _type(schema: Mapping[str, Any]) -> Any:
    """The type of a schema that is written out."""
    match schema.get("type", ""):
        case "object":
            return _object(schema)
        case "array":
            return _list(schema)
        case "string":
            return "s" if schema.get("format", "") in ("", "byte") else "u"
        case "":
            return "u" if schema.get("format") == "int-or-string" else "*"
        case scalar:
            return _SCALARS[scalar]


def _used(schema: Mapping[str, Any]) -> Any:
    """The type of a schema where it is used: a reference, or written out."""
    inner = schema.get("allOf", [{}])
    reference = schema.get("$ref") or (inner[0].get("$ref") if len(inner) == 1 else "")
    if not reference:
        return _type(schema)
    return f"@{reference.removeprefix(_PREFIX)}" + ("!" if schema.get("x-kubernetes-map-type") == "atomic" else "")


def _object(schema: Mapping[str, Any]) -> dict[str, Any]:
    properties = schema.get("properties", {})
    fields = {name: _used(one) for name, one in properties.items()}
    more = schema.get("additionalProperties")
    if isinstance(more, Mapping):
        fields[""] = _used(more)
    elif more or not fields:
        fields[""] = "*"
    given = {name: one["default"] for name, one in properties.items() if "default" in one}
    given |= {name: None for name in schema.get("required", ()) if name not in given and not _is_scalar(fields[name])}
    marks = {"!": ""} if schema.get("x-kubernetes-map-type") == "atomic" else {}
    return fields | marks | ({"=": given} if given else {})


def _is_scalar(expression: Any) -> bool:
    return expression in ("s", "n", "b", "u")


def _list(schema: Mapping[str, Any]) -> list[Any]:
    form, strategy = schema.get("x-kubernetes-list-type"), schema.get("x-kubernetes-patch-strategy", "")
    item = _used(schema["items"]) if "items" in schema else "?"
    if form == "map":
        return ["map", item, *schema["x-kubernetes-list-map-keys"]]
    if form is None and strategy.startswith("merge"):
        key = schema.get("x-kubernetes-patch-merge-key")
        return ["map", item, key] if key else ["set", item]
    return [form or "atomic", item]
