"""What a NestedCluster says of who gets in, in the fields of the document."""

import msgspec

from reconciler.model.form import Struct


class AccessRole(Struct, frozen=True):
    name: str
    kind: str = "ClusterRole"


class AccessSubject(Struct, frozen=True):
    kind: str
    name: str
    namespace: str = ""


class RbacEntry(Struct, frozen=True):
    role: AccessRole
    subjects: tuple[AccessSubject, ...]
    namespace: str = ""


class Oidc(Struct, frozen=True):
    issuer: str
    client_id: str = msgspec.field(name="clientID")
    username_claim: str = "sub"
    groups_claim: str = ""


class Kubeconfig(Struct, frozen=True):
    name: str
    role: str
    server: str = "internal"
    ttl: str = "24h"


class Access(Struct, frozen=True):
    rbac: tuple[RbacEntry, ...] = ()
    kubeconfigs: tuple[Kubeconfig, ...] = ()
    oidc: Oidc | None = None


# What is on record


class Issued(Struct, frozen=True):
    """A kubeconfig that was written: `account` the UID of its account inside, `place` the digest of where it leads, `ttl` as asked for in
    seconds; `at` and `ends` of its token in seconds since the epoch; `content` the digest of the whole. Without an end it is one that is
    to be written: it is on record before its Secret is."""

    name: str
    account: str
    place: str
    ttl: float
    at: float
    ends: float = 0.0
    content: str = ""


class Kubeconfigs(Struct, frozen=True):
    """The kubeconfigs of a cluster, with those that left and are not gone yet; `problem`: why not all are as asked for, and `since` when,
    in seconds since the epoch."""

    issued: tuple[Issued, ...] = ()
    problem: str = ""
    since: float = 0.0
