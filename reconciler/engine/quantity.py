"""Kubernetes quantities as exact numbers: parse, add up, and print in the form the API server keeps."""

from collections.abc import Iterable, Mapping
from fractions import Fraction
from functools import lru_cache

from reconciler.patterns import lazy

MOST = (1 << 63) - 1  # what the API server keeps of anything larger
_DIGITS = 64  # of one number: more than any document or any sum of amounts has
_QUANTITY = lazy(
    rf"([+-]?(?:[0-9]{{1,{_DIGITS}}}(?:\.[0-9]{{0,{_DIGITS}}})?|\.[0-9]{{1,{_DIGITS}}}))"
    r"(n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|[eE][-+]?[0-9]{1,2})?"
)
_DECIMAL = {"n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}


@lru_cache(maxsize=4096)
def parse(text: str) -> Fraction:
    """The number a quantity stands for (bytes, cores, pieces), at most MOST. Raises ValueError."""
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise ValueError(f"not a quantity: {text[:40]!r}")
    digits, suffix = match.group(1), match.group(2) or ""
    return min(Fraction(digits) * _factor(suffix), Fraction(MOST))


def add(*parts: Mapping[str, Fraction]) -> dict[str, Fraction]:
    """The sums over all keys."""
    keys = {key for part in parts for key in part}
    return {key: sum((part.get(key, Fraction(0)) for part in parts), Fraction(0)) for key in sorted(keys)}


def times(count: int, part: Mapping[str, Fraction]) -> dict[str, Fraction]:
    """Each value `count` times."""
    return {key: count * value for key, value in part.items()}


def most(parts: Iterable[Mapping[str, Fraction]]) -> dict[str, Fraction]:
    """The largest value of each key."""
    found: dict[str, Fraction] = {}
    for part in parts:
        found |= {key: max(value, found.get(key, value)) for key, value in part.items()}
    return found


def cores(value: Fraction) -> str:
    """`3` or `2500m`; rounded up to a thousandth, at most MOST."""
    thousandths = -(-min(value, Fraction(MOST)) * 1000 // 1)
    return str(thousandths // 1000) if thousandths % 1000 == 0 else f"{thousandths}m"


def size(value: Fraction) -> str:
    """Bytes in the largest binary unit that divides them; rounded up to a byte, at most MOST."""
    whole = int(-(-min(value, Fraction(MOST)) // 1))
    for suffix, power in reversed(_BINARY.items()):
        if whole and whole % (1 << power) == 0:
            return f"{whole >> power}{suffix}"
    return str(whole)


def _factor(suffix: str) -> Fraction:
    if suffix in _BINARY:
        return Fraction(1 << _BINARY[suffix])
    exponent = int(suffix[1:]) if suffix.startswith("e") else _DECIMAL.get(suffix, 0)
    return Fraction(10) ** exponent
