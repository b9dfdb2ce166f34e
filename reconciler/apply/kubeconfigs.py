"""Writes the Secrets with kubeconfigs, and removes those whose entry left the document (O12)."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar

from msgspec import Struct

from reconciler.apply.steps import Ground, Machine, Stepped, rarer, uid_of
from reconciler.assignment import Assignment
from reconciler.engine import readiness
from reconciler.errors import ApiError, LeaseLost, NidusError, Retry, Stalled
from reconciler.kube import secret, tokens
from reconciler.model import Issued, Kubeconfig, Kubeconfigs, Object, ObjectRef, Record, Target, replace
from reconciler.operations import kubeconfigs
from reconciler.spec import access

LEAST = access.SHORTEST / 2  # seconds that a token has to live
K = TypeVar("K", Kubeconfig, Issued)


class _Run(Struct, frozen=True):
    """Nothing is ever under way: a pass does all of it."""

    phase: str = ""


def _concerned(assignment: Assignment) -> bool:
    record = assignment.state.record
    return bool(kubeconfigs.of(assignment.bundle) or (record.kubeconfigs and assignment.bundle.tombstone is None))


def _begin(ground: Ground) -> Stepped:
    """All entries, each by itself: one that fails is told and tried again, and its Secret stays."""
    asks, before = kubeconfigs.of(ground.bundle), kubeconfigs.known(ground.record)
    known = {one.name: one for one in before.issued}
    names = {one.name for one in asks}
    gone = [one for one in before.issued if one.name not in names]
    left, stays = _each(gone, partial(_revoked, ground), known)
    given, lacks = _given(ground, asks, known)
    failed = {**stays, **lacks}
    problem = "; ".join(f"{name}: {error.told}" if name else error.told for name, error in failed.items())
    since = (before.since or ground.now) if problem else 0.0
    found = Kubeconfigs((*left, *given), problem, since) if asks or left else None
    return Stepped(replace(ground.record, kubeconfigs=found), _again(ground, given, failed, since))


def _given(
    ground: Ground, asks: Sequence[Kubeconfig], known: Mapping[str, Issued]
) -> tuple[list[Issued], Mapping[str, NidusError]]:
    """What is on record of the entries after this pass, and why not all are as asked for."""
    kept = [known[one.name] for one in asks if one.name in known]
    if not asks or ground.asleep:
        return kept, {}
    if ground.silent:
        late = Retry("no next token is made while the control plane does not answer")
        return kept, {one.name: late for one in kept if one.ends and ground.now >= kubeconfigs.renewed(one)}
    try:
        ca = _ca(ground)
    except LeaseLost:
        raise
    except NidusError as error:
        return kept, {"": error}
    return _each(asks, lambda one: _stands(ground, one, known.get(one.name), ca), known)


def _each(
    ones: Sequence[K], does: Callable[[K], Issued | None], known: Mapping[str, Issued]
) -> tuple[list[Issued], Mapping[str, NidusError]]:
    """What is on record of each after it was dealt with: as before where that failed, with why."""
    found, failed = list[Issued | None](), dict[str, NidusError]()
    for one in ones:
        try:
            found.append(does(one))
        except LeaseLost:
            raise
        except NidusError as error:
            failed[one.name] = error
            found.append(known.get(one.name))
    return [one for one in found if one is not None], failed


def _again(ground: Ground, given: Sequence[Issued], failed: Mapping[str, NidusError], since: float) -> float | None:
    """When to look: what failed less and less often, but for what only a human can end; the others when their next token is due."""
    if ground.asleep:
        return None
    well = [one for one in given if one.name not in failed] if "" not in failed and not ground.silent else []
    times = [kubeconfigs.renewed(one) for one in well if one.ends]
    if any(not one.ends for one in well) and ground.current(access.LAYER):
        times.append(ground.now)
    if not all(isinstance(one, Stalled) or (isinstance(one, ApiError) and one.stalls) for one in failed.values()):
        times.append(rarer(ground.now, since))
    return min(times, default=None)


def _ca(ground: Ground) -> str:
    """The certificate of who signs for the API server inside. Raises NidusError where its Secret is not to be read, or is refused."""
    keys = ground.client.get(ObjectRef("", "Secret", ground.bundle.namespace, f"vc-{ground.bundle.cluster}"))
    if keys is None:
        raise Retry("the control plane has no credentials")
    return secret.credentials(keys).ca


def _stands(ground: Ground, one: Kubeconfig, before: Issued | None, ca: str) -> Issued:
    """What is on record of an entry whose Secret is good; it is written with a new token where it was not. It is on record a pass
    before there is a Secret, and without an end until its account is there. Raises NidusError."""
    account = access.account(one.name)
    uid, server = _uid(ground, account), kubeconfigs.server(ground.bundle, one, ground.report.endpoint)
    if not server:
        raise Retry("the cluster has no address outside yet")
    if before is None or not uid:
        return before or Issued(one.name, "", "", kubeconfigs.ttl(one), ground.now)
    wanted = Issued(one.name, uid, kubeconfigs.place(server, ca), kubeconfigs.ttl(one), ground.now)
    ref, owners = kubeconfigs.secret(ground.bundle, one.name), _owners(ground)
    live = ground.client.get(ref)
    if kubeconfigs.stands(before, live, wanted, owners, ground.now):
        return before
    if live is not None and not kubeconfigs.ours(live, ground.bundle):
        raise Stalled(f"{ref} exists and is not ours; rename or remove it", reason="NotOwner")
    engine = _engine(ground, owners)
    token = tokens.request(ground.reader.client(_inside(ground)), account, int(wanted.ttl))
    ends = min(token.ends, ground.now + wanted.ttl)
    if ends < ground.now + LEAST:
        raise Retry(f"the server gives tokens that live less than {LEAST:.0f} s")
    content = kubeconfigs.config(ground.bundle.cluster, one.name, server, ca, token.value)
    body = kubeconfigs.body(ground.bundle, one.name, content, engine)
    ground.client.apply(body, uid=uid_of(live), force=True)
    return replace(wanted, ends=ends, content=kubeconfigs.digest(content))


def _owners(ground: Ground) -> Mapping[str, ObjectRef]:
    """UID -> the engine's workload, as the inventory has it; one that is being replaced is not among them."""
    name, host = ObjectRef("apps", "", ground.bundle.namespace, ground.bundle.cluster), ground.host
    refs = [replace(name, kind=kind) for kind in readiness.ROLLOUTS]
    entries = ground.assignment.state.entries
    return {one.uid: one.ref for one in entries if one.target == host and one.ref in refs and one.state == "owned"}


def _engine(ground: Ground, owners: Mapping[str, ObjectRef]) -> Object:
    """Its live workload. Raises NidusError."""
    for uid, ref in owners.items():
        live = ground.client.get(ref)
        if live is not None and uid_of(live) == uid and "deletionTimestamp" not in live["metadata"]:
            return live
    raise Retry("the control plane has no workload")


def _uid(ground: Ground, account: ObjectRef) -> str:
    """The UID under which the account inside is ours, "" in the pass that made it."""
    mine = (one.uid for one in ground.assignment.state.entries if (one.target, one.ref) == (_inside(ground), account))
    return next(mine, "")


def _inside(ground: Ground) -> Target:
    return Target(ground.host.host, ground.bundle.cluster)


def _revoked(ground: Ground, one: Issued) -> Issued | None:
    """Its account inside goes at once, whatever the plan's deletions wait for, and its Secret; None once both are gone. Raises
    NidusError where one of them is still there."""
    try:
        inside = _refused(ground, one)
    finally:
        live = ground.client.get(ref := kubeconfigs.secret(ground.bundle, one.name))
        mine = live is not None and kubeconfigs.ours(live, ground.bundle)
        here = mine and ground.client.delete(ref, uid_of(live)) is not None
    if here:
        raise Retry(f"{ref} is still there")
    return None if inside else one


def _refused(ground: Ground, one: Issued) -> bool:
    """Whether its account inside is gone; while the cluster sleeps nobody is let in, and nothing is asked. Raises NidusError."""
    account = access.account(one.name)
    uid = _uid(ground, account)
    if not uid:
        return True
    if ground.asleep:
        return False
    if ground.silent:
        raise Retry("its account inside stays until the control plane answers")
    client = ground.reader.client(_inside(ground))
    live = client.get(account)
    if uid_of(live) == uid and client.delete(account, uid) is not None:
        raise Retry("its account inside is still there")
    return True


def _troubled(record: Record, why: str) -> Record:
    return replace(record, kubeconfigs=replace(kubeconfigs.known(record), problem=why))


def _owns(record: Record, name: str) -> bool:
    return False


def _enter(ground: Ground, run: _Run | None) -> Ground:
    return ground


def _running(record: Record) -> _Run | None:
    return None


MACHINE = Machine[_Run](_concerned, _running, _owns, _enter, _begin, {}, _troubled)
"""Kubeconfigs: what is there, and what is made anew (O12)."""
