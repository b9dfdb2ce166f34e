"""Label selectors, as list and watch take them."""

import re
from collections.abc import Callable, Mapping

from tests.memory.refusal import bad

Matches = Callable[[Mapping[str, str]], bool]
_PART = re.compile(r"\s*(!?)\s*([^\s,()=!]+)\s*(?:(==|=|!=|\bin\b|\bnotin\b)\s*(\([^)]*\)|[^\s,()]*))?\s*(?:,|$)")


def parse(selector: str) -> Matches:
    """Return whether labels match `selector`; raises Refusal 400 where it cannot be read."""
    tests: list[Matches] = []
    at = 0
    while at < len(selector):
        found = _PART.match(selector, at)
        if found is None:
            raise bad(f"unable to parse requirement: found '{selector[at:]}'")
        tests.append(_test(*found.groups()))
        at = found.end()
    return lambda labels: all(test(labels) for test in tests)


def _test(no: str, key: str, sign: str | None, value: str | None) -> Matches:
    if not sign:
        return lambda labels: (key in labels) != bool(no)
    wanted = {one.strip() for one in (value or "").strip("()").split(",")}
    if sign in ("=", "==", "in"):
        return lambda labels: key in labels and labels[key] in wanted
    return lambda labels: labels.get(key) not in wanted
