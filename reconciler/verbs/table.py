"""Columns as kubectl prints them, and colours on terminals."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from reconciler.errors import printable, prints

COLOURS = {
    "Ready": "32",
    "Current": "32",
    "Degraded": "31",
    "Invalid": "31",
    "Failed": "31",
    "Held": "33",
    "Waiting": "33",
}


def render(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Left-aligned columns three spaces apart; an empty cell prints as <none>, characters that do not print are
    escaped."""
    cells = [list(header), *([printable(cell) or "<none>" for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    lines = ["   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    return "\n".join(lines)


def with_message(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    width: int = 0,
    words: Sequence[str] = (),
    drop: Sequence[str] = (),
) -> str:
    """A table whose last column is a message, left out where no row has one. Where that is wider than `width`, each message is below
    its row. `words`: each row is in the colour of its word; `drop`: columns that a narrow terminal goes without, in this order."""
    words = words or [""] * len(rows)
    names, cells = narrowed(header[:-1], [row[:-1] for row in rows], width, drop)
    head, *lines = render(names, cells).split("\n")
    messages = [printable(row[-1]) for row in rows]
    columns = max(map(len, (head, *lines))) + 3
    if any(messages) and (not width or all(columns + len(message) <= width for message in messages)):
        head = head.ljust(columns) + header[-1]
        lines = [(line.ljust(columns) + message).rstrip() for line, message in zip(lines, messages, strict=True)]
        messages = [""] * len(rows)
    below = [[wrapped(message, width, indent=2)] if message else [] for message in messages]
    shown = [coloured(line, word) for line, word in zip(lines, words, strict=True)]
    return "\n".join([head, *(line for one, more in zip(shown, below, strict=True) for line in (one, *more))])


def narrowed(
    header: Sequence[str], rows: Sequence[Sequence[str]], width: int, order: Sequence[str]
) -> tuple[list[str], list[list[str]]]:
    """Without the columns that `width` has no room for, in the order in which they are left out; 0: with all. No name is cut, so the
    table may still be wider."""
    names, found = list(header), [list(row) for row in rows]
    for name in order:
        text = render(names, found) if width else ""
        if max(map(len, text.split("\n"))) <= width:
            break
        if name in names:
            at = names.index(name)
            names, found = [*names[:at], *names[at + 1 :]], [[*row[:at], *row[at + 1 :]] for row in found]
    return names, found


def wrapped(text: str, width: int = 0, indent: int = 0) -> str:
    """`text` in lines of at most `width` columns, the second and later ones indented by two more; 0: in one line."""
    import textwrap

    first, rest = " " * indent, " " * (indent + 2)
    if not width:
        return first + printable(text)
    fold = textwrap.TextWrapper(
        max(20, width), initial_indent=first, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False
    )
    return fold.fill(printable(text))


def document(body: Mapping[str, Any], form: str) -> str:
    """A JSON value as `form` json or yaml. Where a character would not print, all of YAML is in ASCII, as JSON is."""
    if form == "yaml":
        import yaml

        text: str = yaml.safe_dump(body, sort_keys=False, allow_unicode=True).rstrip()
        drawn = all(prints(line) for line in text.split("\n"))
        return text if drawn else yaml.safe_dump(body, sort_keys=False, allow_unicode=False).rstrip()
    import json

    return json.dumps(body, indent=2)


def columns() -> int:
    """The width of the terminal, or 0 where output is no terminal: what programs read is not wrapped."""
    import shutil

    return shutil.get_terminal_size().columns if sys.stdout.isatty() else 0


def coloured(text: str, word: str) -> str:
    """`text` in the colour of a status word, if the terminal takes colours."""
    code = COLOURS.get(word)
    return f"\x1b[{code}m{text}\x1b[0m" if code and wants_colour() else text


def wants_colour() -> bool:
    """Whether standard output is a terminal and NO_COLOR is not set."""
    if not sys.stdout.isatty():
        return False
    from reconciler.settings import no_colour

    return not no_colour()


def age(seconds: float) -> str:
    """An age the way kubectl prints it: 45s, 12m, 3h, 2d."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= 2 * size:
            return f"{int(seconds // size)}{unit}"
    return f"{int(max(0.0, seconds))}s"
