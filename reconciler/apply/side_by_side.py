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
) -> tuple[list[Result], BaseException | None]:
    """The results in the order of the changes, and the first error that `carry` raised: it has to be raised once the results of
    the others are known. Changes that were not tried because of it have no result.

    Only changes of an action that is `sending` are worth a thread: of a pass that finds nothing to do, none.
    """
    sent = [index for index, change in enumerate(changes) if change.action in sending]
    rest = [index for index, change in enumerate(changes) if change.action not in sending]
    lanes = _lanes(len(sent), nested)
    slices = [sent[lane::lanes] for lane in range(lanes)] or [[]]
    slices[0] = slices[0] + rest
    waiting = [_threads().submit(_in_turn, changes, part, carry) for part in slices[1:]]
    done = [_in_turn(changes, slices[0], carry), *(one.result() for one in waiting)]
    results = {index: result for found, _ in done for index, result in found.items()}
    return [results[index] for index in sorted(results)], next((error for _, error in done if error is not None), None)


def _lanes(count: int, nested: bool) -> int:
    return min(NESTED_LANES, -(-count // WORTH)) if nested else min(HOST_LANES, count)


def _in_turn(
    changes: Sequence[Change], which: Sequence[int], carry: Callable[[Change], Result]
) -> tuple[dict[int, Result], BaseException | None]:
    results: dict[int, Result] = {}
    try:
        for index in which:
            results[index] = carry(changes[index])
    except BaseException as error:  # raised again in the thread of the pass
        return results, error
    return results, None


@cache
def _threads() -> "ThreadPoolExecutor":
    from concurrent.futures import ThreadPoolExecutor  # costs a start of `plan` 5 ms, which applies nothing

    return ThreadPoolExecutor(THREADS, thread_name_prefix="apply")
