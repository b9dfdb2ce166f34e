"""What changed between two reports of one cluster (T2): pure, so that every sink tells the same story."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from reconciler.model import Report, Result

QUIET = frozenset({"unchanged", "skipped", "waiting"})


@dataclass(frozen=True, slots=True)
class Transition:
    """One thing that happened to a cluster, a layer or an object. `warning` marks what a human should look at."""

    cluster: str
    revision: str
    reason: str
    message: str
    layer: str = ""
    object: str = ""
    warning: bool = False


@dataclass(frozen=True, slots=True)
class Told:
    """What was said of a cluster before this process began: its word, and layer -> state."""

    word: str = ""
    layers: Mapping[str, str] = field(default_factory=dict)


UNTOLD = Told()


def between(before: Report | None, after: Report, told: Told = UNTOLD) -> tuple[Transition, ...]:
    """The transitions from one report to the next: the word, layers, and each object that was changed, held or failed.

    `told` stands in for `before` after a restart, so that nothing is told twice.
    """
    if before is not None:
        told = Told(before.word, {layer.name: layer.state for layer in before.layers})
    return (*_word(told, after), *_layers(told, after), *_objects(before, after))


def _word(told: Told, after: Report) -> Iterable[Transition]:
    if told.word == after.word:
        return
    message = _why(after) or f"{after.cluster} is {after.word}"
    warning = after.word in ("Degraded", "Held", "Invalid")
    yield Transition(after.cluster, str(after.revision), after.word, message, warning=warning)


def _why(report: Report) -> str:
    """What a human should read beside the word: what is held or wrong, else what the condition Ready says."""
    if report.word == "Held" and report.held is not None:
        return report.held.message
    about = {condition.type: condition.message for condition in report.conditions}
    return about.get("Stalled", "") if report.word == "Invalid" else about.get("Ready", "")


def _layers(told: Told, after: Report) -> Iterable[Transition]:
    for layer in after.layers:
        if told.layers.get(layer.name) != layer.state:
            message = layer.message or f"layer {layer.name} is {layer.state}"
            yield Transition(
                after.cluster,
                str(after.revision),
                f"Layer{layer.state}",
                message,
                layer.name,
                warning=layer.state == "Failed",
            )


def _objects(before: Report | None, after: Report) -> Iterable[Transition]:
    told = {_key(result) for result in before.results} if before else set()
    for result in after.results:
        reported = result.outcome == "skipped" and result.reason != ""  # drift that is said and not corrected (R2)
        once = reported or result.outcome in ("failed", "held", "deleting")
        if (result.outcome in QUIET and not reported) or (once and _key(result) in told):
            continue
        change = result.change
        message = f"{change.ref} {result.outcome}" + (f": {result.error}" if result.error else "")
        warning = reported or result.outcome in ("failed", "held")
        reason = result.reason if warning and result.reason else result.outcome.capitalize()
        yield Transition(after.cluster, str(after.revision), reason, message, change.layer, str(change.ref), warning)


def _key(result: Result) -> tuple[str, str, str]:
    return str(result.change.ref), result.outcome, result.error
