"""Checks the shape of every answer of an API server before it is used (A8, I7).

A nested API server belongs to the tenant. An answer in which a needed field has a wrong type, or which is about another
object than the one asked for, is refused here as an ApiError: TRANSIENT for reads, AMBIGUOUS for writes. Identity and
metadata are checked; `spec`, `status` and the rest may be anything of limited depth.
"""

import re
import sys
from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Struct

from reconciler import decoding
from reconciler.kube.discovery import Resource
from reconciler.kube.errors import broken, classify, parse
from reconciler.kube.weight import DEPTH, is_an_objects, is_shallow
from reconciler.model import Object, ObjectRef
from reconciler.patterns import lazy

_NAME = r"^(?!\.\.?\Z)[^/%]+\Z"  # the rule of every kind: names of roles may even contain spaces and control characters
_VERSION = lazy(r"v\d{1,4}\.\d{1,4}\.\d{1,4}[-+.A-Za-z0-9]{0,100}")

_T = TypeVar("_T")
Name = Annotated[str, msgspec.Meta(pattern=_NAME)]
Token = Annotated[str, msgspec.Meta(pattern=r"^[\x21-\x7e]{1,128}\Z")]
Strings = dict[str, str] | None


class _Owner(msgspec.Struct, rename="camel"):
    api_version: str = ""
    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool | None = None


class _Managed(msgspec.Struct, rename="camel"):
    manager: str = ""
    operation: str = ""
    api_version: str = ""
    subresource: str = ""
    time: str | None = None
    fields_v1: dict[str, Any] | None = msgspec.field(default=None, name="fieldsV1")


class _Meta(msgspec.Struct, rename="camel"):
    name: Name
    uid: Token
    resource_version: Token | None = None
    namespace: str = ""
    labels: Strings = None
    annotations: Strings = None
    finalizers: list[str] | None = None
    owner_references: list[_Owner] | None = None
    managed_fields: list[_Managed] | None = None
    generation: int = 0
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    deletion_grace_period_seconds: int | None = None


class _Thing(msgspec.Struct, rename="camel"):
    metadata: _Meta
    api_version: str = ""
    kind: str = ""


class Head(msgspec.Struct, frozen=True):
    """The checked identity and metadata of an object."""

    ref: ObjectRef
    uid: str
    version: str
    labels: dict[str, str]


class Event(msgspec.Struct, frozen=True):
    """One line of a watch; `head` is None for a BOOKMARK, whose `version` alone counts."""

    type: str
    version: str
    head: Head | None
    raw: bytes


class Asked(Struct, frozen=True):
    """The object that an answer must be about: the kind as it is served, and the parts of the name that were asked for.

    `uid` "" accepts any; `name` "" accepts any object of the kind, in `namespace` where one is given. `kept` = it is stored, so
    it has a resourceVersion: what a dry-run would create has none.
    """

    verb: str
    resource: Resource
    namespace: str = ""
    name: str = ""
    uid: str = ""
    kept: bool = True


def decoded(raw: bytes, asked: Asked) -> Object:
    """The object in an answer, checked. Raises ApiError where it is not what was asked for."""
    head(raw, asked)
    return body(raw, asked.verb)


def body(raw: bytes, verb: str) -> Object:
    """The object whose head was checked: the rest may still have a number that is none, or text that is no UTF-8."""
    return _read(raw, dict[str, Any], verb, deep=False)


def head(raw: bytes, asked: Asked, *, listed: bool = False) -> Head:
    """The head of one object, its whole metadata checked; `listed` = an item of a list, which may leave its kind out."""
    thing = _read(raw, _Thing, asked.verb)
    _same_kind(thing, asked, listed)
    meta = thing.metadata
    for what, one, other in (("name", asked.name, meta.name), ("uid", asked.uid, meta.uid)):
        if one and one != other:
            raise broken(asked.verb, f"it is about an object of another {what}")
    if not _placed(meta.namespace, asked):
        raise broken(asked.verb, "it is about an object in another namespace")
    if asked.kept and not meta.resource_version:
        raise broken(asked.verb, "metadata.resourceVersion is missing")
    ref = ObjectRef(asked.resource.group, asked.resource.kind, sys.intern(meta.namespace), meta.name)
    return Head(ref, meta.uid, meta.resource_version or "", meta.labels or {})


# Lists


class _ListMeta(msgspec.Struct, rename="camel"):
    resource_version: Token
    continue_: str | None = msgspec.field(default=None, name="continue")


class _List(msgspec.Struct, rename="camel"):
    metadata: _ListMeta
    items: list[msgspec.Raw] | None
    kind: str = ""
    api_version: str = ""


class Page(Struct, frozen=True):
    """One page of a list: items encoded, with their heads; `more` is the token of the next page, "" on the last."""

    items: list[tuple[Head, bytes]]
    version: str
    more: str


PARTIAL = "PartialObjectMetadata"
PARTIAL_LIST = f"application/json;as={PARTIAL}List;g=meta.k8s.io;v=v1,application/json"
PARTIAL_WATCH = f"application/json;as={PARTIAL};g=meta.k8s.io;v=v1,application/json"
"""What a list or a watch of metadata alone consists of (meta.k8s.io/v1), and how to ask for it."""


Kept = Callable[[Head, bytes], tuple[Head, bytes]]
"""What of a checked item of a list stays in memory."""


def page(raw: bytes, asked: Asked, *, partial: bool = False, kept: Kept = lambda head, raw: (head, raw)) -> Page:
    """One page of a list of one kind, every item checked, one after another; `partial` = a list of metadata alone was asked for,
    and may have come."""
    found = _read(raw, _List, asked.verb, deep=False)
    if partial and found.kind == f"{PARTIAL}List":
        heads = (_partial(bytes(item), asked) for item in found.items or ())  # of no objects: null (1.36)
        items = [kept(one, b"") for one in heads]
    else:
        _same_list(found, asked)
        if found.items is None:
            raise broken(asked.verb, "items is missing or of another type")
        items = [kept(head(body, asked, listed=True), body) for body in map(bytes, found.items)]
    return Page(items, found.metadata.resource_version, found.metadata.continue_ or "")


def _partial(raw: bytes, asked: Asked) -> Head:
    resource = Resource("meta.k8s.io", "v1", PARTIAL, asked.resource.plural, asked.resource.namespaced)
    found = head(raw, Asked(asked.verb, resource, asked.namespace))
    ref = ObjectRef(asked.resource.group, asked.resource.kind, found.ref.namespace, found.ref.name)
    return msgspec.structs.replace(found, ref=ref)


def _same_list(found: _List, asked: Asked) -> None:
    """A definition may name its lists as it likes; what Kubernetes serves itself is named KIND + List."""
    resource = asked.resource
    own = "." in resource.group and not resource.group.endswith("k8s.io")
    fits = found.kind.endswith("List") if own else found.kind == f"{resource.kind}List"
    if not fits or found.api_version != resource.api_version:
        raise broken(asked.verb, f"it is no list of {resource.kind}")


# Lines of a watch


class _Line(msgspec.Struct):
    type: str
    object: msgspec.Raw


class _Marked(msgspec.Struct):
    metadata: _ListMeta


def event(line: bytes, asked: Asked, *, partial: bool = False) -> Event:
    """One line of a watch, `partial` as in `page`. Raises what an ERROR says (RELIST for 410), and TRANSIENT for what is no line."""
    found = _read(line, _Line, asked.verb)
    raw = bytes(found.object)
    match found.type:
        case "ADDED" | "MODIFIED" | "DELETED":
            if partial and _read(raw, _Outcome, asked.verb).kind == PARTIAL:
                seen, raw = _partial(raw, asked), b""
            else:
                seen = head(raw, asked)
            return Event(found.type, seen.version, seen, raw)
        case "BOOKMARK":
            return Event(found.type, _read(raw, _Marked, asked.verb).metadata.resource_version, None, b"")
        case "ERROR":
            raise classify(parse(raw).code or 500, raw, asked.verb)
    raise broken(asked.verb, "a line of the watch is of no known type")


# Other answers


class _Outcome(msgspec.Struct):
    kind: str = ""
    status: Any = None


def deletion(raw: bytes, asked: Asked) -> Object | None:
    """The object a DELETE answered with while it stays until its finalizers or its dependents are done; None when it is gone."""
    told = _read(raw, _Outcome, asked.verb)
    if told.kind == "Status" and told.status == "Success":
        return None
    answer = decoded(raw, asked)
    meta = answer["metadata"]
    return answer if meta.get("deletionTimestamp") and _has_more_to_do(answer, meta) else None


def _has_more_to_do(answer: Object, meta: Mapping[str, Any]) -> bool:
    graceful = meta.get("deletionGracePeriodSeconds") not in (None, 0)
    spec = answer.get("spec")
    held = answer.get("kind") == "Namespace" and isinstance(spec, Mapping) and bool(spec.get("finalizers"))
    return bool(meta.get("finalizers")) or graceful or held


class _Served(msgspec.Struct, rename="camel"):
    git_version: str


def version(raw: bytes) -> str:
    """The gitVersion in an answer of /version, such as v1.36.3."""
    found = _read(raw, _Served, "get").git_version
    if not _VERSION.fullmatch(found):
        raise broken("get", "gitVersion is no version of Kubernetes")
    return found


# Parts


def _read(raw: bytes, shape: type[_T], verb: str, *, deep: bool = True) -> _T:
    if deep and not is_an_objects(raw):
        raise broken(verb, "it is larger than any object")
    if deep and not is_shallow(raw):
        raise broken(verb, f"it is deeper than {DEPTH} levels")
    try:
        return decoding.decoded(raw, shape)
    except msgspec.ValidationError as error:
        raise broken(verb, _where(error)) from None
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise broken(verb, "it is no JSON") from None
    except RecursionError:
        raise broken(verb, "it is too deep") from None


def _where(error: msgspec.ValidationError) -> str:
    """The path of the wrong field, as `msgspec` names it. It contains no keys of maps, so nothing of the answer."""
    _, found, path = str(error).rpartition(" - at `$")
    return f"{path.rstrip('`').lstrip('.') or 'it'} is missing or of another type" if found else "it lacks a field"


def _same_kind(thing: _Thing, asked: Asked, listed: bool) -> None:
    wanted = (asked.resource.api_version, asked.resource.kind)
    told = (thing.api_version, thing.kind)
    if told != wanted and not (listed and told == ("", "")):
        raise broken(asked.verb, f"it is no {asked.resource.kind} of {asked.resource.api_version}")


def _placed(namespace: str, asked: Asked) -> bool:
    if not asked.resource.namespaced:
        return not namespace
    return namespace == asked.namespace if asked.namespace else re.match(_NAME, namespace) is not None
