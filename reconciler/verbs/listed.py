"""Changes one named entry in a list of a YAML or JSON mapping, as a kubeconfig has them, and leaves every other byte alone.

Comments, order, indentation and quoting of the rest stay. Where the text is written in a way these edits cannot follow, the
whole document is written anew, as kubectl does: the result is parsed and compared each time.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import yaml

Entry = Mapping[str, Any]


class _Span(NamedTuple):
    """Where an entry stands: from its first character, without the dash, to behind its last."""

    first: int
    last: int


def put(text: str, section: str, entry: Entry) -> str:
    """`text` with `entry` in the list `section`, in place of one of the same name. Raises ValueError where text is no mapping."""
    before = parse(text)
    if entry in _entries(before, section):
        return text
    kept = [one for one in _entries(before, section) if _name(one) != entry["name"]]
    shorter = drop(text, section, str(entry["name"]))
    return _checked(_added(shorter, section, entry), before | {section: [*kept, dict(entry)]})


def drop(text: str, section: str, name: str) -> str:
    """`text` without the entries called `name` in the list `section`. Raises ValueError where text is no mapping."""
    found = parse(text)
    while any(_name(one) == name for one in _entries(found, section)):
        entries = _entries(found, section)
        number = next(index for index, one in enumerate(entries) if _name(one) == name)
        found = found | {section: [one for index, one in enumerate(entries) if index != number]}
        text = _checked(_removed(text, section, number), found)
    return text


def replace_value(text: str, key: str, value: str) -> str:
    """`text` whose scalar `key` is `value`. Raises ValueError where text is no mapping, KeyError where it lacks the key."""
    found = parse(text) | {key: value}
    node = _section(_root(text), key)
    if node is None:
        raise KeyError(key)
    return _checked(text[: node.start_mark.index] + json.dumps(value) + text[node.end_mark.index :], found)


def parse(text: str) -> dict[str, Any]:
    """The mapping that `text` is; empty for an empty text. Raises ValueError where it is something else."""
    try:
        found = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ValueError(_where(error)) from None
    if found is not None and not isinstance(found, dict):
        raise ValueError("no mapping at its top")
    return found or {}


def _where(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    return f"line {mark.line + 1}: {getattr(error, 'problem', 'no YAML')}" if mark else "no YAML"


def _entries(found: Mapping[str, Any], section: str) -> list[Any]:
    entries = found.get(section)
    if entries is not None and not isinstance(entries, list):
        raise ValueError(f"{section} is no list")
    return entries or []


def _name(entry: object) -> object:
    return entry.get("name") if isinstance(entry, dict) else None


def _checked(text: str, wanted: Mapping[str, Any]) -> str:
    """`text` if it means what is wanted, else the wanted document written anew."""
    try:
        is_right = _without_empty(parse(text)) == _without_empty(wanted)
    except ValueError:
        is_right = False
    return text if is_right else str(yaml.safe_dump(dict(wanted), sort_keys=False))


def _without_empty(found: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in found.items() if value not in (None, [])}


# Places


def _root(text: str) -> yaml.MappingNode | None:
    node = yaml.compose(text, yaml.SafeLoader)
    return node if isinstance(node, yaml.MappingNode) else None


def _section(root: yaml.MappingNode | None, section: str) -> yaml.Node | None:
    pairs: Sequence[tuple[yaml.Node, yaml.Node]] = root.value if root is not None else ()
    return next((value for key, value in pairs if key.value == section), None)


def _end(node: yaml.Node) -> int:
    """Behind the last character of a node. A block collection itself ends only where the next token begins."""
    if not isinstance(node, yaml.CollectionNode) or node.flow_style or not node.value:
        return int(node.end_mark.index)
    last = node.value[-1]
    return _end(last[1] if isinstance(node, yaml.MappingNode) else last)


def _line_end(text: str, place: int) -> int:
    """Where the line after `place` begins, or the text ends."""
    if place and text[place - 1] == "\n":  # a block scalar takes its newline along
        return place
    found = text.find("\n", place)
    return len(text) if found < 0 else found + 1


# Edits


def _removed(text: str, section: str, number: int) -> str:
    node = _section(_root(text), section)
    if not isinstance(node, yaml.SequenceNode):
        return text
    spans = [_Span(one.start_mark.index, _end(one)) for one in node.value]
    if node.flow_style:
        first, last = spans[number].first, spans[number].last
        if number:
            first = spans[number - 1].last
        elif len(spans) > 1:
            last = spans[1].first
        return text[:first] + text[last:]
    dash = text.rindex("-", 0, spans[number].first)
    return text[: text.rfind("\n", 0, dash) + 1] + text[_line_end(text, spans[number].last) :]


def _added(text: str, section: str, entry: Entry) -> str:
    root = _root(text)
    node = _section(root, section)
    if isinstance(node, yaml.SequenceNode) and node.flow_style:
        place = _end(node.value[-1]) if node.value else node.end_mark.index - 1
        return text[:place] + (", " if node.value else "") + json.dumps(entry) + text[place:]
    if isinstance(node, yaml.SequenceNode):
        return _in_block(text, node, entry)
    if node is not None:  # null
        return text[: node.start_mark.index] + f" [{json.dumps(entry)}]" + text[node.end_mark.index :]
    if root is not None and root.flow_style:
        place = _end(root.value[-1][1]) if root.value else root.end_mark.index - 1
        return text[:place] + (", " if root.value else "") + f'"{section}": [{json.dumps(entry)}]' + text[place:]
    place = _line_end(text, _end(root)) if root is not None else len(text)
    return _inserted(text, place, f"{section}:\n{_block(entry, 0)}")


def _in_block(text: str, node: yaml.SequenceNode, entry: Entry) -> str:
    dash = text.rindex("-", 0, node.value[-1].start_mark.index)
    indent = dash - text.rfind("\n", 0, dash) - 1
    return _inserted(text, _line_end(text, _end(node)), _block(entry, indent))


def _inserted(text: str, place: int, lines: str) -> str:
    newline = "" if not place or text[place - 1] == "\n" else "\n"
    return text[:place] + newline + lines + text[place:]


def _block(entry: Entry, indent: int) -> str:
    lines = str(yaml.safe_dump([dict(entry)], sort_keys=False, width=1 << 20)).splitlines()
    return "".join(f"{' ' * indent}{line}\n" for line in lines)
