"""What changed between two reports of one cluster (T2). Pure, so that Events, metrics and the log say the same."""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from reconciler.model import Archive, Change, Report
from reconciler.plan.lines import stamp
from reconciler.report import view
from reconciler.report.life import ArchiveView
from reconciler.report.view import ClusterView, SourceView

NAMED = 5  # fields that one message names
QUIET = frozenset({"unchanged", "skipped", "waiting"})


class Transition(Struct, frozen=True):
    """One thing that happened to a cluster, a layer or an object. `warning`: a human should look at it."""

    cluster: str
    revision: str
    reason: str
    message: str
    layer: str = ""
    object: str = ""
    warning: bool = False


def between(before: ClusterView | None, after: Report) -> tuple[Transition, ...]:
    """The transitions from the last view to a report: the word, layers, and each object that was changed, held or
    failed.

    After a restart `before` comes from the status object, so that nothing is reported twice.
    """
    known = before or ClusterView(after.cluster, "")
    return (
        *_word(known, after),
        *_sleep(known, after),
        *_expiry(known, after),
        *_backups(known, after),
        *_restores(known, after),
        *_layers(known, after),
        *_objects(known, after),
    )


def of_source(before: SourceView | None, after: SourceView) -> Iterable[Transition]:
    """The transitions of a source: it cannot be read any more or can be again, something of it is held, its newest revision has
    mistakes."""
    known, revision, name = before or SourceView(after.source), after.revision, after.source
    if after.error and not known.error:
        yield Transition("", revision, "SourceFailed", after.error, warning=True)
    if known.error and not after.error:
        yield Transition("", revision, "SourceRead", f"source {name} can be read again")
    asked = after.held.consent if after.held else ""  # what is held by a mistake asks for none
    if after.held and asked and asked != (known.held.consent if known.held else ""):
        yield Transition("", revision, "SourceHeld", after.held.message, warning=True)
    if after.violation_count and (known.violation_count, known.revision) != (after.violation_count, revision):
        first, count = after.violations[0], after.violation_count
        told = f"{count} {'mistake' if count == 1 else 'mistakes'}, the first at {first.path}:{first.line}: {first.message}"
        yield Transition("", revision, "SourceInvalid", told, warning=True)


def _word(before: ClusterView, after: Report) -> Iterable[Transition]:
    if before.word == after.word:
        return
    message = _why(after) or f"{after.cluster} is {after.word}"
    warning = after.word in ("Degraded", "Held", "Invalid")
    yield Transition(after.cluster, str(after.revision), after.word, message, warning=warning)


def _sleep(before: ClusterView, after: Report) -> Iterable[Transition]:
    """A cluster is woken, or what somebody asked for has ended."""
    if after.sleep is None:
        return
    known = before.life.sleep
    cluster, revision = after.cluster, str(after.revision)
    if before.life.asleep and not after.sleep.asleep:
        yield Transition(cluster, revision, "Waking", f"{cluster} is woken {after.sleep.why}".rstrip())
    if after.sleep.ended and after.sleep.ended != (known.ended if known is not None else ""):
        yield Transition(cluster, revision, "RequestEnded", after.sleep.ended)


def _expiry(before: ClusterView, after: Report) -> Iterable[Transition]:
    """The warnings before a cluster ends, each told once; its end is its word (O6)."""
    ending = after.ending
    if ending is None or ending.warned in ("", "over", before.life.expiry_warning):
        return
    message = f"{ending.told}, in less than {'an hour' if ending.warned == 'hour' else 'a day'}; nidus extend keeps it"
    yield Transition(after.cluster, str(after.revision), "Expires", message, warning=True)


def _backups(before: ClusterView, after: Report) -> Iterable[Transition]:
    """The snapshots that ended since, each told once."""
    if after.backups is None:
        return
    known, archives = before.life.backups, after.backups.archives
    for one in _since(archives, known.list) if known is not None else archives[-1:]:
        told = f"snapshot {one.id}: {one.keys} keys, {one.size} bytes, read back whole" if one.completed else one.why
        reason = "BackupCompleted" if one.completed else "BackupFailed"
        yield Transition(after.cluster, str(after.revision), reason, told, warning=not one.completed)


def _since(archives: Sequence[Archive], listed: Sequence[ArchiveView]) -> Iterable[Archive]:
    """The archives, oldest first, that ended after those of a list: it shows only the newest ones, so that what stands before its
    oldest was told before."""
    known = {one.id for one in listed}
    oldest = next((place for place, one in enumerate(archives) if one.id in known), 0)
    return [one for one in archives[oldest:] if one.id not in known]


def _restores(before: ClusterView, after: Report) -> Iterable[Transition]:
    """A restore that ended, told once."""
    last = after.restores.last if after.restores is not None else None
    known = before.life.restore.last if before.life.restore is not None else None
    if last is None or (known is not None and known.time == stamp(last.at)):
        return
    told = (
        f"snapshot {last.snapshot} is restored"
        if last.whole
        else f"snapshot {last.snapshot} is not restored: {last.why}"
    )
    reason = "RestoreCompleted" if last.whole else "RestoreFailed"
    yield Transition(after.cluster, str(after.revision), reason, told, warning=not last.whole)


def _why(report: Report) -> str:
    """The message beside the word: what is held or wrong, else the message of condition Ready."""
    if report.word == "Held" and report.held is not None:
        return report.held.message
    about = {condition.type: condition.message for condition in report.conditions}
    return about.get("Stalled", "") if report.word == "Invalid" else about.get("Ready", "")


def _layers(before: ClusterView, after: Report) -> Iterable[Transition]:
    told = {layer.name: layer.state for layer in before.layers}
    for layer in after.layers:
        sleeps = after.sleep is not None and after.sleep.asleep and layer.state == "Waiting"  # as all those inside do
        if told.get(layer.name) != layer.state and not sleeps:
            message = (
                f"layer {layer.name}: {layer.message}" if layer.message else f"layer {layer.name} is {layer.state}"
            )
            yield Transition(
                after.cluster,
                str(after.revision),
                f"Layer{layer.state}",
                message,
                layer.name,
                warning=layer.state == "Failed",
            )


def _objects(before: ClusterView, after: Report) -> Iterable[Transition]:
    for result in after.results:
        reported = result.outcome == "skipped" and result.reason != ""  # drift that is reported and not corrected (R2)
        if (result.outcome in QUIET and not reported) or (view.lasts(result) and view.outcome(result) in before.told):
            continue
        change = result.change
        told = result.error or (_corrected(change) if result.outcome == "configured" else "")
        message = f"{change.ref} {result.outcome}" + (f": {told}" if told else "")
        warning = reported or result.outcome in ("failed", "held")
        reason = result.reason if warning and result.reason else result.outcome.capitalize()
        yield Transition(after.cluster, str(after.revision), reason, message, change.layer, str(change.ref), warning)


def _corrected(change: Change) -> str:
    """Which fields were set, never to what, and who had changed them: data.text, spec.replicas; changed by kubectl-edit"""
    paths = list(dict.fromkeys([*(one.path for one in change.fields), *change.strays]))
    more = [f"and {len(paths) - NAMED} more"] if len(paths) > NAMED else []
    who = "; ".join(sorted({f"changed by {one.name}" for one in change.by}))
    return "; ".join(filter(None, (", ".join([*paths[:NAMED], *more]), who)))
