"""The whole plan of an open change request, as the controller made it."""

from __future__ import annotations

import argparse
from typing import Any
from urllib.parse import quote

import msgspec

from reconciler.errors import Stalled, UsageError, printable
from reconciler.verbs import changes

FORMS = ("", "json", "yaml")


class Whole(msgspec.Struct, frozen=True):
    """The plan as text and as JSON, and what it comes to, as the exit code tells it."""

    failed: bool
    waits: bool
    moves: bool
    text: str
    plan: dict[str, Any]


class _Answer(msgspec.Struct, frozen=True):
    change: Whole | None


def asked(args: argparse.Namespace) -> Whole:
    """The plan of change request `args.change`. Raises Stalled where there is none, or no controller could be asked."""
    if args.words or args.revision or args.layer or args.output not in FORMS:
        raise UsageError(
            "--change shows a plan as the controller made it",
            hint="with --source, -o json or yaml, and --detailed-exitcode alone",
        )
    source = _source(args)
    for one in changes.asked(args, f"{changes.PATH}/{quote(source, safe='')}/{args.change}", _Answer):
        if one.change is not None:
            return one.change
    message = f"there is no plan of change request #{args.change} of source {printable(source)}"
    raise Stalled(message, hint="nidus changes lists those that are open")


def _source(args: argparse.Namespace) -> str:
    """The source that has this change request. Raises Stalled where none has it, UsageError where several have and
    none is named."""
    found = changes.asked(args, changes.PATH, changes.Answer)
    told = {one.source for each in found for one in each.changes if one.number == args.change}
    names = [name for name in sorted(told) if args.source in ("", name)]
    hint = "nidus changes lists those that are open; --source SOURCE"
    if not names:
        wrong = f"source {printable(args.source)} has no" if args.source else "no source has"
        raise Stalled(f"{wrong} change request #{args.change}", hint=hint)
    if names[1:]:
        raise UsageError(f"several sources have change request #{args.change}", hint=hint)
    return names[0]
