"""`nidus plan`: what a sync would do, against the live state, by the same code (P6)."""

from __future__ import annotations

import argparse
import gc
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from reconciler.verbs import connection, inside, table, usage

if TYPE_CHECKING:
    from reconciler.model import Review
    from reconciler.plan.summary import Totals
    from reconciler.verbs.changeplan import Whole

FORMS = ("json", "yaml", "markdown")
_WARNINGS = 10  # that are told
EXAMPLES = (
    ("", "the documents that changed in this work tree"),
    ("--config nidus.yaml --source platform", "as the controller would"),
    ("payments --show create", "one cluster, with the fields of what is created"),
    ("--revision origin/feature -o markdown", "a branch, for a comment"),
    ("--base origin/main -o markdown", "what a change request changes, in its pipeline"),
    ("--base origin/main --offline", "the same without a cluster: both revisions rendered"),
    ("--all --detailed-exitcode", "in a pipeline"),
    ("--change 12 --source platform", "a change request, as the controller planned it"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "words",
        nargs="*",
        metavar="[FOLDER] [CLUSTER ...]",
        help="a folder with documents, usually a work tree (default: here); clusters to show (default: all that change)",
    )
    parser.add_argument("--revision", default="", metavar="REV", help="plan this commit, not the files on disk")
    parser.add_argument(
        "--base", default="", metavar="REV", help="plan only clusters that differ from where the revision left this one"
    )
    parser.add_argument(
        "--offline", action="store_true", help="compare with what --base renders to; no cluster is asked"
    )
    parser.add_argument(
        "--config", default="", metavar="FILE", help="the controller's configuration: engines, budgets, limits"
    )
    parser.add_argument("--source", default="", help="the source the folder is (default: the only one of --config)")
    parser.add_argument("--layer", default="", help="show this layer alone")
    parser.add_argument("--all", action="store_true", help="plan every cluster, not only those whose documents changed")
    parser.add_argument("--detail", action="store_true", help="show unchanged objects too, and values in full")
    parser.add_argument("--show", choices=("create",), default="", help="show the fields of what is created too")
    parser.add_argument("-o", "--output", choices=FORMS, default="", help="another form")
    parser.add_argument(
        "--detailed-exitcode", action="store_true", help="exit 2 when something would change, 3 when something is held"
    )
    parser.add_argument(
        "--change",
        type=int,
        default=0,
        metavar="N",
        help="the whole plan of an open change request, as the controller made it",
    )
    inside.add_arguments(parser)
    connection.add_arguments(parser, namespace="")


def run(args: argparse.Namespace) -> int:
    """Exit code 0; 1 where something could not be planned that should have been; with --detailed-exitcode 2 for changes, 3
    where something is held."""
    from reconciler.plan import summary
    from reconciler.verbs import planning

    gc.disable()  # as in `validate`
    if args.change:
        return _change(args)
    args.path, args.clusters = _place(args.words)
    review = _offline(args) if args.offline else planning.review(args)
    _warned(review)
    print(_rendered(review, args))
    return _code(summary.totals(review), detailed=args.detailed_exitcode)


def _warned(review: Review) -> None:
    """Mistakes and warnings of the documents, on standard error."""
    from reconciler.errors import printable

    for one in review.violations:
        print(f"{one.path}:{one.line}:{one.column}: {one.code} {one.message}", file=sys.stderr)
    for one in review.warnings[:_WARNINGS]:
        hint = f"; {one.hint}" if one.hint else ""
        print(printable(f"{one.path}:{one.line}:{one.column}: warning: {one.message}{hint}"), file=sys.stderr)
    if (more := len(review.warnings) - _WARNINGS) > 0:
        print(f"{more} more warnings: nidus validate", file=sys.stderr)


def _offline(args: argparse.Namespace) -> Review:
    """The review of two revisions. Raises UsageError where the other one is not named."""
    from reconciler.errors import UsageError
    from reconciler.verbs import rendered

    if not args.base:
        raise UsageError("--offline compares with another revision", hint="--base REV, such as origin/main")
    return rendered.review(args)


def _change(args: argparse.Namespace) -> int:
    """Print the plan that the controller made of a change request. Raises UsageError where it has none."""
    from reconciler.verbs import changeplan

    found = changeplan.asked(args)
    print(table.document(found.plan, args.output) if args.output in ("json", "yaml") else found.text)
    return _code(found, detailed=args.detailed_exitcode)


def _place(words: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """The folder, and the clusters that are asked for: a first word is the folder if there is one of that name, or it can be no
    cluster's name. Raises UsageError where there is no such folder."""
    from pathlib import Path

    from reconciler.errors import UsageError

    first = words[0] if words else "."
    if Path(first).is_dir():
        return first, tuple(words[1:])
    if set(first) & set("./\\~") or not first:
        raise UsageError(f"there is no folder {first}", hint="nidus plan FOLDER CLUSTER ...")
    return ".", tuple(words)


def _code(found: Totals | Whole, *, detailed: bool) -> int:
    """The exit code. What is held needs a human, whatever else changes."""
    if found.failed:
        return usage.FAILED
    if detailed and found.waits:
        return usage.HELD
    return usage.CHANGES if detailed and found.moves else usage.DONE


def _rendered(review: Review, args: argparse.Namespace) -> str:
    """The review in the form that is asked for. Programs and comments get the same whatever the terminal is."""
    from reconciler.plan import render_text
    from reconciler.plan.lines import Style

    if args.output in ("json", "yaml"):
        from reconciler.plan import render_json

        return table.document(render_json.render(review), args.output)
    creates = args.show == "create"
    if args.output == "markdown":
        from reconciler.plan import render_markdown

        return render_markdown.render(review, Style(args.detail, creates))
    style = Style(args.detail, creates, 0 if args.detail else table.columns())
    return render_text.render(review, style, table.wants_colour())
