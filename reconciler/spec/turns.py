"""Times in a cluster's document that a pattern cannot judge: schedules and zones (O2), how long it lives (O6)."""

from collections.abc import Iterator

from reconciler.errors import closest
from reconciler.model import NestedCluster, Rules
from reconciler.spec import schedule, units
from reconciler.spec.codes import Code


def check(cluster: NestedCluster, rules: Rules) -> Iterator[tuple[str, Code, str, str]]:
    """(pointer, code, message, hint) of every mistake in the cluster's schedules and its ttl."""
    yield from _ttl(cluster.spec.deletion.ttl, rules)
    yield from _backup(cluster)
    yield from _restore(cluster)
    turns = cluster.spec.sleep.schedule if cluster.spec.sleep else ()
    for index, turn in enumerate(turns):
        place = f"/spec/sleep/schedule/{index}"
        yield from _time(f"{place}/sleep", turn.sleep)
        yield from _time(f"{place}/wake", turn.wake)
        yield from _zone(f"{place}/timezone", turn.timezone)


def _backup(cluster: NestedCluster) -> Iterator[tuple[str, Code, str, str]]:
    backup = cluster.spec.backup
    if backup is not None and backup.schedule:
        yield from _time("/spec/backup/schedule", backup.schedule)
        yield from _zone("/spec/backup/timezone", backup.timezone)
    if backup is not None and cluster.spec.control_plane.store.type == "etcd":
        told = "the engine makes no snapshots of store etcd"
        yield "/spec/backup", Code.ENGINE, told, "leave backup out, or make a cluster with store sqlite"


def _restore(cluster: NestedCluster) -> Iterator[tuple[str, Code, str, str]]:
    asks = cluster.spec.restore_from
    if asks is None:
        return
    if cluster.spec.control_plane.store.type == "etcd":
        told = "the engine restores no store etcd"
        yield "/spec/restoreFrom", Code.ENGINE, told, "leave restoreFrom out, or make a cluster with store sqlite"
    if bool(asks.url) == bool(asks.cluster) or bool(asks.cluster) != bool(asks.id):
        told = "a snapshot is named by cluster and id, or by its url"
        yield "/spec/restoreFrom", Code.ENGINE, told, "give cluster and id, as nidus backups lists them, or url alone"


def _ttl(ttl: str, rules: Rules) -> Iterator[tuple[str, Code, str, str]]:
    seconds = units.duration(ttl) if ttl else None
    if seconds == 0:
        yield "/spec/deletion/ttl", Code.TTL, f"a ttl of {ttl} is no life at all", "leave it out, or give a longer one"
    elif seconds is not None and rules.max_ttl and seconds > rules.max_ttl:
        most = f"{rules.max_ttl / 3600:g}h"
        yield (
            "/spec/deletion/ttl",
            Code.TTL,
            f"{ttl} is longer than the controller's policy.maxTTL allows",
            f"at most {most}",
        )


def _time(place: str, expression: str) -> Iterator[tuple[str, Code, str, str]]:
    if why := schedule.wrong(expression):
        message = f"{expression[:100]} is no time of a schedule: {why}"
        yield place, Code.SCHEDULE, message, 'such as "0 20 * * 1-5": at 20:00, Monday to Friday'


def _zone(place: str, name: str) -> Iterator[tuple[str, Code, str, str]]:
    if name in schedule.zones():
        return
    near = closest(name, schedule.zones())
    yield place, Code.SCHEDULE, f"no time zone {name[:64]}", f"write {near}" if near else "such as Europe/Berlin"
