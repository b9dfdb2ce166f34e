"""Plans as people read them, in the manner of Terraform: a header per cluster, changes by layer, sums in the last line.

Text from a repository or a live object is printed without control characters, so that it cannot control the terminal.
"""

import difflib
import json
from collections.abc import Iterator, Sequence
from typing import Any

from reconciler.errors import printable
from reconciler.model import DESTRUCTIVE, MISSING, Change, FieldChange, Plan
from reconciler.plan import apart, summary

SYMBOLS = {"create": "+", "configure": "~", "delete": "-", "replace": "-/+", "adopt": "~", "hold": "!"}
COLOURS = {"create": "32", "configure": "33", "delete": "31", "replace": "35", "adopt": "36", "hold": "1;33"}
REASONS = {
    "Adopted": "taken over, as its annotation says",
    "Awaited": "Kubernetes makes it itself",
    "AwaitsApproval": "awaits approval",
    "Claimed": "",
    "ClaimedTwice": "two layers name it",
    "Deleted": "was deleted by somebody else",
    "Drift": "drift",
    "DriftReported": "drift, only reported",
    "Ended": "",
    "EndedFailed": "",
    "Grace": "grace period",
    "Kept": "kept, and not ours any more",
    "KindMissing": "",
    "ImmutableField": "a field that cannot change in place",
    "NotOwner": "exists and is not ours",
    "NotObserved": "not read in this pass",
    "Protected": "protected",
    "Refused": "",
    "Retained": "kept",
    "SameObject": "the same object under another name",
    "Terminating": "is being deleted",
    "VersionNotServed": "",
}
QUIET = frozenset({"unchanged", "skip"})
SAID = frozenset(
    {"DriftReported", "Ended", "EndedFailed", "Kept", "KindMissing", "NotObserved", "Terminating", "VersionNotServed"}
)
LINES = 12
VALUE = 120


def render(plan: Plan | Sequence[Plan], colour: bool = False, detail: bool = False, *, width: int = 0) -> str:
    """The text of one plan or several, ending in the sums without a newline.

    `detail` adds unchanged objects and shows long values in full. `width`: columns of the terminal, 0 for no limit:
    longer lines are cut, and a field whose change does not fit stands on three lines.
    """
    plans = [plan] if isinstance(plan, Plan) else list(plan)
    page = _Page(colour, detail, width)
    for one in plans:
        page.plan(one)
    page.line(summary.line(change for one in plans for change in one.changes), "1")
    return "\n".join(page.lines)


def show(value: Any, limit: int = VALUE) -> str:
    """A JSON value on one line: plain where that is unambiguous, quoted where it is not, cut after `limit` characters (0: never)."""
    if isinstance(value, str) and value.isprintable() and value.strip() == value and value and '"' not in value:
        text = value
    else:
        text = printable(json.dumps(value, ensure_ascii=False, sort_keys=True))
    return text if not limit or len(text) <= limit else f"{text[: limit - 1]}…"


class _Page:
    """The lines so far, and how to write them."""

    def __init__(self, colour: bool, detail: bool, width: int) -> None:
        self.lines: list[str] = []
        self.colour, self.detail, self.width = colour, detail, width

    def line(self, text: str, colour: str = "") -> None:
        if self.width and len(text) > self.width:
            text = f"{text[: max(self.width - 1, 1)]}…"
        self.lines.append(f"\x1b[{colour}m{text}\x1b[0m" if self.colour and colour and text else text)

    def plan(self, plan: Plan) -> None:
        self.line(f"{printable(plan.cluster)} {printable(str(plan.revision))}", "1")
        shown = [one for one in plan.changes if self.detail or one.action not in QUIET or one.reason in SAID]
        self.layers(shown)
        for layer, reason in plan.unknown.items():
            self.line(f"  {printable(layer)}")
            self.line(f"    ({printable(reason or 'unknown')})")
        if not shown and not plan.unknown:
            self.line("  no changes")
        if plan.consent.digest and any(one.action == "hold" and one.would in DESTRUCTIVE for one in shown):
            self.lines.append(f"  approve with: nidus approve {plan.consent.digest}")  # never cut
        self.line("")

    def layers(self, changes: Sequence[Change]) -> None:
        here = None
        for change in changes:
            group = (change.layer, str(change.target), change.action == "delete")
            if group != here:
                self.line(f"  {printable(change.layer)} on {printable(str(change.target))}")
                here = group
            self.change(change)

    def change(self, change: Change) -> None:
        symbol = SYMBOLS.get(change.action, " ")
        self.line(f"  {symbol:>3} {printable(str(change.ref))}{_why(change)}", COLOURS.get(change.action, ""))
        for one in change.fields:
            self.field(one)

    def field(self, one: FieldChange) -> None:
        if _is_text(one.before) and _is_text(one.after) and ("\n" in one.before or "\n" in one.after):
            self.line(f"        {printable(one.path)}:")
            for text in self._cut(list(_lines(one.before, one.after))):
                self.line(f"          {text}")
            return None
        path, before, after = self._sides(one)
        whole = f"        {printable(path)}: {before} -> {after}"
        if not self.width or len(whole) <= self.width:
            return self.line(whole)
        self.line(f"        {printable(path)}:")
        self.line(f"          {before}")
        return self.line(f"          -> {after}")

    def _sides(self, one: FieldChange) -> tuple[str, str, str]:
        """The path and both sides. Of values that are too long to show whole, the first place where they differ."""
        before, after = show(one.before, 0), show(one.after, 0)
        if self.detail or max(len(before), len(after)) <= VALUE:
            return one.path, before, after
        path, old, new, more = apart.first(one.path, one.before, one.after)
        before, after = apart.windows(show(old, 0), show(new, 0), VALUE)
        return path, before, f"{after} (and {more} more differences)" if more else after

    def _cut(self, texts: list[str]) -> list[str]:
        if self.detail or len(texts) <= LINES:
            return texts
        return [*texts[:LINES], f"({len(texts) - LINES} more lines)"]


def _why(change: Change) -> str:
    """The text after an object: the reason and the flags."""
    reason = REASONS.get(change.reason, change.why)
    if change.action == "hold":
        reason = f"held: {reason}"
    said = [part for part in (reason, *change.remarks) if part]
    return f"  ({printable(', '.join(said))})" if said else ""


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value != MISSING


def _lines(before: str, after: str) -> Iterator[str]:
    """A unified difference of two texts, one line of context, without its file header."""
    found = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=1)
    for index, text in enumerate(found):
        if index > 1 and not text.startswith("@@"):
            yield f"{text[0]} {printable(text[1:])}"
