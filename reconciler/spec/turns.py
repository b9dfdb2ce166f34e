"""Times of schedules: cron expressions and zones that a pattern cannot judge (O2)."""

from collections.abc import Iterator
from difflib import get_close_matches

from reconciler.model import NestedCluster
from reconciler.operations import schedule
from reconciler.spec.codes import Code


def check(cluster: NestedCluster) -> Iterator[tuple[str, Code, str, str]]:
    """(pointer, code, message, hint) of every mistake in the cluster's schedules."""
    turns = cluster.spec.sleep.schedule if cluster.spec.sleep else ()
    for index, turn in enumerate(turns):
        place = f"/spec/sleep/schedule/{index}"
        yield from _time(f"{place}/sleep", turn.sleep)
        yield from _time(f"{place}/wake", turn.wake)
        yield from _zone(f"{place}/timezone", turn.timezone)


def _time(place: str, expression: str) -> Iterator[tuple[str, Code, str, str]]:
    if why := schedule.wrong(expression):
        message = f"{expression[:100]} is no time of a schedule: {why}"
        yield place, Code.SCHEDULE, message, 'such as "0 20 * * 1-5": at 20:00, Monday to Friday'


def _zone(place: str, name: str) -> Iterator[tuple[str, Code, str, str]]:
    if name in schedule.zones():
        return
    near = get_close_matches(name, schedule.zones(), 1)
    yield place, Code.SCHEDULE, f"no time zone {name[:64]}", f"write {near[0]}" if near else "such as Europe/Berlin"
