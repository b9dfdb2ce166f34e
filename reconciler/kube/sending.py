"""Server-side apply of one object of ours: unforced, then forced once if the conflicts are only edits (A1)."""

from reconciler.errors import ApiError, ErrorClass
from reconciler.kube.client import Applied, Client
from reconciler.model import Object
from reconciler.plan import conflict


def send(client: Client, body: Object, live: Object | None, *, dry_run: bool, guard: bool = False) -> Applied:
    """Server-side apply of one object; after a conflict, forced once if all conflicting fields are only edits (A1), and
    always where the object guards a tenant.

    `live` is an object of ours by UID. Raises ApiError.
    """
    uid = str(live["metadata"]["uid"]) if live else ""
    try:
        return client.apply(body, uid=uid, dry_run=dry_run)
    except ApiError as error:
        if error.kind != ErrorClass.FIELD_CONFLICT or live is None:
            raise
        conflicts = [field for field, reason, _ in error.causes if reason == "FieldManagerConflict"]
        if not guard and not conflict.overridden(conflicts, body, live):
            raise
    return client.apply(body, uid=uid, dry_run=dry_run, force=True)
