"""Snapshots of a cluster's store: what is under way, what there is, and what is done beside the passes (O7)."""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from reconciler.model.life import Location
from reconciler.model.operations import Ran

Phase = Literal["reading", "held", "comparing", "stopping", "restoring", "proving", "restored", "waking"]


class BackupRun(Struct, frozen=True):
    """A snapshot under way. `phase`: noted (on record, not sent yet), sent (the engine has it), reading (the archive is read back).

    `at` in seconds since the epoch; `key` names the archive at `location` (None on records of before: that of the document); `uid` is
    that of the request's ConfigMap.
    """

    id: str
    key: str
    at: float
    by: str
    phase: Literal["noted", "sent", "reading"] = "noted"
    uid: str = ""
    location: Location | None = None


class Archive(Struct, frozen=True):
    """A snapshot that ended. Only one that was read back whole is `completed`: `size` in bytes, `keys` in it, `sha256` in hex. `why` it
    failed else. The versions and the commit are those of its time."""

    id: str
    key: str
    location: Location
    at: float
    completed: bool
    why: str = ""
    size: int = 0
    keys: int = 0
    sha256: str = ""
    engine: str = ""
    kubernetes: str = ""
    commit: str = ""


class Seen(Struct, frozen=True):
    """The requests that are answered: those made before `at`, and of that second those with these UIDs, None: all. In seconds since the
    epoch by the clock of the API server, which counts whole ones."""

    at: float
    uids: tuple[str, ...] | None = None


class Backups(Struct, frozen=True):
    """What is on record of a cluster's snapshots: the one under way, those that ended, oldest first; `handled`: up to when the schedule is
    answered, in seconds since the epoch; `seen`: the requests that are (None on records of before: those made until `handled`);
    `problem`: why none can be made or removed now. `tried`: the versions that one was begun before, `cleared`: those that nothing waits
    for any more (O8)."""

    running: BackupRun | None = None
    archives: tuple[Archive, ...] = ()
    handled: float = 0.0
    problem: str = ""
    tried: str = ""
    cleared: str = ""
    seen: Seen | None = None


class Restore(Struct, frozen=True):
    """A restore under way (O9): of `snapshot` (its id, or its address) from `location` and `key`, with the credentials of a Secret.

    `phase`: reading (the archive is read back), held (waits for an approval), comparing (it is read again), stopping (the engine
    goes), restoring (a pod writes the store), proving (the archive is read once more), restored (that pod goes), waking. `sha256` is
    that on record or of the first reading, and every reading must have it. `owner`: whose data it is, where it is a cluster of
    another source; `hooks`: what ran of charts' hooks in the data of before, once other data took its place. `fresh`: the cluster has
    no data that could be lost; `clone`: into another cluster
    than the snapshot's; `back`: it goes back to the data of before, because of `why`. `at` and `since` (of the phase) in seconds
    since the epoch; `uid` is that of the pod; `ends`: until when it may be approved.
    """

    id: str
    snapshot: str
    location: Location
    key: str
    credentials: str
    by: str
    at: float
    since: float
    phase: Phase = "reading"
    fresh: bool = False
    clone: bool = False
    back: bool = False
    why: str = ""
    uid: str = ""
    sha256: str = ""
    size: int = 0
    keys: int = 0
    ends: float = 0.0
    request: str = ""
    owner: str = ""
    hooks: Mapping[str, Ran] | None = None


class Restored(Struct, frozen=True):
    """A restore that ended at `at` (seconds since the epoch): whole, or not, and then `why`."""

    id: str
    snapshot: str
    at: float
    whole: bool
    why: str = ""
    keys: int = 0


class Restores(Struct, frozen=True):
    """What is on record of a cluster's restores: the one under way and the last one that ended; `seen`: the requests that are answered
    (None on records of before: those made until `handled`); `problem`: why the one under way does not go on now."""

    running: Restore | None = None
    last: Restored | None = None
    handled: float = 0.0
    problem: str = ""
    seen: Seen | None = None


class Keys(Struct, frozen=True):
    """The credentials of an object store."""

    access: str
    secret: str
    token: str = ""

    def __repr__(self) -> str:
        return f"Keys(access={self.access!r})"


class Errand(Struct, frozen=True):
    """Something to do at an object store, for a cluster's snapshot `id`."""

    cluster: str
    id: str
    does: Literal["read", "remove"]
    location: Location
    key: str
    keys: Keys


class Answer(Struct, frozen=True):
    """How an errand ended: `why` it failed, "" where it did not. `unsound`: the archive itself is at fault, and stays so."""

    does: str
    why: str = ""
    size: int = 0
    keys: int = 0
    sha256: str = ""
    unsound: bool = False
