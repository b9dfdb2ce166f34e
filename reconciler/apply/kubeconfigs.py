"""Writes the Secrets with kubeconfigs, and removes those whose entry left the document (O12)."""

from msgspec import Struct

from reconciler.apply.steps import AGAIN, Ground, Machine, Stepped, uid_of
from reconciler.assignment import Assignment
from reconciler.engine import readiness
from reconciler.errors import LeaseLost, NidusError, Retry, Stalled
from reconciler.kube import secret, tokens
from reconciler.model import Issued, Kubeconfig, Kubeconfigs, Object, ObjectRef, Record, Target, replace
from reconciler.operations import kubeconfigs
from reconciler.spec import access


class _Run(Struct, frozen=True):
    """Nothing is ever under way: a pass does all of it."""

    phase: str = ""


def _concerned(assignment: Assignment) -> bool:
    record = assignment.state.record
    return bool(kubeconfigs.of(assignment.bundle) or (record.kubeconfigs and assignment.bundle.tombstone is None))


def _begin(ground: Ground) -> Stepped:
    """All entries, each by itself: one that fails is told and tried again, and its Secret stays."""
    asks, known = kubeconfigs.of(ground.bundle), {one.name: one for one in kubeconfigs.known(ground.record).issued}
    left = _revoked(ground, [one for name, one in known.items() if name not in {each.name for each in asks}])
    if not asks or not _may(ground):
        kept = Kubeconfigs((*left, *(known[one.name] for one in asks if one.name in known)))
        return Stepped(replace(ground.record, kubeconfigs=kept if asks or left else None))
    ca = _ca(ground)
    issued, problems, soon = [*left], list[str](), False
    for one in asks:
        try:
            found = _stands(ground, one, known.get(one.name), ca)
        except LeaseLost:
            raise
        except NidusError as error:
            problems.append(f"{one.name}: {error.told}")
            found = known.get(one.name)
        soon = soon or found is None
        issued += [found] if found is not None else []
    again = [ground.now + AGAIN] if problems else [kubeconfigs.renewed(one) for one in issued]
    again += [ground.now] if soon and not problems else []
    record = replace(ground.record, kubeconfigs=Kubeconfigs(tuple(issued), "; ".join(problems)))
    return Stepped(record, min(again, default=None))


def _may(ground: Ground) -> bool:
    """Whether the accounts inside are there: while the cluster sleeps nothing asks for a token."""
    return ground.up and any(one.name == access.LAYER and one.state == "Current" for one in ground.report.layers)


def _ca(ground: Ground) -> str:
    """The certificate of who signs for the API server inside. Raises NidusError where its Secret is not to be read, or is refused."""
    keys = ground.client.get(ObjectRef("", "Secret", ground.bundle.namespace, f"vc-{ground.bundle.cluster}"))
    if keys is None:
        raise Retry("the control plane has no credentials")
    return secret.credentials(keys).ca


def _stands(ground: Ground, one: Kubeconfig, before: Issued | None, ca: str) -> Issued | None:
    """What is on record of an entry whose Secret is good; it is written with a new token where it was not. None in the pass that makes
    its account. Raises NidusError."""
    account = access.account(one.name)
    uid, server = _uid(ground, account), kubeconfigs.server(ground.bundle, one, ground.report.endpoint)
    if not server:
        raise Retry("the cluster has no address outside yet")
    if not uid:
        return None
    wanted = Issued(one.name, uid, kubeconfigs.place(server, ca), kubeconfigs.ttl(one), ground.now)
    ref = kubeconfigs.secret(ground.bundle, one.name)
    live = ground.client.get(ref)
    if before is not None and kubeconfigs.stands(before, live, wanted, ground.now):
        return before
    if live is not None and not kubeconfigs.ours(live, ground.bundle):
        raise Stalled(f"{ref} exists and is not ours; rename or remove it", reason="NotOwner")
    token = tokens.request(ground.reader.client(_inside(ground)), account, int(wanted.ttl))
    content = kubeconfigs.config(ground.bundle.cluster, one.name, server, ca, token.value)
    ground.client.apply(
        kubeconfigs.body(ground.bundle, one.name, content, _engine(ground)), uid=uid_of(live), force=True
    )
    ends = max(min(token.ends, ground.now + wanted.ttl), ground.now + AGAIN)
    return replace(wanted, ends=ends, content=kubeconfigs.digest(content))


def _engine(ground: Ground) -> Object:
    """Its live workload. Raises NidusError."""
    for kind in sorted(readiness.ROLLOUTS, reverse=True):
        live = ground.client.get(ObjectRef("apps", kind, ground.bundle.namespace, ground.bundle.cluster))
        if live is not None:
            return live
    raise Retry("the control plane has no workload")


def _uid(ground: Ground, account: ObjectRef) -> str:
    """The UID under which the account inside is ours, "" in the pass that made it."""
    mine = (one.uid for one in ground.assignment.state.entries if (one.target, one.ref) == (_inside(ground), account))
    return next(mine, "")


def _inside(ground: Ground) -> Target:
    return Target(ground.host.host, ground.bundle.cluster)


def _revoked(ground: Ground, gone: list[Issued]) -> list[Issued]:
    """The Secrets of entries that left go; what is on record of those that are still there. The plan removes their accounts."""
    left = []
    for one in gone:
        live = ground.client.get(kubeconfigs.secret(ground.bundle, one.name))
        mine = live is not None and kubeconfigs.ours(live, ground.bundle)
        if mine and ground.client.delete(kubeconfigs.secret(ground.bundle, one.name), uid_of(live)) is not None:
            left.append(one)
    return left


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
