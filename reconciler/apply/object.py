"""Executes one change at a time and returns its result. The only module that calls write verbs on desired objects.

One object's failure does not stop the others (A5). An apply is forced only over edits of our own fields (A1).
"""

from collections.abc import Mapping

from msgspec import Struct

from reconciler.errors import UNSERVED, ApiError, ErrorClass, one_line, printable
from reconciler.kube.client import Applied, Client
from reconciler.kube.sending import send
from reconciler.model import Change, InventoryEntry, Object, ObjectRef, Observed, Outcome, Result, Target
from reconciler.plan import conflict, fields, handover, mark, suspects
from reconciler.plan.kinds import MAKE_NAMESPACE, NAMESPACED

Key = tuple[Target, ObjectRef]
FAILING = frozenset(
    {str(ErrorClass.VERSION_MISSING), "EndedFailed", "HookExists", "HookFailed"}
)  # reasons of a skip that only a commit mends
NAMED = 5  # finalizers that a message names
TRIES = 4  # writes that are based on a version, before the next pass
WAITING = frozenset({"Awaited", "Terminating", "KindMissing"})  # reasons of a skip that passes by itself


class Ground(Struct, frozen=True):
    """What is known of the object of a change: how it was observed, and its inventory entry, if any."""

    observed: Observed | None
    entry: InventoryEntry | None


def execute(change: Change, client: Client, ground: Ground) -> Result:
    """Do one change that writes (`WRITING`). Never raises ApiError: a refusal is a Result (A5). LeaseLost passes through (H1)."""
    try:
        return _VERBS[change.action](change, client, ground)
    except ApiError as error:
        if error.kind in UNSERVED or _comes(error, ground):
            return Result(change, "waiting", error=error.message, reason=str(ErrorClass.KIND_MISSING))
        failed = Result(
            change, "failed", error=_told(error, change), reason=error.reason, stalls=_stalls(error, change)
        )
        return _read_back(failed, client) if error.kind == ErrorClass.AMBIGUOUS else failed


def _told(error: ApiError, change: Change) -> str:
    if error.kind == ErrorClass.NAMESPACE_MISSING and change.target.nested:
        return printable(f"there is no namespace {change.ref.namespace}: {MAKE_NAMESPACE}")
    return error.message


def _comes(error: ApiError, ground: Ground) -> bool:
    """Whether a version that is not served comes yet: its kind was missing, or a CRD of the same bundle brings it."""
    return error.kind == ErrorClass.VERSION_MISSING and ground.observed is not None and ground.observed.coming


def _stalls(error: ApiError, change: Change) -> bool:
    """Versions of Kubernetes' own kinds do not come back; those of other kinds may come with a CRD of somebody else."""
    if error.kind == ErrorClass.VERSION_MISSING:
        return (change.ref.group, change.ref.kind) in NAMESPACED
    return error.stalls


def stand(change: Change, ground: Ground) -> Result:
    """The result of a change that writes nothing: hold, skip or unchanged. An object that is being deleted is waited
    for (A2)."""
    if change.action == "skip" and change.reason in FAILING:
        return Result(change, "failed", error=change.detail, reason=change.reason, stalls=True)
    outcome = "waiting" if change.reason in WAITING else _QUIET[change.action]
    live = ground.observed.live if ground.observed else None
    uid, confirmed = "", tuple[str, ...]()
    if change.action == "unchanged" and live is not None and (now := _unconfirmed(change, ground, live)) is not None:
        uid, confirmed = str(live["metadata"]["uid"]), now
    told = change.reason if change.reason in {"DriftReported", *WAITING} else ""
    return Result(change, outcome, uid, confirmed, _why(change, live), told, live=live)


def _read_back(failed: Result, client: Client) -> Result:
    """A write whose answer was lost may have been done: read the object and compare (A6). If it does not show the
    write, the failure is returned."""
    change = failed.change
    try:
        live = client.get(change.ref)
    except ApiError:
        return failed
    if change.action == "delete":
        return _read_after_delete(failed, live)
    if live is None or change.desired is None or not _carries(live, change):
        return failed
    return Result(
        change, _DONE[change.action], uid=str(live["metadata"]["uid"]), fields=fields.managed(live), live=live
    )


def _read_after_delete(failed: Result, live: Object | None) -> Result:
    change = failed.change
    if live is None or live["metadata"]["uid"] != change.uid:
        return Result(change, "deleted", uid=change.uid)
    if "deletionTimestamp" in live["metadata"]:
        return Result(change, "deleting", uid=change.uid, live=live)
    return failed


def _carries(live: Object, change: Change) -> bool:
    """Whether the live object is the result of this write: created or changed by us, with every field that was sent."""
    wanted = change.desired or {}
    known = live["metadata"]["uid"] == change.uid
    same = known if change.action in ("configure", "adopt") else not known and _our_nonce(live, wanted)
    return same and bool(fields.managed(live)) and not suspects.differs(wanted, live, fields.managed(live))


def _our_nonce(live: Object, wanted: Object) -> bool:
    found = [one["metadata"].get("annotations") or {} for one in (live, wanted)]
    return any(key.endswith("nidus.dev/nonce") and value == found[0].get(key) for key, value in found[1].items())


def _create(change: Change, client: Client, ground: Ground) -> Result:
    if ground.observed is None or ground.observed.unknown:
        found = client.get(change.ref)
        if found is not None:
            return _unread(change, ground)
    return _made(change, client, ground, "created")


def _made(change: Change, client: Client, ground: Ground, outcome: Outcome) -> Result:
    """Create an object that was found absent. If the server answers 200 instead of 201, the object existed. Somebody
    else created it: then the fields we just applied are removed again. Or a proxy sent our request twice: then nobody
    else owns a field of it (A2). Or the engine was making our Service anew, and it was absent between its two writes (R4)."""
    applied = client.apply(_body(change))
    others = [one for one in map(fields.owner_of, fields.entries(applied.object)) if not conflict.is_ours(one)]
    if applied.created or not any(not one.subresource for one in others):
        return _confirmed(change, outcome, applied)
    if ground.entry is not None and mark.remade(ground.entry, applied.object) and _engine_marked(applied.object):
        return _later(change, "was made anew by the engine meanwhile")
    return Result(change, "failed", error=_given_back(change, client, applied), reason="CreatedMeanwhile", stalls=False)


def _engine_marked(live: Object) -> bool:
    """Whether the engine wrote our marks with the very nonce that was just applied: an apply of another value would have taken it."""
    written = [
        one for one in fields.entries(live) if one.get("manager") == mark.ENGINE and one.get("operation") == "Update"
    ]
    return any(path in mark.NONCES for one in written for path in fields.leaves(one.get("fieldsV1")))


def _given_back(change: Change, client: Client, applied: Applied) -> str:
    """Apply without any field: the server removes what only we own, our marks included. Returns the message of the
    result."""
    told = f"{change.ref} was made by somebody else while it was being created"
    metadata = applied.object["metadata"]
    bare = {key: metadata[key] for key in ("name", "namespace") if key in metadata}
    body = {key: applied.object[key] for key in ("apiVersion", "kind")}
    try:
        client.apply({**body, "metadata": bare}, uid=str(metadata["uid"]))
    except ApiError as error:
        return f"{told}; the fields that were applied to it could not be taken back: {error.message}"
    return told


def _unread(change: Change, ground: Ground) -> Result:
    """The object could not be read when the plan was made, and exists: the next pass compares it if it is ours and
    leaves it alone otherwise."""
    if ground.entry is not None:
        return _later(change, "could not be read when the plan was made")
    return Result(
        change,
        "failed",
        error=f"{change.ref} exists and is not ours; rename or remove it",
        reason="NotOwner",
        stalls=True,
    )


def _later(change: Change, why: str) -> Result:
    return Result(change, "waiting", error=f"{change.ref} {why}; the next pass compares it", reason="Unread")


def _configure(change: Change, client: Client, ground: Ground) -> Result:
    """Apply. Ownership of fields that have to go is taken first, so that the apply, which does not name them, removes
    them (A1)."""
    live = ground.observed.live if ground.observed else None
    if change.strays and live is not None:
        live = _taken_over(change, client, live)
    applied = send(client, _body(change), live, dry_run=False, guard=change.guard)
    return _confirmed(change, "adopted" if change.action == "adopt" else "configured", applied)


def _taken_over(change: Change, client: Client, live: Object) -> Object:
    """The object after ownership of the fields that have to go was taken. This write needs the newest resourceVersion,
    and controllers that write status change it: on a conflict the object is read again, a few times."""
    for _ in range(TRIES - 1):
        try:
            return client.rewrite(change.ref, live, {"managedFields": handover.handed_over(live, change.strays)})
        except ApiError as error:
            fresh = client.get(change.ref) if error.kind == ErrorClass.RACED else None
            if fresh is None or fresh["metadata"]["uid"] != live["metadata"]["uid"]:
                raise
            live = fresh
    return client.rewrite(change.ref, live, {"managedFields": handover.handed_over(live, change.strays)})


def _replace(change: Change, client: Client, ground: Ground) -> Result:
    """Delete, and create at once if the object is gone; otherwise the next pass finds it absent and creates it."""
    left = client.delete(change.ref, _meant(change))
    if left is not None:
        return Result(change, "deleting", uid=change.uid, live=left)
    return _made(change, client, ground, "replaced")


def _delete(change: Change, client: Client, ground: Ground) -> Result:
    """Delete by name and UID (D4). An object with another UID is not ours: the server answers 409, and the next plan
    removes the entry."""
    left = client.delete(change.ref, _meant(change))
    if left is None:
        return Result(change, "deleted", uid=change.uid)
    told = f"waits for {_blockers(left)}"
    return Result(change, "deleting", uid=change.uid, error=told, reason="DeletionBlocked", live=left)


def _unconfirmed(change: Change, ground: Ground, live: Object) -> tuple[str, ...] | None:
    """The field set to confirm of an unchanged object whose inventory entry is missing or lacks fields: the process
    ended between the write and its confirmation (I5). None where nothing is new, or where no dry-run was needed."""
    entry = ground.entry
    if entry is None or entry.state != "owned" or entry.uid != live["metadata"]["uid"]:
        return fields.managed(live)
    if ground.observed is None or ground.observed.merged is None or change.desired is None:
        return None
    wanted = set(fields.owned(change.desired))
    found = tuple(sorted({*fields.managed(live), *(path for path in entry.fields if path in wanted)}))
    return found if found != entry.fields else None


def _blockers(live: Object | None) -> str:
    """What has to happen before an object that is being deleted is gone."""
    finalizers = (live or {"metadata": {}})["metadata"].get("finalizers") or ()
    named = one_line(", ".join(map(str, finalizers[:NAMED])))
    return f"its finalizers {named}: whoever put them there removes them" if named else "its dependents"


def _why(change: Change, live: Object | None) -> str:
    if change.reason == "Awaited":
        return "waits until Kubernetes has made it"
    if change.reason == "Terminating":
        return f"is being deleted, and waits for {_blockers(live)}"
    if change.reason == "KindMissing":
        lacks = "its CustomResourceDefinition is missing, or its server does not answer"
        return f"waits until the API server serves kind {change.ref.kind} of {change.ref.group}: {lacks}"
    if change.reason == "DriftReported":
        return "; ".join(change.flags)
    return change.why if change.action in ("hold", "skip") else ""


def _meant(change: Change) -> str:
    """The UID that may be deleted; a plan that names none is a bug, never "whatever has the name" (D4)."""
    if not change.uid:
        raise ValueError(f"change {change.action} {change.ref} names no UID")
    return change.uid


def _body(change: Change) -> Object:
    if change.desired is None:
        raise ValueError(f"change {change.action} {change.ref} carries no object")
    return change.desired


def _confirmed(change: Change, outcome: Outcome, applied: Applied) -> Result:
    live = applied.object
    return Result(change, outcome, uid=str(live["metadata"]["uid"]), fields=fields.managed(live), live=live)


_DONE: Mapping[str, Outcome] = {
    "create": "created",
    "configure": "configured",
    "adopt": "adopted",
    "replace": "replaced",
}
_QUIET: Mapping[str, Outcome] = {"hold": "held", "skip": "skipped", "unchanged": "unchanged"}
_VERBS = {
    "create": _create,
    "configure": _configure,
    "adopt": _configure,
    "replace": _replace,
    "delete": _delete,
}
WRITING = frozenset(_VERBS)
