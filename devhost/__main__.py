"""`python -m devhost VERB`: the sub-verbs of `nidus host`, without the rest of nidus."""

from __future__ import annotations

import argparse
import sys

from reconciler.verbs import host


def main() -> int:
    """Parse the command line and run its verb."""
    parser = argparse.ArgumentParser(prog="nidus host", description=host.HELP)
    host.add_arguments(parser)
    return host.run(parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
