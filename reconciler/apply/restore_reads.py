"""The archive of a restore is read whole and compared (O9): before anybody approves, before anything stops, and once its pod is done.

The pod reads it by itself and compares nothing. So what it restored counts only once the archive proves to be still the same.
"""

from reconciler.apply.restore_ground import ended, on, waits
from reconciler.apply.steps import Ground, Stepped, keys_of, no_keys
from reconciler.archives import concealed
from reconciler.model import Answer, Errand, Restore, replace
from reconciler.operations import restore

NOT_ALLOWED = "its store {} is not one that the operator allows now (ceilings.backupEndpoints)"
SOON = 60.0  # seconds until an archive that could not be read is asked for again, at first
OTHER = "the archive is not the one on record: its SHA-256 is another"


def reading(ground: Ground, run: Restore) -> Stepped:
    """The archive is read back whole before anything is touched. Its SHA-256 is on record from then on."""
    found = answered(ground, run)
    if isinstance(found, Stepped):
        return found
    if found.why:
        return _unread(ground, run, found.why)
    read = replace(run, sha256=found.sha256, keys=found.keys, size=found.size)
    return on(ground, restore.moved(read, restore.after_reading(read), ground.now))


def comparing(ground: Ground, run: Restore) -> Stepped:
    """It was approved, maybe long after it was read: the archive must still be the same."""
    found = answered(ground, run)
    if isinstance(found, Stepped):
        return found
    return _unread(ground, run, found.why) if found.why else on(ground, restore.moved(run, "stopping", ground.now))


def answered(ground: Ground, run: Restore) -> Answer | Stepped:
    """What the archive is now, or the step that asks for it. One with another SHA-256 than that on record is unsound. Its store is
    judged each time: the archive may be older than what the operator allows by now."""
    allowed = ground.assignment.stores
    if allowed is not None and run.location.endpoint not in allowed:
        return Answer("read", NOT_ALLOWED.format(run.location.endpoint), unsound=True)
    keys = keys_of(ground, run.credentials)
    if keys is None:
        return Answer("read", no_keys(ground, run.credentials))
    name = restore.reading(run)
    found = ground.assignment.answers.get((name, "read"))
    if found is None and ground.now < run.since:
        return waits(ground, run.since)
    if found is None:
        asks = Errand(ground.bundle.cluster, name, "read", run.location, run.key, keys)
        return Stepped(ground.record, ground.now + 60.0, (asks,))
    if not found.why and run.sha256 and found.sha256 != run.sha256:
        return replace(found, why=OTHER, unsound=True)
    return replace(found, why=concealed(found.why, keys))


def _unread(ground: Ground, run: Restore, why: str) -> Stepped:
    """Nothing was touched: a new cluster tries again, else that is its end."""
    if not run.fresh:
        return ended(ground, run, why)
    return on(ground, restore.moved(run, "reading", ground.now + restore.pause(run, ground.now, SOON)), why=why)
