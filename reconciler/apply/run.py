"""What all parts of carrying a plan out share: a step of the outcome, what they work with, and the hooks of one phase."""

from collections.abc import Callable, Generator, Mapping, Sequence

from msgspec import Struct, field

from reconciler.apply import hooks
from reconciler.assignment import Assignment, Facts
from reconciler.gather import Gathered, Reader
from reconciler.model import Change, Layer, LayerStatus, ObjectRef, Plan, Result

Carry = Callable[[Change], Result]


class Step(Struct, frozen=True):
    """A part of the outcome of a plan: results as soon as they exist, then the state of their layer. `watch`: nested
    objects whose change could make a layer Current. `hooked`: a layer whose hooks are not over, and until when one may take (seconds
    since the epoch)."""

    results: tuple[Result, ...] = ()
    layers: Mapping[str, LayerStatus] = field(default_factory=dict)
    watch: tuple[ObjectRef, ...] = ()
    hooked: Mapping[str, float] = field(default_factory=dict)


class Run(Struct, frozen=True):
    """What a plan is carried out with."""

    assignment: Assignment
    gathered: Gathered
    plan: Plan
    facts: Facts
    reader: Reader
    now: float
    carry: Carry
    has_hooks: bool


def hooked(
    run: Run, due: list[Change], layer: Layer, results: list[Result]
) -> Generator[Step, None, LayerStatus | None]:
    """Sends the hooks of one phase; None once it is over, and the layer's state before."""
    found: hooks.Open | None = None
    for one in hooks.phase(layer, due, run.carry, run.reader, run.now):
        if isinstance(one, hooks.Open):
            found = one
            yield Step(watch=one.watch, hooked={layer.name: one.until})
        else:
            results.append(one)
            yield Step((one,))
    return found.status if found is not None else None


def all_gone(results: Sequence[Result]) -> bool:
    """Whether every result is a deletion that is over."""
    return all(result.outcome == "deleted" for result in results)


def waits(change: Change, what: str = "waits until everything in it is gone", reason: str = "Waiting") -> Result:
    """The result of a change that is not sent yet."""
    return Result(change, "waiting", error=what, reason=reason)
