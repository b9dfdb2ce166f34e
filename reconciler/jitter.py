"""Chance in waiting times, so that many who wait for one thing do not come at once. No other chance is asked of it."""

import random

SOURCE = random.Random()
"""The generator of all waiting times but those of threads that write in the background. A test that plays the same history again seeds it;
the generator of the process stays whoever's it is."""


def between(low: float, high: float) -> float:
    """A number from `low` to `high`, all alike probable."""
    return SOURCE.uniform(low, high)
