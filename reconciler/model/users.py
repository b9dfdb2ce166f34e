"""Who somebody is to the API server of the home cluster."""

from msgspec import Struct


class UserInfo(Struct, frozen=True):
    """A user as Kubernetes knows one (authentication.k8s.io/v1 UserInfo): what rights are asked for. `extra` in pairs, so that it can
    be a key."""

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()
