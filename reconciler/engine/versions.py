"""Which engine runs which Kubernetes, and which steps between versions are allowed.

The range of a row is the Kubernetes minors an engine minor ships images for (upstream config/default_extra_values.go).
No downgrade and one minor at a time is Kubernetes' own skew rule and the engine's documented upgrade path; the engine
checks neither.
"""

from collections.abc import Iterable
from functools import lru_cache

from reconciler.patterns import lazy

Version = tuple[int, int, int]

KUBERNETES: dict[tuple[int, int], tuple[int, int]] = {(0, 36): (30, 36), (0, 37): (30, 36)}
_VERSION = lazy(r"v?([0-9]{1,6})\.([0-9]{1,6})\.([0-9]{1,6})(?:[-+].*)?")


@lru_cache(maxsize=1024)
def parse(text: str) -> Version:
    """`v1.36.0` or `0.36.1` as numbers; a suffix (`-rc.1`, `+build`) is left out. Raises ValueError."""
    match = _VERSION.fullmatch(text)
    if match is None:
        raise ValueError(f"not a version: {text[:40]!r}")
    major, minor, patch = (int(part) for part in match.groups())
    return major, minor, patch


def newest(versions: Iterable[str]) -> str:
    """The highest of `versions`, as written; "" where none of them is a version."""
    return max((found for found in versions if _is_version(found)), key=parse, default="")


@lru_cache(maxsize=1024)
def runs(engine: str, kubernetes: str) -> bool:
    """Whether that engine version ships that Kubernetes minor; not where one of them is no version."""
    if not (_is_version(engine) and _is_version(kubernetes)):
        return False
    known = KUBERNETES.get(parse(engine)[:2])
    major, minor, _ = parse(kubernetes)
    return known is not None and major == 1 and known[0] <= minor <= known[1]


def newest_of(engine: str) -> str:
    """The newest minor of Kubernetes that an engine version ships, as `v1.36.0`; "" where that is not known."""
    known = KUBERNETES.get(parse(engine)[:2]) if _is_version(engine) else None
    return f"v1.{known[1]}.0" if known else ""


def minors(running: str, wanted: str) -> tuple[str, ...]:
    """One version for each minor from `running` to `wanted`, which is the last: `v1.35.x`, `v1.36.0`; () where it is not later."""
    if not (_is_version(running) and _is_version(wanted)) or not lower(wanted, running):
        return ()
    (major, minor, _), last = parse(running), parse(wanted)
    return (*(f"v{major}.{each}.x" for each in range(minor + 1, last[1])), wanted)


def lower(old: str, new: str) -> bool:
    """Whether `new` is older than `old`."""
    return _is_version(old) and _is_version(new) and parse(new) < parse(old)


def step(old: str, new: str) -> str:
    """Why `old` may not become `new` ("" if it may): a downgrade, more than one minor at once, or no version at all."""
    if old == new:
        return ""
    if not (_is_version(old) and _is_version(new)):
        return f"{(new if _is_version(old) else old)[:40]!r} is not a version"
    before, after = parse(old), parse(new)
    if after < before:
        return f"{new} is older than {old}: downgrades are not possible"
    if after[0] != before[0] or after[1] > before[1] + 1:
        return f"{old} to {new} skips a minor version: go one minor at a time"
    return ""


def reachable(running: str, offered: Iterable[str]) -> str:
    """The newest of `offered` that `running` may become in one step, "" where there is none."""
    return newest(found for found in offered if not step(running, found))


def minor(version: str) -> int | None:
    """The minor of a version, None where it is none."""
    return parse(version)[1] if _is_version(version) else None


def same_minor(one: str, other: str) -> bool:
    """Whether both are versions of one minor."""
    return _is_version(one) and _is_version(other) and parse(one)[:2] == parse(other)[:2]


def path(running: str, wanted: str, offered: Iterable[str]) -> tuple[str, ...]:
    """The versions from `running` to `wanted`, a minor each, () where there is no way: the newest offered one of each minor between."""
    if not (_is_version(running) and _is_version(wanted)) or lower(running, wanted):
        return ()
    choices, found, at = tuple(offered), [], running
    while step(at, wanted):
        major, minor, _ = parse(at)
        at = newest(one for one in choices if _is_version(one) and parse(one)[:2] == (major, minor + 1))
        if not at:
            return ()
        found.append(at)
    return (*found, wanted) if at != wanted else tuple(found)


def _is_version(text: str) -> bool:
    return _VERSION.fullmatch(text) is not None
