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


class Access(Struct, frozen=True):
    rbac: tuple[RbacEntry, ...] = ()
    oidc: Oidc | None = None
