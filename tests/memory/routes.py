"""From a path to what it asks for, and from an object to the request that writes it."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import yaml

from tests.memory import refusal
from tests.memory.core import Ask, Core
from tests.memory.kinds import Kind

Found = Ask | str
"""A request for objects, or the path of anything else."""
APPLY = "application/apply-patch+yaml"
_SUBRESOURCES = frozenset({"status", "scale", "finalize"})


def parse(core: Core, method: str, path: str, query: dict[str, str], headers: Mapping[str, str]) -> Found:
    """What a request asks for. An unknown path is returned as it is."""
    parts = [unquote(part) for part in path.strip("/").split("/")]
    if len(parts) > 2 and parts[0] == "api":
        group, version, rest = "", parts[1], parts[2:]
    elif len(parts) > 3 and parts[0] == "apis":
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return path
    namespace, plural, name, sub = _place(rest)
    kind = core.kind(group, version, plural)
    if kind is None or (sub and sub not in kind.subresources and sub != "finalize"):
        return path
    content = headers.get("content-type", "").partition(";")[0]
    verb = _verb(method, query, content, name)
    return Ask(verb, kind, namespace, name, sub, query, None, content, headers.get("user-agent", ""))


def _place(rest: list[str]) -> tuple[str, str, str, str]:
    """(namespace, plural, name, subresource) of what follows the version."""
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in _SUBRESOURCES:
        namespace, rest = rest[1], rest[2:]
    else:
        namespace = ""
    padded = [*rest, "", ""]
    return namespace, padded[0], padded[1], padded[2]


def _verb(method: str, query: Mapping[str, str], content: str, name: str) -> str:
    match method:
        case "GET":
            return "watch" if query.get("watch") in ("1", "true") else ("get" if name else "list")
        case "PATCH":
            return "apply" if content == APPLY else "patch"
        case "POST":
            return "create"
        case "PUT":
            return "replace"
    return "delete"


def body_of(ask: Ask, body: bytes) -> Any:
    """The body, decoded; raises Refusal 400 or 415 where it cannot be."""
    if not body:
        return None
    if ask.verb == "patch" and ask.content_type not in (
        "application/merge-patch+json",
        "application/strategic-merge-patch+json",
    ):
        raise refusal.Refusal(415, "UnsupportedMediaType", "the body of the request was in an unknown format")
    try:
        return json.loads(body)
    except ValueError:
        if ask.verb != "apply":
            raise refusal.bad("the body is no JSON") from None
    try:
        return yaml.safe_load(body)
    except yaml.YAMLError as error:
        raise refusal.bad(f"error decoding YAML: {error}") from None


def ask_for(core: Core, verb: str, obj: Mapping[str, Any], manager: str, subresource: str, force: bool) -> Ask:
    """The request that writes `obj` as `manager`."""
    group, _, version = str(obj["apiVersion"]).rpartition("/")
    kind = next(
        (one for one in core.kinds() if (one.group, one.version, one.kind) == (group, version, obj["kind"])), None
    )
    if kind is None:
        raise refusal.unknown_path()
    meta = obj["metadata"]
    namespace = (meta.get("namespace") or "default") if kind.namespaced else ""
    body = {**obj, "metadata": {**meta, "namespace": namespace}} if namespace else dict(obj)
    query = {"fieldManager": manager, "force": "true" if force else "false"}
    return Ask(verb, kind, namespace, meta["name"], subresource, query, body)


def collection(kind: Kind, namespace: str = "") -> str:
    """The path of a collection."""
    root = f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"
    return f"{root}/namespaces/{namespace}/{kind.plural}" if namespace else f"{root}/{kind.plural}"
