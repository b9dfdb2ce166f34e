"""`python -m devhost VERB`: the sub-verbs of `nidus host`, without the rest of nidus."""

from __future__ import annotations

import sys

from reconciler.verbs import host, usage


def main() -> int:
    """Parse the command line and run its verb."""
    parser = usage.Parser(prog="nidus host", description=host.__doc__)
    host.add_arguments(parser)
    return host.run(parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
