"""Who somebody is to an API server, and what they may do there: of a client itself (SelfSubjectReview, Kubernetes 1.28 or newer, and
SelfSubjectAccessReview), and of others (TokenReview and SubjectAccessReview)."""

from typing import Annotated, Any

import msgspec

from reconciler import decoding
from reconciler.errors import UNREADABLE
from reconciler.kube.client import Client
from reconciler.kube.errors import broken
from reconciler.kube.transport import Call
from reconciler.model import UserInfo

_PATH = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
_ASKED = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
_ACCESS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_TOKENS = "/apis/authentication.k8s.io/v1/tokenreviews"
_OTHERS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"

_Text = Annotated[str, msgspec.Meta(max_length=1024)]
_Texts = Annotated[tuple[_Text, ...], msgspec.Meta(max_length=2048)]


class _User(msgspec.Struct):
    username: str


class _Status(msgspec.Struct, rename="camel"):
    user_info: _User


class _Review(msgspec.Struct):
    status: _Status


class _Access(msgspec.Struct):
    allowed: bool = False


class _Somebody(msgspec.Struct, frozen=True):
    username: _Text = ""
    uid: _Text = ""
    groups: _Texts = ()
    extra: Annotated[dict[_Text, _Texts], msgspec.Meta(max_length=64)] = {}


class _Token(msgspec.Struct):
    authenticated: bool = False
    user: _Somebody = _Somebody()


class _TokenReview(msgspec.Struct):
    status: _Token


class _AccessReview(msgspec.Struct):
    status: _Access


def may(client: Client, verb: str, group: str, resource: str, namespace: str = "", name: str = "") -> bool:
    """Whether this client may do `verb` to a resource (plural). Raises ApiError."""
    wanted = {"verb": verb, "group": group, "resource": resource, "namespace": namespace, "name": name}
    return _allowed(client, _ACCESS, "SelfSubjectAccessReview", {"resourceAttributes": _filled(wanted)})


def another_may(
    client: Client, who: UserInfo, verb: str, group: str, resource: str, namespace: str = "", name: str = ""
) -> bool:
    """Whether somebody else may do `verb` to a resource (plural). Raises ApiError."""
    wanted = {"verb": verb, "group": group, "resource": resource, "namespace": namespace, "name": name}
    asked = {"user": who.name, "uid": who.uid, "groups": who.groups, "extra": dict(who.extra)}
    spec = {"resourceAttributes": _filled(wanted), **_filled(asked)}
    return _allowed(client, _OTHERS, "SubjectAccessReview", spec)


def holder(client: Client, token: str) -> UserInfo | None:
    """Whose token this is; None where it is nobody's. Raises ApiError."""
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
    _, answer = client.transport.send(Call("get", "POST", _TOKENS, body=body), deadline=client.deadline)
    try:
        status = decoding.decoded(answer, _TokenReview).status
    except UNREADABLE as error:
        raise broken("get", "its answer about the token has another shape") from error
    if not status.authenticated or not status.user.username:
        return None
    found = status.user
    return UserInfo(found.username, found.uid, found.groups, tuple(sorted(found.extra.items())))


def _filled(given: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in given.items() if value}


def _allowed(client: Client, path: str, kind: str, spec: dict[str, Any]) -> bool:
    body = {"apiVersion": "authorization.k8s.io/v1", "kind": kind, "spec": spec}
    _, answer = client.transport.send(Call("get", "POST", path, body=body), deadline=client.deadline)
    try:
        return decoding.decoded(answer, _AccessReview).status.allowed
    except UNREADABLE as error:
        raise broken("get", "its answer about the rights has another shape") from error


def user(client: Client) -> str:
    """The name the server knows this client by, whatever its kubeconfig or machine calls it. Raises ApiError."""
    _, body = client.transport.send(Call("get", "POST", _PATH, body=_ASKED), deadline=client.deadline)
    try:
        return decoding.decoded(body, _Review).status.user_info.username
    except UNREADABLE as error:
        raise broken("get", "its answer about the user has another shape") from error
