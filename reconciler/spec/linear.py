"""Regular expressions that come from outside, matched in linear time by the engine of jsonschema-rs (V2)."""

from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jsonschema_rs import Draft7Validator


class PatternError(ValueError):
    """The pattern is no regular expression of the linear engine."""


def whole(pattern: str, text: str) -> bool:
    """Whether the whole of `text` matches. Raises PatternError, also for a pattern that would close our group (`a)|(b`)."""
    _compiled(pattern)
    return _compiled(f"^(?:{pattern})$").is_valid(text)


def found(pattern: str, text: str) -> bool:
    """Whether `pattern` matches somewhere in `text`, as JSON Schema's `pattern` does. Raises PatternError."""
    return _compiled(pattern).is_valid(text)


@lru_cache(maxsize=512)
def _compiled(pattern: str) -> "Draft7Validator":
    from jsonschema_rs import Draft7Validator, RegexOptions, ValidationError  # as in spec.schema

    try:
        return Draft7Validator({"pattern": pattern}, pattern_options=RegexOptions(), offline=True)
    except (ValidationError, ValueError) as error:
        raise PatternError(
            "not a regular expression of the linear engine (no look-around, no back-references)"
        ) from error
