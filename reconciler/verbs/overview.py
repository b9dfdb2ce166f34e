"""Sources and nested clusters as tables, from their views. `now` is in seconds since the epoch, `width` the columns of the
terminal, 0 for no limit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from reconciler.errors import short
from reconciler.verbs import seen, table

if TYPE_CHECKING:
    from reconciler.report.life import Life
    from reconciler.report.view import ClusterView, ConditionView, SourceView

SOURCE = ("SOURCE", "REVISION", "CLUSTERS", "STATE", "TRIGGER")
CLUSTER = ("NAME", "HOST", "VERSION", "READY", "STATUS", "SINCE", "REVISION", "AGE")
WIDE = ("PROFILES", "ENDPOINT", "FILE")
_SOURCE_DROPS = ("TRIGGER", "CLUSTERS", "REVISION")
_CLUSTER_DROPS = ("AGE", "HOST", "VERSION", "READY", "REVISION", "SINCE")
_LAYER_DROPS = ("OBJECTS", "TARGET", "SINCE")
LAYER = ("LAYER", "TARGET", "HEALTH", "SINCE", "OBJECTS", "MESSAGE")


def sources(views: Iterable[SourceView], now: float, width: int = 0) -> str:
    """The sources, and below them what is wrong with each."""
    rows, notes = [], []
    for one in views:
        state = one.error.partition(":")[0] or (_count(one.violation_count, "error") if one.violation_count else "ok")
        rows.append((one.source, short(one.revision), str(one.accepted), state, one.trigger))
        notes += _notes(one, now)
    text = table.render(*table.narrowed(SOURCE, rows, width, _SOURCE_DROPS))
    return "\n".join([text, *(table.wrapped(note, width, indent=2) for note in notes)])


def clusters(
    views: Iterable[ClusterView], made: Mapping[str, str], now: float, width: int = 0, *, wide: bool = False
) -> str:
    """The nested clusters, each with its message where something is wrong. `made`: cluster -> creationTimestamp."""
    from reconciler.report import why

    header, found = (*CLUSTER, *(WIDE if wide else ()), "MESSAGE"), list(views)
    rows = [(*_row(one, made.get(one.cluster, ""), now, wide), why.message(one)) for one in found]
    return table.with_message(header, rows, width, [one.word for one in found], () if wide else _CLUSTER_DROPS)


def detail(one: ClusterView, now: float, width: int = 0) -> str:
    """The layers of a nested cluster, its conditions, its commit and profiles, and what is held."""
    rows = [
        (each.name, each.target, each.state, seen.ago(each.since, now), str(each.objects), each.message)
        for each in one.layers
    ]
    states = [each.state for each in one.layers]
    shown = [table.with_message(LAYER, rows, width, states, _LAYER_DROPS)] if rows else []
    lines = [f"the layers are shown as they were {seen.ago(one.seen, now)} ago"] if rows and one.seen else []
    lines += [_condition(each, now) for each in one.conditions]
    if by := one.authored:
        signed = f", signed by {by.signer}" if by.signer else ""
        lines.append(f"commit: {short(one.attempted)} by {by.author}{signed}: {by.subject}")
    lines += [f"profiles: {', '.join(one.profiles)}"] if one.profiles else []
    lines += _ends(one.life, now)
    lines += [f"held: {line}" for line in one.plan.held]
    command = [
        table.wrapped(line) for line in approval(one.held.consent if one.held else "")
    ]  # in one line, to be copied
    return "\n".join([*shown, *(table.wrapped(line, width) for line in lines), *command])


def _ends(one: Life, now: float) -> list[str]:
    """What a removal from Git does, and the one that was."""
    lines = []
    if kept := one.deletion:
        protected = ", protect true: a removal is held" if kept.protect else ", protect false"
        lines.append(f"deletion: policy {kept.policy}, grace {kept.grace}{protected}")
    if gone := one.removal:
        by = f" by {gone.author}: {gone.subject}" if gone.author else ""
        aged = seen.ago(gone.since, now)
        at = f" (seen {aged} ago)" if aged else ""
        lines.append(f"removed from Git: {short(gone.revision)}{by}{at}")
    return lines


def approval(digest: str) -> list[str]:
    """How to allow what has this digest."""
    return [f"to allow it: nidus approve {digest}"] if digest else []


def _notes(one: SourceView, now: float) -> list[str]:
    """What is wrong with a source, one line each: why it cannot be read and since when, its mistakes, what is held."""
    fetched = f" (last fetched {table.age(now - one.fetched)} ago)" if one.fetched else ""
    notes = [one.error + fetched] if one.error else []
    notes += [f"{v.path}:{v.line}:{v.column}: {v.code} {v.message}" for v in one.violations]
    if one.held:
        notes.append("; ".join([f"held: {one.held.message}", *approval(one.held.consent)]))
    return notes


def _row(one: ClusterView, made: str, now: float, wide: bool) -> Sequence[str]:
    ready = next((each.status for each in one.conditions if each.type == "Ready"), "")
    since, age = seen.ago(one.since, now), seen.ago(made, now)
    more = (", ".join(one.profiles), one.endpoint, one.file) if wide else ()
    return (
        one.cluster,
        one.host or "local",
        one.versions.kubernetes,
        ready,
        one.word or "Pending",
        since,
        short(one.applied),
        age,
        *more,
    )


def _condition(one: ConditionView, now: float) -> str:
    """A condition, for how long it has had this status, and its message."""
    since = seen.ago(one.since, now)
    aged = f" ({since})" if since else ""
    return f"{one.type}={one.status} {one.reason}{aged}" + (f": {one.message}" if one.message else "")


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


def configuration(views: Iterable[SourceView]) -> str:
    """Why the controller's configuration file is not in force as a whole, "" where it is."""
    return "; ".join(sorted({one.configuration for one in views} - {""}))


def renders(views: Iterable[SourceView]) -> str:
    """What keeps the render workers from the network, as the controller says of itself; "" where it does not."""
    said = {one.confined for one in views} - {""}
    if "none" in said:
        from reconciler.packs.process import ALLOW, NOT_CONFINED

        return f"stopped: {NOT_CONFINED}; {ALLOW}"
    return f"without network: {', '.join(sorted(said))}" if said else ""
