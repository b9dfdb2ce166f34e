"""The reference of the documents and of what commands print, from their schemas: `python -m schemas.docs` writes docs/reference/."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import schemas
from reconciler.spec import forms

Json = dict[str, Any]
FOLDER = Path(__file__).parent.parent / "docs" / "reference"
_BOUNDS = {
    "minimum": "at least {}",
    "maximum": "at most {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
    "maxProperties": "at most {} entries",
}


def render() -> dict[str, str]:
    """File name -> text, one a kind."""
    return {f"{kind}.md": _page(schemas.load(kind)) for kind in schemas.KINDS + schemas.OUTPUTS}


def main() -> None:
    """Writes the files."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in render().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


def fields(schema: Json) -> Iterator[tuple[str, Json, bool]]:
    """(path, schema, required) of every field, parents before children; list items are `[]`, free names `*`."""
    yield from _fields("", schema, schema)


def _fields(path: str, node: Json, root: Json) -> Iterator[tuple[str, Json, bool]]:
    required = node.get("required", [])
    for name, child in node.get("properties", {}).items():
        here, whole = f"{path}.{name}" if path else name, resolved(child, root)
        yield here, whole, name in required
        yield from _below(here, whole, root)


def _below(path: str, node: Json, root: Json) -> Iterator[tuple[str, Json, bool]]:
    if "items" in node:
        yield from _below(f"{path}[]", resolved(node["items"], root), root)
    if isinstance(node.get("additionalProperties"), dict):
        yield from _below(f"{path}.*", resolved(node["additionalProperties"], root), root)
    yield from _fields(path, node, root)


def resolved(node: Json, root: Json) -> Json:
    """A schema with its reference into the definitions followed."""
    if "$ref" not in node:
        return node
    found: Json = root["definitions"][str(node["$ref"]).rpartition("/")[2]]
    return found


def _page(schema: Json) -> str:
    head = [
        f"# {schema['title']}",
        "",
        schema["description"],
        "",
        "Written from the JSON Schema by `python -m schemas.docs`.",
        "",
    ]
    table = ["| field | type | default | meaning |", "|---|---|---|---|"]
    rows = [_row(*field, schema) for field in fields(schema)]
    return "\n".join([*head, *table, *rows]) + "\n"


def _row(path: str, node: Json, required: bool, root: Json) -> str:
    default = "**required**" if required else f"`{_plain(node['default'])}`" if "default" in node else ""
    cells = (f"`{path}`", _type(node, root), default, " ".join([node.get("description", ""), *_bounds(node)]).strip())
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _type(node: Json, root: Json) -> str:
    if "const" in node:
        return f"`{node['const']}`"
    if "enum" in node:
        return " ".join(f"`{value}`" for value in node["enum"])
    kind = str(node.get("type", "any value"))
    if kind == "array":
        return f"list of {_type(resolved(node['items'], root), root)}"
    if kind == "object" and isinstance(node.get("additionalProperties"), dict):
        return f"map of {_type(resolved(node['additionalProperties'], root), root)}"
    return kind if isinstance(node.get("type", ""), str) else " or ".join(node["type"])


def _bounds(node: Json) -> Iterator[str]:
    told = [wording.format(node[name]) for name, wording in _BOUNDS.items() if name in node]
    if form := forms.of(node):
        told.append(f"{node['title']}, such as {form.example}")
    if told:
        yield f"({', '.join(told)})"


def _plain(value: Any) -> str:
    import json

    return value if isinstance(value, str) and value else json.dumps(value)


if __name__ == "__main__":
    main()
