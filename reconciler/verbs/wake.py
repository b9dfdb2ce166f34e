"""`nidus wake NAME`: wake one nested cluster, until its next turn or `nidus sleep`."""

import argparse

from reconciler.verbs import turning

EXAMPLES = (
    ("team-a", "until its schedule puts it to sleep"),
    ("team-a --until 2026-12-01T22:00:00Z", "and let it sleep again at that time"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    turning.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Exit code 0 once stored."""
    return turning.ask(args, "wake")
