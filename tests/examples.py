"""How many examples a property draws: few in `make test`, five times as many in `make test-long`, and as `explore` says."""

from hypothesis import settings

FEW = 20  # of a property that says nothing
LONG = 5 * FEW


def examples(few: int) -> settings:
    """`few` of them in an ordinary run, and more as the profile has more."""
    return settings(max_examples=max(1, few * settings().max_examples // FEW))
