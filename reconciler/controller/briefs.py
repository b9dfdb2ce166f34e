"""Reports of clusters that no pass looked at: suspended, in the grace period, held, or failed before anything was read.
Pure."""

from reconciler import conditions
from reconciler.assignment import Assignment, Unresolved
from reconciler.errors import ApiError, NidusError, Stalled
from reconciler.inventory.suspensions import suspension, suspension_ends
from reconciler.model import Bundle, Condition, Held, Plan, Record, Report, Revision, replace


def in_grace(bundle: Bundle, now: float) -> bool:
    """Gone from Git, and its grace period is not over (D1)."""
    return bundle.tombstone is not None and bundle.tombstone.due > now


def resting(given: Assignment, now: float) -> Report | None:
    """The report of a cluster that is suspended or in its grace period: nothing is touched until its `next_at`. None
    where there is work."""
    bundle, suspended = given.bundle, suspension(given.bundle, given.requests, now)
    if not suspended and not in_grace(bundle, now):
        return None
    found, word = conditions.compute(
        (), (), held=given.held, suspended=suspended, tombstone=bundle.tombstone, invalid="", never_applied=False
    )
    ends = suspension_ends(bundle, given.requests, now)
    due = bundle.tombstone.due if bundle.tombstone and not suspended else ends
    plan = Plan(bundle.cluster, bundle.revision, ())
    return Report(bundle.cluster, bundle.revision, plan, (), (), found, word, given.held, next_at=due)


def unresolved(given: Unresolved) -> Report:
    """The report of a cluster without a bundle: its file is broken and no older version was accepted, or its content
    cannot be read (S8)."""
    begun = given.state is not None and given.state.record.tombstone is not None
    if given.held is not None and given.held.end and begun:
        return held(given.cluster, given.revision, given.held)
    if given.invalid:
        return invalid(given.cluster, given.revision, given.invalid)
    why = given.held or Held("Unreadable", "its content cannot be read")
    if why.reason == "Expired":
        return gone(given.cluster, given.revision, why)
    if why.reason in ("BadRecord", "NewerFormat"):
        return failed(given.cluster, given.revision, Stalled(why.message, reason=why.reason))
    return held(given.cluster, given.revision, why)


def gone(cluster: str, revision: Revision, why: Held) -> Report:
    """The report of a cluster that expired and is removed, while its file is still in Git (O6)."""
    found = (
        Condition("Ready", "False", "Expired", why.message),
        Condition("Reconciling", "False", "Expired", ""),
        Condition("Stalled", "False", "NotStalled", ""),
    )
    return Report(cluster, revision, Plan(cluster, revision, ()), (), (), found, "Expired")


def with_held(report: Report, held: Held | None) -> Report:
    """The report of a pass, with what admission holds of the cluster added."""
    if held is None or report.held is not None:
        return report
    word = "Held" if report.word == "Ready" else report.word
    return replace(report, held=held, word=word, conditions=conditions.with_held(report.conditions, held))


def held(cluster: str, revision: Revision, why: Held) -> Report:
    """The report of a cluster that is held: its content cannot be read (S8), or its removal waits for approval."""
    found, word = conditions.compute((), (), held=why, suspended="", tombstone=None, invalid="", never_applied=False)
    return Report(cluster, revision, Plan(cluster, revision, ()), (), (), found, word, why)


def invalid(cluster: str, revision: Revision, message: str) -> Report:
    """The report of a cluster whose file is broken and that was never accepted."""
    found, word = conditions.compute(
        (), (), held=None, suspended="", tombstone=None, invalid=message, never_applied=True
    )
    return Report(cluster, revision, Plan(cluster, revision, ()), (), (), found, word)


def failed(cluster: str, revision: Revision, error: NidusError) -> Report:
    """The report of a pass that could not read or save; nothing of the cluster was changed. Stalled where a human must act."""
    stalled = Condition("Stalled", "False", "NotStalled", "")
    if isinstance(error, Stalled) or (isinstance(error, ApiError) and error.stalls):
        stalled = Condition("Stalled", "True", error.reason, error.told)
    found = (
        Condition("Ready", "False", "Degraded", f"{error.reason}: {error.told}"),
        Condition("Reconciling", "False", "Degraded", ""),
        stalled,
    )
    return Report(cluster, revision, Plan(cluster, revision, ()), (), (), found, "Degraded")


def ends_otherwise(given: Assignment | Unresolved) -> bool:
    """Whether anything else is decided about its end than the record says: by its document, because a removal or an end was called off
    or an end moved. That is stored before anything is read: a new process goes by what is stored, however passes in between end."""
    before, after = given.stored or given.state, given.state
    return before is not None and after is not None and _end(before.record) != _end(after.record)


def _end(record: Record) -> tuple[object, ...]:
    return record.digests.get("deletion"), record.tombstone, record.put_back, record.expiry
