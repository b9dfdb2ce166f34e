"""What all verbs share on the command line: exit codes, examples in `--help`, and what was probably meant."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence

from reconciler.errors import Stalled, closest, few, printable

TYPE_CHECKING = False  # every start of a verb imports this module: `typing` would be a tenth of `nidus --help`
if TYPE_CHECKING:
    from typing import Any, Final, NoReturn

DONE: Final = 0
FAILED: Final = 1
CHANGES: Final = 2  # only with --detailed-exitcode
HELD: Final = 3  # only with --detailed-exitcode
WRONG: Final = 64  # EX_USAGE of sysexits.h: no other program's 2 can be taken for it
SHOWN: Final = 12  # names that one message lists
MEANING: Final = {DONE: "done", FAILED: "failed", WRONG: "wrong usage"}
DETAILED: Final = {CHANGES: "there are changes", HELD: "something is held and waits for an approval"}


class Formatter(argparse.RawDescriptionHelpFormatter):
    """As wide as the terminal, without `shutil`, which loads four compressors to tell that."""

    def __init__(self, prog: str) -> None:
        try:
            columns = os.get_terminal_size(sys.__stdout__.fileno()).columns if sys.__stdout__ else 0
        except (OSError, ValueError):
            columns = 0
        super().__init__(prog, width=(columns or 80) - 2)


class Parser(argparse.ArgumentParser):
    """Ends with WRONG, and says what was probably meant."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"formatter_class": Formatter, **settings})

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(WRONG, f"{self.prog}: error: {message}\n{self._hint(message)}")

    def refuse(self, words: Sequence[str]) -> NoReturn:
        """End because of words that no argument takes."""
        flags = [word.partition("=")[0] for word in words if word.startswith("-")]
        known = [option for option in self._option_string_actions if option.startswith("--")]
        hint = next((found for flag in flags if (found := close(flag, known))), "")
        told = f"{', '.join(flags)} is no flag of this verb" if flags else f"too many words: {' '.join(words)}"
        self.print_usage(sys.stderr)
        self.exit(WRONG, f"{self.prog}: error: {told}\n  hint: {hint or f'{self.prog} --help tells more'}\n")

    def _hint(self, message: str) -> str:
        _, _, refused = message.partition("invalid choice: '")
        word, _, choices = refused.partition("' (choose from ")
        meant = close(word, re.findall(r"[\w.-]+", choices)) if choices else ""
        _, missing, names = message.partition("are required: ")
        if missing:
            meant = self._meaning(names.split(", ")) or f"{self.prog} --help tells more"
        return f"  hint: {meant}\n" if meant else ""

    def _meaning(self, names: Sequence[str]) -> str:
        """What each of these arguments is: as its help says, else one of its choices."""
        known = {"/".join(one.option_strings) or str(one.metavar or one.dest): one for one in self._actions}
        form = self._get_formatter()
        found = [(name, known[name]) for name in names if name in known]
        told = (
            (name, form._expand_help(one) if one.help else f"one of {', '.join(one.choices or ())}")
            for name, one in found
        )
        return "; ".join(f"{name} is {what}" for name, what in told)


_READ, _COMMIT = (
    "nidus status shows what there is",
    "write it in the repository and commit: nidus run applies each commit",
)
INSTEAD = {
    **dict.fromkeys(("get", "list", "ls", "describe", "show", "ps"), _READ),
    **dict.fromkeys(("apply", "edit", "create", "update", "deploy", "install"), f"{_COMMIT}; nidus new begins a file"),
    **dict.fromkeys(
        ("delete", "remove", "rm", "destroy", "uninstall"), "remove its file from the repository and commit"
    ),
    **dict.fromkeys(("rollback", "undo", "revert"), "git revert, and nidus run applies that commit"),
    "diff": "nidus plan shows what a commit would change",
    "explain": "nidus schema describes the documents, nidus why NAME the state of a cluster",
    "pause": "nidus suspend NAME",
    "unpause": "nidus resume NAME",
}
"""What verbs of other tools are here."""


def close(word: str, known: Iterable[str]) -> str:
    """ "did you mean ...?" where one of `known` is like `word`, else ""."""
    found = closest(word.lower(), known)
    return f"did you mean {found}?" if found else ""


def absent(told: str, name: str, there: Sequence[str], what: str, otherwise: str = "there is none") -> Stalled:
    """The error of every verb for a name that nothing has: the command failed, it was not used wrongly. `there` are the names that there
    are, `what` says whose; `otherwise` is the hint where there are none."""
    listed = f"{what}: {few(there, SHOWN)}" if there else otherwise
    return Stalled(printable(told), hint=printable(close(name, there) or listed))


def explain(parser: argparse.ArgumentParser, examples: Sequence[tuple[str, str]], more: Mapping[int, str]) -> None:
    """Give the help of one verb its examples, (arguments, what for), and its exit codes: `more` are those of its own."""
    width = max((len(f"{parser.prog} {words}") for words, _ in examples), default=0)
    lines = [f"  {f'{parser.prog} {words}'.rstrip():<{width}}  # {what}" for words, what in examples]
    detailed = "--detailed-exitcode" in parser._option_string_actions
    told = exits({**MEANING, **more}) + (f"\n  with --detailed-exitcode also {_codes(DETAILED)}" if detailed else "")
    parser.epilog = "\n".join([*(["examples:"] if lines else []), *lines, "", told])


def exits(meaning: Mapping[int, str] = MEANING) -> str:
    return f"exit codes:\n  {_codes(meaning)}"


def _codes(meaning: Mapping[int, str]) -> str:
    return ", ".join(f"{code} {what}" for code, what in sorted(meaning.items()))
