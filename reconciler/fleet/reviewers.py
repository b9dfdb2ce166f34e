"""How many people have to approve a change request before its merge counts as reviewed (B5)."""

from collections.abc import Iterable

from reconciler.errors import printable
from reconciler.model import ReviewerRule
from reconciler.spec import linear
from reconciler.spec.files import expression


def approvals(rules: Iterable[ReviewerRule], paths: Iterable[str], *, destroys: bool) -> int:
    """The approvals that a change of these files needs, by people who may write and are not its author: the largest number of the rules
    that fit, and one where it destroys something; 0: none."""
    changed = [printable(path) for path in paths]  # a line break is no way around a pattern
    fitting = (rule.approvals for rule in rules if any(_fits(pattern, changed) for pattern in rule.paths))
    return max([int(destroys), *fitting])


def _fits(pattern: str, paths: list[str]) -> bool:
    regular = expression(pattern)
    return any(linear.whole(regular, path) for path in paths)
