"""SemVer 2.0 versions and ranges: `1.2.0`, `1.2.x`, `1.2`, `*`, `^1.2`, `~1.2.3`, `>=1.0 <2.0`.

A pre-release fits a range only where the range names a pre-release of the same major.minor.patch.
"""

import re
from collections.abc import Iterable
from functools import lru_cache

from msgspec import Struct

from reconciler.patterns import lazy

_VERSION = lazy(r"(\d+)\.(\d+)\.(\d+)(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?", re.ASCII)
_TERM = lazy(
    r"(\^|~|>=|<=|>|<|=)?\s*v?(?:(\d+)|[xX*])(?:\.(?:(\d+)|[xX*]))?(?:\.(?:(\d+)|[xX*]))?(?:-([0-9A-Za-z.-]+))?",
    re.ASCII,
)
_LONGEST = 100


class Version(Struct, frozen=True, order=True):
    """Ordered as SemVer says; `rank` is 1 for a release and 0 for a pre-release, whose parts are in `pre`."""

    major: int
    minor: int
    patch: int
    rank: int = 1
    pre: tuple[tuple[int, int, str], ...] = ()

    @property
    def core(self) -> tuple[int, int, int]:
        return (self.major, self.minor, self.patch)


class Range(Struct, frozen=True):
    """Half-open or closed bounds, all of which must hold: (operator, version)."""

    bounds: tuple[tuple[str, Version], ...]

    def fits(self, version: Version) -> bool:
        """Whether the version is inside."""
        if not version.rank and not any(not bound.rank and bound.core == version.core for _, bound in self.bounds):
            return False
        return all(_holds(version, operator, bound) for operator, bound in self.bounds)


@lru_cache(maxsize=4096)  # a fleet has few, and each cluster asks for those it uses
def version(text: str) -> Version:
    """Parses `1.2.3` or `1.2.3-rc.1`; build metadata is ignored. Raises ValueError."""
    match = _VERSION.fullmatch(text) if len(text) <= _LONGEST else None
    if not match:
        raise ValueError("not a SemVer version such as 1.2.0")
    return _make(int(match[1]), int(match[2]), int(match[3]), match[4] or "")


def is_version(text: str) -> bool:
    """Whether it is a version, not a range or anything else."""
    try:
        version(text)
    except ValueError:
        return False
    return True


def exact(text: str) -> bool:
    """Whether it is a version as charts have them, with or without a v, and no range."""
    return is_version(text.removeprefix("v"))


@lru_cache(maxsize=4096)
def span(text: str) -> Range:
    """Parses a range: terms separated by spaces or commas, all of which must hold. Raises ValueError."""
    bounds: list[tuple[str, Version]] = []
    rest = text.strip() if len(text) <= _LONGEST else ""
    if not rest:
        raise ValueError("not a SemVer range such as 1.2.x or >=1.0 <2.0")
    while rest:
        match = _TERM.match(rest)
        if not match or rest[match.end() : match.end() + 1] not in ("", " ", ","):
            raise ValueError("not a SemVer range such as 1.2.x or >=1.0 <2.0")
        bounds += _bounds(match)
        rest = rest[match.end() :].lstrip(" ,")
    return Range(tuple(bounds))


def best(text: str, versions: Iterable[str]) -> str | None:
    """The newest of `versions` inside the range `text`, None if none is. Raises ValueError."""
    wanted = span(text)
    inside = [(parsed, given) for given in versions if wanted.fits(parsed := version(given))]
    return max(inside)[1] if inside else None


def _make(major: int, minor: int, patch: int, pre: str) -> Version:
    if not pre:
        return Version(major, minor, patch)
    parts = tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in pre.split("."))
    return Version(major, minor, patch, 0, parts)


def _bounds(match: re.Match[str]) -> list[tuple[str, Version]]:
    operator, pre = match[1] or "=", match[5] or ""
    if match[2] is None:
        if operator not in ("=", ">=", "<="):
            raise ValueError(f"{operator}* means nothing")
        return []
    numbers = [int(part) for part in _leading(match)]
    major, minor, patch = [*numbers, 0, 0][:3]
    low = _make(major, minor, patch, pre)
    full = len(numbers) == 3
    if pre and not full:
        raise ValueError("a pre-release needs all three numbers")
    if operator in (">=", "<") or (full and operator in (">", "<=", "=")):
        return [(operator, low)]
    if operator in (">", "<="):
        return [(">=" if operator == ">" else "<", _after(numbers, len(numbers) - 1))]
    return [(">=", low), ("<", _after(numbers, _kept(operator, numbers)))]


def _leading(match: re.Match[str]) -> list[str]:
    """The numbers before the first wildcard or the end."""
    numbers: list[str] = []
    for part in (match[2], match[3], match[4]):
        if part is None:
            break
        numbers.append(part)
    return numbers


def _kept(operator: str, numbers: list[int]) -> int:
    """Index of the number that may not grow: the first non-zero one for ^, the minor one for ~, the last one given for x-ranges."""
    if operator == "^":
        return next((index for index, number in enumerate(numbers) if number), len(numbers) - 1)
    if operator == "~":
        return min(1, len(numbers) - 1)
    return len(numbers) - 1


def _after(numbers: list[int], index: int) -> Version:
    """The first version beyond: one more at `index`, zero behind it."""
    raised = [*numbers[:index], numbers[index] + 1]
    major, minor, patch = [*raised, 0, 0][:3]
    return Version(major, minor, patch)


def _holds(version: Version, operator: str, bound: Version) -> bool:
    if operator == "=":
        return version == bound
    if operator in (">=", ">"):
        return version > bound or (operator == ">=" and version == bound)
    return version < bound or (operator == "<=" and version == bound)
