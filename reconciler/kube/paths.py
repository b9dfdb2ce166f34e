"""Where an object is on the server, and what an answer about it must be."""

from urllib.parse import quote

from reconciler.errors import ApiError, ErrorClass
from reconciler.kube.discovery import Resource
from reconciler.kube.shape import Asked
from reconciler.model import ObjectRef


def path_of(resource: Resource, ref: ObjectRef, sub: str = "") -> str:
    """The URL path of an object, or of its subresource. Raises ApiError INVALID for a name that no object can have."""
    if resource.namespaced and not ref.namespace:
        raise ApiError(ErrorClass.INVALID, f"{ref} needs a namespace")
    if not ref.name or any(part in (".", "..") or "/" in part or "%" in part for part in (ref.namespace, ref.name)):
        raise ApiError(ErrorClass.INVALID, f"{ref} is no name of an object")  # the server's rule for a path segment
    return resource.path(quote(ref.namespace, safe=""), quote(ref.name, safe=""), sub)


def asked(verb: str, resource: Resource, ref: ObjectRef, uid: str = "", *, kept: bool = True) -> Asked:
    """What was asked, for the check of the answer."""
    return Asked(verb, resource, ref.namespace if resource.namespaced else "", ref.name, uid, kept)
