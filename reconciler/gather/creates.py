"""Tries the creates of a plan on the server, for people who read the plan: a refusal is seen before it is merged. Writes nothing.

A sync does not do this: its own request gets the same answer.
"""

from collections.abc import Iterable

from reconciler.errors import UNSERVED, ApiError, ErrorClass, NidusError
from reconciler.gather import unsent
from reconciler.gather.reader import Reader
from reconciler.kube.client import Client
from reconciler.kube.errors import is_no_right
from reconciler.model import Change, Plan, Target, replace
from reconciler.patterns import lazy
from reconciler.plan.redact import is_secret_like

REFUSALS = frozenset({ErrorClass.INVALID, ErrorClass.IMMUTABLE, ErrorClass.REJECTED, ErrorClass.DENIED})
NO_DRY_RUN = "does not support dry run"  # an admission webhook with side effects (apiserver, webhook/errors)
QUOTED = lazy(r'"([^"]+)"')


def tried(plan: Plan, reader: Reader) -> Plan:
    """The plan; a create that the server refuses has reason Refused and names the refusal. What cannot be known before
    something else exists says so, and so does what was not tried."""
    made = frozenset(one.ref.name for one in plan.changes if one.action == "create")
    silent: dict[Target, str] = {}
    return replace(plan, changes=tuple(_tried(one, made - {one.ref.name}, silent, reader) for one in plan.changes))


def _tried(change: Change, made: frozenset[str], silent: dict[Target, str], reader: Reader) -> Change:
    if change.action != "create" or change.desired is None or change.flags:
        return change
    if change.target in silent:
        return _flagged(change, silent[change.target])
    try:
        return _asked(change, made, reader.client(change.target))
    except NidusError as error:
        silent[change.target] = f"not tried: {error.message}"
        return _flagged(change, silent[change.target])


def _asked(change: Change, made: frozenset[str], client: Client) -> Change:
    """The change with what the server said. Raises NidusError where it said nothing."""
    try:
        client.apply(unsent.without(change.desired or {}), dry_run=True)
    except ApiError as error:
        if error.kind is ErrorClass.NAMESPACE_MISSING or error.kind in UNSERVED:
            return _flagged(change, "known after apply")
        if error.kind not in REFUSALS:
            raise
        return _refused(change, error, made)
    return change


def _refused(change: Change, error: ApiError, made: Iterable[str]) -> Change:
    # a right that whoever plans does not have, or that this plan gives
    if NO_DRY_RUN in error.message or is_no_right(error.message):
        return _flagged(change, f"known after apply: {error.message}")
    if set(QUOTED.findall(error.message)).intersection(made):  # it needs what the same plan makes
        return _flagged(change, "known after apply")
    told = "refused by the server" if is_secret_like(change.ref) else f"refused by the server: {error.message}"
    return _flagged(replace(change, reason="Refused"), told)


def _flagged(change: Change, told: str) -> Change:
    return replace(change, flags=(*change.flags, told))
