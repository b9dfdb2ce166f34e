"""`nidus sleep NAME`: put one nested cluster to sleep, until its next turn or `nidus wake`."""

import argparse

from reconciler.verbs import turning

EXAMPLES = (
    ("team-a", "until its schedule wakes it"),
    ("team-a --for 12h", "and wake it after 12 hours, if its schedule does not do so before"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    turning.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Exit code 0 once stored."""
    return turning.ask(args, "sleep")
