"""Who a client is to its API server, and what it may do there (SelfSubjectReview, Kubernetes 1.28 or newer, and
SelfSubjectAccessReview)."""

import msgspec

from reconciler.kube.client import Client
from reconciler.kube.errors import broken
from reconciler.kube.transport import Call

_PATH = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
_ASKED = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}


_ACCESS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


class _User(msgspec.Struct):
    username: str


class _Status(msgspec.Struct, rename="camel"):
    user_info: _User


class _Review(msgspec.Struct):
    status: _Status


class _Access(msgspec.Struct):
    allowed: bool = False


class _AccessReview(msgspec.Struct):
    status: _Access


def may(client: Client, verb: str, group: str, resource: str, namespace: str = "", name: str = "") -> bool:
    """Whether this client may do `verb` to a resource (plural). Raises ApiError."""
    wanted = {"verb": verb, "group": group, "resource": resource, "namespace": namespace, "name": name}
    asked = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview"}
    body = {**asked, "spec": {"resourceAttributes": {key: value for key, value in wanted.items() if value}}}
    _, answer = client.transport.send(Call("get", "POST", _ACCESS, body=body), deadline=client.deadline)
    try:
        return msgspec.json.decode(answer, type=_AccessReview).status.allowed
    except msgspec.MsgspecError as error:
        raise broken("get", "its answer about the rights has another shape") from error


def user(client: Client) -> str:
    """The name the server knows this client by, whatever its kubeconfig or machine calls it. Raises ApiError."""
    _, body = client.transport.send(Call("get", "POST", _PATH, body=_ASKED), deadline=client.deadline)
    try:
        return msgspec.json.decode(body, type=_Review).status.user_info.username
    except msgspec.MsgspecError as error:
        raise broken("get", "its answer about the user has another shape") from error
