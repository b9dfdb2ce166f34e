"""Quantities and durations as people write them: `1Mi`, `250m`, `5m`, `1h30m`."""

import re
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Any

from reconciler.patterns import lazy

_QUANTITY = lazy(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|[eE][-+]?[0-9]{1,2})?", re.ASCII)
_DURATION = lazy(
    r"(?:([0-9]{1,4})d)?(?:([0-9]{1,5})h)?(?:([0-9]{1,7})m)?(?:([0-9]{1,8})s)?(?:([0-9]{1,11})ms)?", re.ASCII
)
"""As in the schemas. The longest are 63 years: a date can be counted from any, and any can be waited for."""
_FACTOR: dict[str, Fraction] = {
    "": Fraction(1),
    **{sign: Fraction(1, 1000 ** (power + 1)) for power, sign in enumerate(("m", "u", "n"))},
    **{sign: Fraction(1000) ** (power + 1) for power, sign in enumerate(("k", "M", "G", "T", "P", "E"))},
    **{sign: Fraction(1024) ** (power + 1) for power, sign in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"))},
}
_SECONDS = (86400.0, 3600.0, 60.0, 1.0, 0.001)


@lru_cache(maxsize=1024)
def quantity(text: str) -> Fraction:
    """A Kubernetes quantity in its base unit (bytes, cores, pieces). Raises ValueError."""
    match = _QUANTITY.fullmatch(text)
    if not match:
        raise ValueError("not a quantity such as 250m, 5Gi or 2")
    unit = match[2] or ""
    return Fraction(match[1]) * (_FACTOR[unit] if unit in _FACTOR else Fraction(10) ** int(unit[1:]))


def written(value: Any) -> Any:
    """A quantity that was written as a number, as the text of that number: Kubernetes reads both alike. Anything else as
    it is."""
    if type(value) is int:
        return str(value)
    if type(value) is not float:
        return value
    whole, _, fraction = format(Decimal(repr(value)), "f").partition(".")
    return f"{whole}.{fraction}" if fraction.strip("0") else whole


def size(text: str) -> int:
    """A quantity as whole bytes, rounded down. Raises ValueError."""
    return int(quantity(text))


def room(count: int) -> str:
    """A size that holds so many bytes, as an operator would write it: 1Mi, 2Mi, 4Mi ..."""
    return f"{1 << (max(count - 1, 0) >> 20).bit_length()}Mi"


def duration(text: str) -> float:
    """Seconds of a duration: whole numbers with the units d, h, m, s, ms, largest first (`1h30m`). Raises ValueError."""
    match = _DURATION.fullmatch(text)
    if not match or not text:
        raise ValueError("not a duration such as 30s, 5m, 1h30m or 2d")
    return sum(int(count) * unit for count, unit in zip(match.groups(), _SECONDS, strict=True) if count)


def lasting(seconds: float) -> str:
    """Whole seconds as a duration of one unit, such as 24h, 90m or 45s."""
    whole = round(seconds)
    size, unit = next((one for one in ((3600, "h"), (60, "m")) if whole and whole % one[0] == 0), (1, "s"))
    return f"{whole // size}{unit}"
