"""The order of packs in a profile (`dependsOn`)."""

from collections.abc import Mapping, Sequence

from reconciler.model import Pack


def depends(packs: Sequence[Pack]) -> dict[str, tuple[str, ...]]:
    """Pack -> packs it waits for: those it names, or the one before it where it names none at all."""
    found: dict[str, tuple[str, ...]] = {}
    for index, pack in enumerate(packs):
        before = (packs[index - 1].name,) if index else ()
        found[pack.name] = before if pack.depends_on is None else pack.depends_on
    return found


def ordered(packs: Sequence[Pack]) -> list[tuple[Pack, tuple[str, ...]]]:
    """Packs with what they wait for, each after all of it, else in the order written. Packs in a circle are left out."""
    waits = depends(packs)
    done: set[str] = set()
    left, found = list(packs), []
    while ready := [pack for pack in left if done.issuperset(waits[pack.name])]:
        first = ready[0]
        found.append((first, waits[first.name]))
        done.add(first.name)
        left.remove(first)
    return found


def circle(waits: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """The names that wait for each other in a circle, sorted; empty where there is none."""
    left = dict(waits)
    while ready := [name for name, others in left.items() if not any(other in left for other in others)]:
        for name in ready:
            del left[name]
    return tuple(sorted(left))


def last(waits: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """The names that no other name waits for, in order."""
    needed = {other for others in waits.values() for other in others}
    return tuple(name for name in waits if name not in needed)
