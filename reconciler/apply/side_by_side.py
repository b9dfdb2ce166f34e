"""Sends independent changes in parallel, so that a pass does not wait for each answer in turn (G2)."""

from collections.abc import Callable, Collection, Sequence
from functools import cache
from typing import TYPE_CHECKING

from reconciler.model import Change, Result

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

THREADS = 16  # over all passes of the process
HOST_LANES, NESTED_LANES = 8, 4  # of one pass; a nested client keeps four connections
WORTH = 8  # changes that one more connection into a nested cluster must be for: opening it costs as much as they do


def each(
    changes: Sequence[Change], carry: Callable[[Change], Result], sending: Collection[str], *, nested: bool
) -> list[Result]:
    """The result of each change, in order. An error that `carry` raises is raised after every change was tried or
    cancelled.

    Only changes of an action that is `sending` are worth a thread: of a pass that finds nothing to do, none.
    """
    sent = [index for index, change in enumerate(changes) if change.action in sending]
    answers = dict(zip(sent, _sent([changes[index] for index in sent], carry, nested), strict=True))
    return [answers[index] if index in answers else carry(change) for index, change in enumerate(changes)]


def _sent(changes: Sequence[Change], carry: Callable[[Change], Result], nested: bool) -> list[Result]:
    lanes = min(NESTED_LANES, -(-len(changes) // WORTH)) if nested else min(HOST_LANES, len(changes))
    if lanes < 2:
        return [carry(change) for change in changes]
    slices = [changes[lane::lanes] for lane in range(lanes)]
    waiting = [_threads().submit(_in_turn, part, carry) for part in slices[1:]]
    done = [_in_turn(slices[0], carry), *(one.result() for one in waiting)]
    for _, error in done:
        if error is not None:
            raise error
    return [done[index % lanes][0][index // lanes] for index in range(len(changes))]


def _in_turn(changes: Sequence[Change], carry: Callable[[Change], Result]) -> tuple[list[Result], BaseException | None]:
    results: list[Result] = []
    try:
        for change in changes:
            results.append(carry(change))
    except BaseException as error:  # raised again in the thread of the pass
        return results, error
    return results, None


@cache
def _threads() -> "ThreadPoolExecutor":
    from concurrent.futures import ThreadPoolExecutor  # costs a start of `plan` 5 ms, which applies nothing

    return ThreadPoolExecutor(THREADS, thread_name_prefix="apply")
