"""`nidus completion SHELL`: what a shell needs to complete verbs and flags. The script is static: a Tab starts no Python."""

from __future__ import annotations

import argparse
import importlib

SHELLS = ("bash", "zsh", "fish")
EXAMPLES = (
    ("bash > ~/.local/share/bash-completion/completions/nidus", "for bash, from the next shell on"),
    ('zsh > "${fpath[1]}/_nidus"', "for zsh"),
    ("fish > ~/.config/fish/completions/nidus.fish", "for fish"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=SHELLS, metavar="SHELL", help=f"one of {', '.join(SHELLS)}")


def run(args: argparse.Namespace) -> int:
    """Prints the script."""
    import shtab

    print(shtab.complete(whole(args.verbs), shell=args.shell).rstrip("\n"))
    return 0


def whole(verbs: dict[str, str]) -> argparse.ArgumentParser:
    """The parser with the arguments of every verb; the command itself builds those of one verb only."""
    parser = argparse.ArgumentParser(prog="nidus")
    subs = parser.add_subparsers(dest="verb", metavar="VERB")
    for name, told in verbs.items():
        importlib.import_module(f"reconciler.verbs.{name}").add_arguments(subs.add_parser(name, help=told))
    return parser
