"""What a status says of a cluster's life: its sleep, its end, its snapshots and its last restore. Pure; times are RFC 3339 in UTC.

The names of fields are those of the status object (`rename`), and what is not there is left out.
"""

import time
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from reconciler import decoding
from reconciler.model import (
    Archive,
    Authored,
    Backups,
    Deletion,
    Growth,
    Kubeconfigs,
    Report,
    Restores,
    Sleeping,
    Tombstone,
    replace,
)
from reconciler.spec import units

LISTED = 50  # snapshots in a status
PROBLEM = 1024  # characters


class SleepView(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Whether a cluster is to sleep, what decides (`by`), why, since when and until when; `ended`: how the last request ended."""

    asleep: bool
    by: str = ""
    why: str = ""
    ended: str = ""
    since: str = ""
    until: str = ""


class ArchiveView(Struct, frozen=True, omit_defaults=True):
    """One snapshot: `state` is Completed or Failed, `size` in bytes, `keys` in it."""

    id: str
    time: str = ""
    state: str = ""
    url: str = ""
    size: int = 0
    keys: int = 0
    sha256: str = ""
    why: str = ""
    commit: str = ""
    engine: str = ""
    kubernetes: str = ""


class BackupsView(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Snapshots, the newest first; the one under way, and why none can be made now."""

    list: tuple[ArchiveView, ...]
    running: str = ""
    problem: str = ""


class RestoredView(Struct, frozen=True, omit_defaults=True):
    """A restore that ended: `state` is Completed or Failed."""

    id: str
    snapshot: str = ""
    time: str = ""
    state: str = ""
    why: str = ""
    keys: int = 0


class RestoreView(Struct, frozen=True, omit_defaults=True):
    """The restore under way, why it does not go on, and the last one that ended."""

    running: str = ""
    problem: str = ""
    last: RestoredView | None = None


class KubeconfigView(Struct, frozen=True, omit_defaults=True, rename="camel"):
    """One kubeconfig, and when its token ends."""

    name: str
    expires_at: str = ""


class KubeconfigsView(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The kubeconfigs that are there, and why not all are as asked for."""

    list: tuple[KubeconfigView, ...]
    problem: str = ""


class StorageView(Struct, frozen=True, omit_defaults=True):
    """Volumes of the control plane that have grown, or are to: the size asked for, those behind, and why they do not grow."""

    asked: str = ""
    behind: tuple[str, ...] = ()
    problem: str = ""


class DeletionView(Struct, frozen=True):
    """What its removal from Git would do: `grace` is a duration, `protect` says that it is held instead."""

    policy: str
    grace: str
    protect: bool


class RemovalView(Struct, frozen=True, omit_defaults=True):
    """Its removal from Git: the revision, who wrote that, since when it counts, and when the policy is carried out."""

    revision: str = ""
    since: str = ""
    due: str = ""
    author: str = ""
    subject: str = ""


class Life(Struct, frozen=True, omit_defaults=True, rename="camel"):
    """All of it. `expires_at`: when its ttl ends; `expiry_warning`: the last warning of that which was told."""

    expires_at: str = ""
    expiry_warning: str = ""
    sleep: SleepView | None = None
    backups: BackupsView | None = None
    restore: RestoreView | None = None
    kubeconfigs: KubeconfigsView | None = None
    storage: StorageView | None = None
    deletion: DeletionView | None = None
    removal: RemovalView | None = None

    @property
    def asleep(self) -> bool:
        """Whether it is to sleep."""
        return self.sleep is not None and self.sleep.asleep


NOTHING = Life()


def deletion(one: Deletion, grace: float) -> DeletionView:
    """`grace`: seconds, where the document says none."""
    return DeletionView(one.policy, one.grace or units.lasting(grace), one.protect)


def removal(one: Tombstone | None) -> RemovalView | None:
    """None of a cluster that stands in Git, or whose ttl ended."""
    if one is None or one.expired:
        return None
    return RemovalView(one.commit, stamp(one.since), stamp(one.due))


def signed(one: RemovalView, by: Authored | None) -> RemovalView:
    """With who wrote its revision, as far as it is known."""
    return replace(one, author=by.author, subject=by.subject) if by else one


def of(
    report: Report,
    before: Life = NOTHING,
    deletion: DeletionView | None = None,
    removal: RemovalView | None = None,
) -> Life:
    """What a pass says, and the document; where nobody looked, what is not said stays as it was."""
    ending, kept = report.ending, before if report.sleep is None else NOTHING
    return Life(
        stamp(ending.at) if ending is not None else kept.expires_at,
        ending.warned if ending is not None else kept.expiry_warning,
        _sleep(report.sleep) if report.sleep is not None else kept.sleep,
        _backups(report.backups) if report.backups is not None else kept.backups,
        _restores(report.restores) if report.restores is not None else kept.restore,
        _kubeconfigs(report.kubeconfigs) if report.kubeconfigs is not None else kept.kubeconfigs,
        _storage(report.growth) if report.growth is not None else kept.storage,
        deletion or before.deletion,
        _by(removal, before.removal),
    )


def _by(now: RemovalView | None, before: RemovalView | None) -> RemovalView | None:
    """Who wrote a revision stays known."""
    if now is None or now.author or before is None or before.revision != now.revision:
        return now
    return replace(now, author=before.author, subject=before.subject)


def read(status: Mapping[str, Any]) -> Life:
    """What a status object says. A field of another form is left out."""
    return Life(**{one.name: _read(status[one.encode_name], one) for one in FIELDS if one.encode_name in status})


def stamp(at: float) -> str:
    """RFC 3339 in UTC with milliseconds."""
    seconds, millis = divmod(round(at * 1000), 1000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{millis:03d}Z"


FIELDS = msgspec.structs.fields(Life)


def _read(value: object, one: msgspec.structs.FieldInfo) -> Any:
    try:
        return decoding.converted(value, one.type)
    except msgspec.ValidationError:
        return one.default


def _sleep(one: Sleeping) -> SleepView | None:
    """Nothing of a cluster that nobody asks to sleep."""
    if not one.by and not one.ended:
        return None
    since, until = (stamp(at) if at is not None else "" for at in (one.since, one.until))
    return SleepView(asleep=one.asleep, by=one.by, why=one.why, ended=one.ended, since=since, until=until)


def _backups(known: Backups) -> BackupsView:
    run, newest = known.running, reversed(known.archives[-LISTED:])
    running = f"{run.id}, {run.phase}, by {run.by}" if run is not None else ""
    return BackupsView(list=tuple(_archive(one) for one in newest), running=running, problem=known.problem)


def _archive(one: Archive) -> ArchiveView:
    return ArchiveView(
        one.id, stamp(one.at), _state(one.completed), f"{one.location.type}://{one.location.bucket}/{one.key}",
        one.size, one.keys, one.sha256, one.why, one.commit, one.engine, one.kubernetes,
    )  # fmt: skip


def _restores(known: Restores) -> RestoreView:
    run, last = known.running, known.last
    does = f"{run.phase}{', back to the data of before' if run.back else ''}, by {run.by}" if run is not None else ""
    ended = None
    if last is not None:
        ended = RestoredView(last.id, last.snapshot, stamp(last.at), _state(last.whole), last.why, last.keys)
    return RestoreView(f"{run.snapshot}, {does}" if run is not None else "", known.problem, ended)


def _kubeconfigs(known: Kubeconfigs) -> KubeconfigsView:
    listed = tuple(KubeconfigView(one.name, stamp(one.ends)) for one in known.issued if one.ends)
    return KubeconfigsView(list=listed, problem=known.problem[:PROBLEM])


def _storage(known: Growth) -> StorageView:
    return StorageView(known.asked, known.behind, known.problem[:PROBLEM])


def _state(whole: bool) -> str:
    return "Completed" if whole else "Failed"
