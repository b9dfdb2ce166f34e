"""Which engine runs which Kubernetes, and which steps between versions are allowed.

The range of a row is the Kubernetes minors an engine minor ships images for (upstream config/default_extra_values.go).
No downgrade and one minor at a time is Kubernetes' own skew rule and the engine's documented upgrade path; the engine
checks neither.
"""

import re
from functools import lru_cache

Version = tuple[int, int, int]

KUBERNETES: dict[tuple[int, int], tuple[int, int]] = {(0, 36): (30, 36), (0, 37): (30, 36)}
_VERSION = re.compile(r"v?([0-9]{1,6})\.([0-9]{1,6})\.([0-9]{1,6})(?:[-+].*)?")


@lru_cache(maxsize=1024)
def parse(text: str) -> Version:
    """`v1.36.0` or `0.36.1` as numbers; a suffix (`-rc.1`, `+build`) is left out. Raises ValueError."""
    match = _VERSION.fullmatch(text)
    if match is None:
        raise ValueError(f"not a version: {text[:40]!r}")
    major, minor, patch = (int(part) for part in match.groups())
    return major, minor, patch


def newest(versions: tuple[str, ...]) -> str:
    """The highest of `versions`, as written."""
    return max(versions, key=parse)


def runs(engine: str, kubernetes: str) -> bool:
    """Whether that engine version ships that Kubernetes minor. Raises ValueError where one is no version."""
    known = KUBERNETES.get(parse(engine)[:2])
    major, minor, _ = parse(kubernetes)
    return known is not None and major == 1 and known[0] <= minor <= known[1]


def step(old: str, new: str) -> str:
    """Why `old` may not become `new` ("" if it may): a downgrade, or more than one minor at once."""
    before, after = parse(old), parse(new)
    if after < before:
        return f"{new} is older than {old}: downgrades are not possible"
    if after[0] != before[0] or after[1] > before[1] + 1:
        return f"{old} to {new} skips a minor version: go one minor at a time"
    return ""
