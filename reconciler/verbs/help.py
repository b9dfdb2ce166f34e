"""`nidus help [VERB]`: what `nidus VERB --help` prints."""

import argparse

from reconciler.errors import UsageError
from reconciler.verbs import usage

EXAMPLES = (("", "every verb, in one line"), ("plan", "one verb, with examples and exit codes"))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("about", nargs="?", default="", metavar="VERB", help="the verb to explain (default: list all)")


def run(args: argparse.Namespace) -> int:
    """Print the help of a verb. Raises UsageError for one that is none."""
    if args.about and args.about not in args.verbs:
        hint = usage.close(args.about, args.verbs) or "nidus help lists them"
        raise UsageError(f"no verb {args.about[:60]}", hint=hint)
    try:
        return int(args.main([*([args.about] if args.about else []), "--help"]))
    except SystemExit as ended:
        return int(ended.code or 0)
