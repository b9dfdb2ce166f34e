"""`nidus schema`: prints the JSON Schemas, or writes them where editors find them."""

import argparse
from pathlib import Path

import schemas
from reconciler.errors import UsageError

EXAMPLES = (("", "the kinds"), ("NestedCluster", "one schema"), ("--dir .schemas", "all, where editors find them"))
_ALL = schemas.KINDS + schemas.OUTPUTS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kind", nargs="?", choices=_ALL, metavar="KIND", help=f"one of {', '.join(_ALL)}")
    parser.add_argument("--dir", default="", metavar="DIR", help="write files into this folder instead of printing")


def run(args: argparse.Namespace) -> int:
    """Prints one schema, or the list of kinds; with --dir writes one or all."""
    if args.dir:
        return _write(Path(args.dir), (args.kind,) if args.kind else schemas.KINDS)
    print(schemas.text(args.kind).rstrip("\n") if args.kind else "\n".join(_ALL))
    return 0


def _write(folder: Path, kinds: tuple[str, ...]) -> int:
    try:
        for file in schemas.write(folder, kinds):
            print(file)
    except OSError as error:
        raise UsageError(f"{folder}: {error.strerror or error}", hint="--dir FOLDER") from error
    return 0
