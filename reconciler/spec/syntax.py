"""What a file that is not YAML was meant to be: libyaml's words name tokens, people look for a tab or a conflict marker.

No message contains a value of the file, which may be secret.
"""

import re
from typing import Final

from yaml import YAMLError
from yaml.reader import ReaderError

from reconciler.model import Violation
from reconciler.patterns import lazy
from reconciler.spec.codes import Code
from reconciler.spec.marks import place

_CONFLICT = lazy(rb"^(<{7}|\|{7}|>{7})(?=[ \r\n]|$)", re.MULTILINE)
_HINTS: Final = {
    "mapping values are not allowed": "put a text that contains a colon in quotes, and check the indentation",
    "did not find expected key": "check the indentation, and that quotes and brackets are closed",
    "did not find expected '-' indicator": "check the indentation of the list",
    "did not find expected ',' or": "close the bracket, or separate the items with commas",
    "could not find expected ':'": "write a colon and a space after the field's name",
    "found unexpected end of stream": "close the quotes",
    "did not find expected node content": "check the brackets; quote a text that begins with { or [",
    "block sequence entries are not allowed": "begin the list on a line of its own",
    "found unknown escape character": "in double quotes \\ begins an escape; single quotes take texts as they are",
}
_BEGINNINGS = frozenset("@`%")


def violation(error: YAMLError, data: bytes, path: str) -> Violation:
    """A libyaml error as a violation."""
    if isinstance(error, ReaderError):
        line, column = place(data, min(int(error.position), len(data)))
        return Violation(path, line, column, Code.NOT_UTF8, "a control character that text must not hold")
    if marker := _CONFLICT.search(data):
        line, column = place(data, marker.start())
        message = f"a conflict marker of a merge ({marker[1].decode()})"
        return Violation(path, line, column, Code.SYNTAX, message, hint="resolve the conflict and remove its markers")
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    message, hint = _told(getattr(error, "problem", None) or "", _character(data, line, column))
    return Violation(path, line, column, Code.SYNTAX, message, hint=hint)


def _told(problem: str, found: str) -> tuple[str, str]:
    """Message and hint of a problem in libyaml's words, at the character `found`."""
    if found == "\t":
        return "not YAML: a tab where the line is indented", "use spaces"
    if found in _BEGINNINGS and problem.startswith("found character that cannot start"):
        return f"not YAML: {found} cannot begin a value", "put the value in quotes"
    hint = next((hint for words, hint in _HINTS.items() if words in problem), "")
    return f"not YAML: {problem or 'it cannot be read'}", hint


def _character(data: bytes, line: int, column: int) -> str:
    lines = data.decode(errors="replace").split("\n")
    return lines[line - 1][column - 1 : column] if line <= len(lines) else ""
