"""What is said of one cluster of a review, as lines: changes by layer, fields old -> new, what is not known. Text and markdown
print the same lines.

Text from a repository or a live object is made printable here, so that it cannot control a terminal.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

from msgspec import Struct

from reconciler.errors import printable, prints
from reconciler.model import CONSENTED, MISSING, Change, ClusterReview, FieldChange, Plan, Tombstone
from reconciler.plan import apart
from reconciler.plan.declared import QUIET

SYMBOLS = {"create": "+", "configure": "~", "delete": "-", "replace": "-/+", "adopt": "~", "hold": "!"}
UNKNOWN = "?"
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
    "Gathering": "",
    "Grace": "grace period",
    "Hook": "",
    "HookExists": "",
    "HookFailed": "",
    "HookLater": "",
    "HookRan": "",
    "HookRunning": "",
    "HeldTogether": "",
    "Kept": "kept, and not ours any more",
    "KindMissing": "",
    "ImmutableField": "a field that cannot change in place",
    "ObjectBudget": "",
    "NotOwner": "exists and is not ours",
    "NotObserved": "not read",
    "Protected": "protected",
    "Refused": "",
    "Retained": "kept",
    "SameObject": "the same object under another name",
    "Terminating": "is being deleted",
    "VersionNotServed": "",
}
SAID = frozenset(
    {"DriftReported", "Ended", "EndedFailed", "Kept", "KindMissing", "NotObserved", "Terminating", "VersionNotServed"}
)
LINES = 12  # of a text that changed
FIELDS = 60  # of one object
VALUE = 120  # characters


class Line(NamedTuple):
    """One line: `text` after a symbol, or as it stands where there is none. `about` is the action that gives it its colour, "head"
    for a header; `fit`: what becomes of it where it is too long."""

    text: str
    symbol: str = ""
    about: str = ""
    fit: Literal["cut", "wrap", "whole"] = "cut"


class Style(Struct, frozen=True):
    """How much is said. `detail`: unchanged objects too, and values in full; `creates`: the fields of what is created; `width`: from
    which on a field stands on three lines, 0 for never."""

    detail: bool = False
    creates: bool = False
    width: int = 0


def lines(one: ClusterReview, style: Style) -> Iterator[Line]:
    """The lines of one cluster below its header."""
    if one.tombstone:
        yield Line(f"  {_removal(one.tombstone)}", fit="wrap")
    if one.held:
        yield Line(f"  held: {printable(one.held.message)}", about="hold", fit="wrap")
        if one.held.consent and not (one.plan and one.plan.consent.digest == one.held.consent):
            yield _approval(one.held.consent)
    if one.suspended:
        yield Line(f"  suspended, a sync changes nothing: {printable(one.suspended)}", about="hold", fit="wrap")
    if one.unseen:
        yield Line(f"  not looked at: {printable(one.unseen)}", about="unknown", fit="wrap")
    yield from _declared(one.declared, style)
    if one.plan and one.plan.steps:
        yield Line(f"  {_steps(one.plan.steps)}", fit="wrap")
    if one.plan and one.plan.waits:
        yield Line(f"  the engine is not applied yet: {printable(one.plan.waits)}", about="unknown", fit="wrap")
    for text in one.plan.removed if one.plan else ():
        yield Line(f"  {printable(text)}", about="unknown", fit="wrap")
    if one.plan:
        yield from _plan(one, one.plan, style)
        yield from _behind(one.behind, one.plan)


def _declared(fields: Sequence[FieldChange], style: Style) -> Iterator[Line]:
    if fields:
        yield Line("its document", "~", "configure")
        yield from _fields(fields, style, _field)


def instant(seconds: float) -> str:
    """`2026-11-26 21:37:53 UTC`."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def stamp(seconds: float) -> str:
    """`2026-11-26T21:37:53Z`, for programs."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def show(value: Any, limit: int = VALUE) -> str:
    """A JSON value on one line: plain where that is unambiguous, quoted where it is not, cut after `limit` characters (0: never)."""
    if isinstance(value, str) and prints(value) and value.strip() == value and value and '"' not in value:
        text = value
    else:
        text = printable(json.dumps(value, ensure_ascii=False, sort_keys=True))
    return text if not limit or len(text) <= limit else f"{text[: limit - 1]}…"


def _removal(tombstone: Tombstone) -> str:
    protected = ", protected" if tombstone.protect else ""
    return f"removed from Git: policy {tombstone.policy}{protected}, not before {instant(tombstone.due)}"


def _steps(steps: Sequence[str]) -> str:
    way = printable(" -> ".join(steps))
    return f"upgrade in {len(steps) - 1} steps: {way}; each begins when the cluster is Ready after the one before"


def _approval(digest: str) -> Line:
    return Line(f"  approve with: nidus approve {digest}", fit="whole")


def _plan(one: ClusterReview, plan: Plan, style: Style) -> Iterator[Line]:
    shown = [change for change in plan.changes if style.detail or change.action not in QUIET or change.reason in SAID]
    yield from _changes(shown, style)
    yield from _unknown(plan)
    if not shown and not plan.unknown:
        yield Line("  no changes of objects" if one.declared else "  no changes")
    if plan.consent.digest and not one.tombstone and any(_waits(change) for change in shown):
        yield _approval(plan.consent.digest)


def _behind(behind: Mapping[str, tuple[str, ...]], plan: Plan) -> Iterator[Line]:
    """The layers that wait for held ones, those with the same ones on one line; deletions wait for all layers."""
    reasons: dict[tuple[str, ...], list[str]] = {}
    for layer, held in behind.items():
        reasons.setdefault(held, []).append(layer)
    for held, layers in reasons.items():
        what = "what is held of " + ", ".join(held)
        yield Line(
            printable(f"  {', '.join(layers)} {'wait' if layers[1:] else 'waits'} for {what}"), about="hold", fit="wrap"
        )
    if behind and any(one.action == "delete" and not one.hook for one in plan.changes):
        yield Line("  deletions wait until these layers are applied", about="hold", fit="wrap")


def _waits(change: Change) -> bool:
    return change.action == "hold" and change.would in CONSENTED


def _unknown(plan: Plan) -> Iterator[Line]:
    """The layers that are not known, each reason once."""
    reasons: dict[str, list[str]] = {}
    for layer, reason in plan.unknown.items():
        reasons.setdefault(reason, []).append(layer)
    for reason, layers in reasons.items():
        yield Line(printable(f"{', '.join(layers)}  ({reason or 'unknown'})"), UNKNOWN, "unknown", "wrap")


def _changes(changes: Sequence[Change], style: Style) -> Iterator[Line]:
    here = None
    for change in changes:
        group = (change.layer, str(change.target), change.action == "delete")
        if group != here:
            yield Line(f"  {printable(change.layer)} on {printable(str(change.target))}")
            here = group
        symbol = SYMBOLS.get(change.action, " ")
        yield Line(f"{printable(str(change.ref))}{_why(change)}", symbol, change.action, "wrap")
        if change.action != "create" or style.creates:
            yield from _fields(change.fields, style, _created if change.action == "create" else _field)


def _fields(
    fields: Sequence[FieldChange], style: Style, told: Callable[[FieldChange, Style], Iterator[Line]]
) -> Iterator[Line]:
    limit = len(fields) if style.detail else FIELDS
    for one in fields[:limit]:
        yield from told(one, style)
    if len(fields) > limit:
        yield Line(f"        ({len(fields) - limit} more fields)")


def _created(one: FieldChange, style: Style) -> Iterator[Line]:
    path, value = printable(one.path), one.after
    if isinstance(value, str) and "\n" in value:
        yield Line(f"        {path}:")
        yield from (Line(f"          {printable(text)}") for text in _cut(value.splitlines(), style))
    else:
        yield Line(f"        {path}: {show(value, 0 if style.detail else VALUE)}", fit="wrap")


def _field(one: FieldChange, style: Style) -> Iterator[Line]:
    if _is_text(one.before) and _is_text(one.after) and ("\n" in one.before or "\n" in one.after):
        yield Line(f"        {printable(one.path)}:")
        yield from (Line(f"          {text}") for text in _cut(list(_compared(one.before, one.after)), style))
        return
    path, before, after = _sides(one, style)
    whole = f"        {printable(path)}: {before} -> {after}"
    if not style.width or len(whole) <= style.width:
        yield Line(whole)
    else:
        yield from (Line(f"        {printable(path)}:"), Line(f"          {before}"), Line(f"          -> {after}"))


def _sides(one: FieldChange, style: Style) -> tuple[str, str, str]:
    """The path and both sides. Of values that are too long to show whole, the first place where they differ."""
    before, after = show(one.before, 0), show(one.after, 0)
    if style.detail or max(len(before), len(after)) <= VALUE:
        return one.path, before, after
    path, old, new, more = apart.first(one.path, one.before, one.after)
    before, after = apart.windows(show(old, 0), show(new, 0), VALUE)
    return path, before, f"{after} (and {more} more differences)" if more else after


def _cut(texts: list[str], style: Style) -> list[str]:
    if style.detail or len(texts) <= LINES:
        return texts
    return [*texts[:LINES], f"({len(texts) - LINES} more lines)"]


def _why(change: Change) -> str:
    """The text after an object: the reason and the flags."""
    reason = REASONS.get(change.reason, change.why) or change.detail
    if change.action == "hold":
        reason = f"held: {reason}"
    said = dict.fromkeys(part for part in (reason, *change.remarks) if part)
    return f"  ({printable(', '.join(said))})" if said else ""


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value != MISSING


def _compared(before: str, after: str) -> Iterator[str]:
    """A unified difference of two texts, one line of context, without its file header."""
    from difflib import unified_diff  # most plans have no texts of several lines

    found = unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=1)
    for index, text in enumerate(found):
        if index > 1 and not text.startswith("@@"):
            yield f"{text[0]} {printable(text[1:])}"
