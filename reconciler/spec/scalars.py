"""What a plain YAML scalar means: the YAML 1.2 core set, and an error where YAML 1.1 would have read something else (V1)."""

import re
from functools import lru_cache
from typing import Final

from reconciler.patterns import lazy
from reconciler.spec.codes import Code

_WORDS: Final[dict[str, bool | None]] = {
    "": None,
    "~": None,
    "null": None,
    "Null": None,
    "NULL": None,
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
}
_SWITCHES = frozenset(
    form for word in ("y", "n", "yes", "no", "on", "off") for form in (word, word.capitalize(), word.upper())
)
WORDS: Final = frozenset(_WORDS) | _SWITCHES | {"=", "<<"}
FIRST: Final = frozenset("0123456789+-.")
_INT = lazy(r"[-+]?(0|[1-9][0-9]*)", re.ASCII)
_HEX = lazy(r"0x[0-9a-fA-F]+", re.ASCII)
_FLOAT = lazy(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
_SPECIAL = lazy(r"([-+]?\.(inf|Inf|INF))|\.(nan|NaN|NAN)", re.ASCII)
_OTHER_IN_1_1 = lazy(
    r"""[-+]?0[0-9_]+                                  # octal in 1.1
    |[-+]?0o[0-7]+                                     # octal in 1.2
    |[-+]?0b[01_]+                                     # binary in 1.1
    |[-+]?[0-9](?=[0-9]*_)[0-9_]*(\.[0-9_]*)?          # digits with underscores
    |[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?      # sexagesimal
    |[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt\ \t].*)?       # date, time
    |[-+]0x[0-9a-fA-F]+""",
    re.ASCII | re.VERBOSE,
)
EXACT: Final = 2**53
"""Whole numbers up to here are the same in every reader of JSON."""
OBJECTS: Final = 2**63
"""Up to here Kubernetes keeps the whole numbers of an object: CRDs and metrics have bounds as large."""
_LONGEST = 40

Scalar = str | int | float | bool | None


class ScalarError(ValueError):
    """A plain scalar that is not allowed: a code, a message, and the fix."""

    def __init__(self, code: Code, message: str, hint: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint


@lru_cache(maxsize=4096)
def resolve(text: str, largest: int = EXACT) -> Scalar:
    """The value of a plain scalar. Raises ScalarError for ambiguous ones and for numbers JSON cannot carry: whole ones beyond
    `largest`, either side of zero.

    Only worth calling where `text` is in WORDS or starts with a character of FIRST; every other plain scalar is a string.
    """
    if text in _WORDS:
        return _WORDS[text]
    if text in _SWITCHES or text == "=" or _OTHER_IN_1_1.fullmatch(text):
        raise ScalarError(
            Code.AMBIGUOUS, f"{_short(text)} is ambiguous: YAML 1.1 does not read it as text", _quoted(text)
        )
    if _INT.fullmatch(text):
        return _whole(text, largest)
    if _HEX.fullmatch(text):
        return _in_range(int(text, 16), text, largest) if len(text) <= _LONGEST else _refuse(text)
    if _FLOAT.fullmatch(text):
        return _fraction(text)
    if _SPECIAL.fullmatch(text):
        return _refuse(text)
    return text


def _whole(text: str, largest: int) -> int:
    return _in_range(int(text), text, largest) if len(text) <= _LONGEST else _refuse(text)


def _in_range(value: int, text: str, largest: int) -> int:
    return value if -largest <= value <= largest else _refuse(text)


def _fraction(text: str) -> float:
    value = float(text)
    return _refuse(text) if value in (float("inf"), float("-inf")) else value


def _refuse(text: str) -> int:
    raise ScalarError(Code.NUMBER, f"{_short(text)} cannot be carried exactly as a number", _quoted(text))


def _quoted(text: str) -> str:
    if text in _SWITCHES:
        truth = "true" if text.lower() in ("y", "yes", "on") else "false"
        return f'write "{text}" for the text, {truth} for the switch'
    number = _meant(text.replace("_", "").lower()) if len(text) <= _LONGEST else None
    told = f'write "{_short(text)}" for the text'
    return told if number is None else f"write {number} for the number; {told}"


_BASES = (
    (lazy(r"0o?[0-7]+"), 8),
    (lazy(r"0b[01]+"), 2),
    (lazy(r"0x[0-9a-f]+"), 16),
    (lazy(r"[1-9][0-9]*"), 10),
)


def _meant(digits: str) -> int | None:
    """The number in decimals, as YAML 1.1 or 1.2 reads what is no decimal number: 0644 is 420."""
    sign, rest = (-1 if digits[0] == "-" else 1), digits.lstrip("+-")
    base = next((base for form, base in _BASES if form.fullmatch(rest)), 0)
    return sign * int(rest.removeprefix("0o") if base == 8 else rest, base) if base else None


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "..."
