"""Who a client is to its API server (SelfSubjectReview, Kubernetes 1.28 or newer)."""

import msgspec

from reconciler.kube.client import Client
from reconciler.kube.errors import broken
from reconciler.kube.transport import Call

_PATH = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
_ASKED = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}


class _User(msgspec.Struct):
    username: str


class _Status(msgspec.Struct, rename="camel"):
    user_info: _User


class _Review(msgspec.Struct):
    status: _Status


def user(client: Client) -> str:
    """The name the server knows this client by, whatever its kubeconfig or machine calls it. Raises ApiError."""
    _, body = client.transport.send(Call("get", "POST", _PATH, body=_ASKED), deadline=client.deadline)
    try:
        return msgspec.json.decode(body, type=_Review).status.user_info.username
    except msgspec.MsgspecError as error:
        raise broken("get", "its answer about the user has another shape") from error
