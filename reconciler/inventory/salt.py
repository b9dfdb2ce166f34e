"""The salt of an installation (P5): a Secret of ours, created once, so that hashes of secret values can be compared
only within it."""

import base64
import secrets

from reconciler.errors import ApiError, ErrorClass, Stalled
from reconciler.kube.client import Client
from reconciler.model import Object, ObjectRef

NAME = "nidus-salt"


def salt(client: Client, namespace: str) -> bytes:
    """The salt, created on first use. Raises ApiError; Stalled where the Secret is not ours to read."""
    ref = ObjectRef("", "Secret", namespace, NAME)
    found = client.get(ref)
    if found is None:
        found = _made(client, ref)
    return _value(found, namespace)


def seen(client: Client, namespace: str) -> bytes:
    """The salt for who writes nothing: a random one where none stands yet or it may not be read, so that no hash of this process
    compares with one of another. Raises ApiError; Stalled where the Secret holds none."""
    try:
        found = client.get(ObjectRef("", "Secret", namespace, NAME))
    except ApiError as error:
        if error.kind != ErrorClass.DENIED:
            raise
        found = None
    return secrets.token_bytes(32) if found is None else _value(found, namespace)


def _value(found: Object, namespace: str) -> bytes:
    value = base64.b64decode(str((found.get("data") or {}).get("salt", "")))
    if len(value) < 16:
        raise Stalled(f"Secret {namespace}/{NAME} holds no salt", reason="BadSalt", hint="delete it; a new one is made")
    return value


def _made(client: Client, ref: ObjectRef) -> Object:
    value = base64.b64encode(secrets.token_bytes(32)).decode()
    body = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": ref.name, "namespace": ref.namespace},
        "data": {"salt": value},
    }
    try:
        return client.create(body)
    except ApiError as error:
        found = client.get(ref) if error.kind == ErrorClass.RACED else None
        if found is None:
            raise
        return found
