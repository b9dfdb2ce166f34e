"""Reads a YAML file that a pack names: its digest, objects, `${{ }}` references and mistakes."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from msgspec import Struct, field

from reconciler.model import Limits, Violation
from reconciler.plan import secretdata, sensitive
from reconciler.spec import encrypted, fieldnames, literals, marks, slips, variables, yaml
from reconciler.spec.codes import Code
from reconciler.spec.entries import capped, digest
from reconciler.spec.explain import pointer
from reconciler.spec.scalars import EXACT, OBJECTS

Claim = tuple[str, str, str, str]
Mistake = tuple[tuple[str | int, ...], Code, str, str]
_POD_SECURITY = "pod-security.kubernetes.io/"


class Facts(Struct, frozen=True):
    """One file in one use. `claims`: (group, kind, namespace or "", name) -> line; `references`: (name, line, column).
    `warnings`: what is probably wrong, and stops nothing."""

    oid: str
    digest: str
    claims: Mapping[Claim, int] = field(default_factory=dict)
    references: tuple[tuple[str, int, int], ...] = ()
    violations: tuple[Violation, ...] = ()
    warnings: tuple[Violation, ...] = ()


def read(path: str, oid: str, data: bytes, limits: Limits, *, objects: bool) -> Facts:
    """Reads one file as Kubernetes objects, or (not `objects`) as a mapping of chart values."""
    parsed = yaml.parse(data, path, limits, largest=OBJECTS if objects else EXACT)
    if parsed.violations:
        return Facts(oid, oid, violations=parsed.violations)
    bodies = [document.body for document in parsed.documents]
    found = [
        (index, one) for index, body in enumerate(bodies) for one in (mistakes(body) if objects else _values(body))
    ]
    found += [(index, one) for index, body in enumerate(bodies) for one in encrypted.mistakes(body, objects)]
    named = [(index, one) for index, body in enumerate(bodies) for one in variables.references(body)]
    doubts = list(islice(_doubted(bodies), fieldnames.TOLD)) if objects else []
    places = marks.read(data) if found or named or doubts else []
    told = (
        Violation(path, *marks.find(places[index], pointer(where)), code, message, pointer(where), hint)
        for index, (where, code, message, hint) in found
    )
    violations = capped(literals.standing(told, data))
    references = tuple((name, *marks.find(places[index], pointer(where))) for index, (where, name) in named)
    warnings = tuple(
        Violation(path, *marks.find(places[index], pointer(where), key=True), code, message, pointer(where), hint)
        for index, (where, code, message, hint) in doubts
    )
    warnings += slips.quoted(path, data) + (slips.templates(path, data) if objects else ())
    return Facts(oid, digest(bodies), _claimed(parsed) if objects else {}, references, violations, warnings)


def _doubted(bodies: Iterable[Any]) -> Iterator[tuple[int, Mistake]]:
    return ((index, one) for index, body in enumerate(bodies) for one in doubts(body))


def _claimed(parsed: yaml.Parsed) -> dict[Claim, int]:
    return {claim: document.line for document in parsed.documents for claim in claims(document.body)}


def mistakes(body: Any, *, sealed: bool = False) -> Iterator[Mistake]:
    """Mistakes of one object or a list: content that must not be in a repository. `sealed`: it was in an encrypted document, and has lost
    the block that says so."""
    sealed = sealed or encrypted.is_encrypted(body)
    for path, one in _objects(body):
        yield from ((path + where, code, message, hint) for where, code, message, hint in _object(one, sealed))


def doubts(body: Any) -> Iterator[Mistake]:
    """What is probably a mistake of one object or a list: the version of Kubernetes it is for may judge otherwise."""
    for path, one in _objects(encrypted.bare(body)):
        for where, message, hint in fieldnames.unknown(one):
            yield (*path, *where), Code.NO_SUCH_FIELD, f"{_called(one)}: {message}", hint


def _called(body: Mapping[str, Any]) -> str:
    """An object as people name it."""
    meta = body.get("metadata")
    name = meta.get("name") if isinstance(meta, Mapping) else ""
    return f"{body['kind']} {str(name or '')[:100]}".rstrip()


def claims(body: Any) -> Iterator[Claim]:
    """The identities of the objects in a document, as far as they contain no reference."""
    for _, one in _objects(body):
        if not _sound(one):
            continue
        meta = one["metadata"]
        group, slash, _ = one["apiVersion"].rpartition("/")
        parts = (group if slash else "", one["kind"], str(meta.get("namespace", "")), meta["name"])
        if not any("${{" in part for part in parts):
            yield parts


def _values(body: Mapping[str, Any]) -> Iterator[Mistake]:
    if not isinstance(body, dict) or "" in body:
        yield (), Code.FILE_KIND, "values are a mapping", ""


def _objects(body: Any) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """The objects of a document: itself, or the items of a List, which may be lists again, as a render flattens them."""
    if secretdata.listed(body):
        for index, item in enumerate(body["items"]):
            yield from ((("items", index, *path), one) for path, one in _objects(item))
    else:
        yield (), body


def _sound(body: Any) -> bool:
    if not isinstance(body, Mapping) or not isinstance(body.get("metadata"), Mapping):
        return False
    texts = (body.get("apiVersion"), body.get("kind"), body["metadata"].get("name"))
    return all(isinstance(text, str) and text for text in texts)


def _object(body: Any, sealed: bool) -> Iterator[Mistake]:
    if not _sound(body):
        yield _unsound(body)
        return
    if body["metadata"].get("ownerReferences"):
        yield ("metadata", "ownerReferences"), Code.OWNED, *OWNED
    for where, message in misshapen(body):
        if "${{" not in str(_at(body, where)):  # what a variable gives is judged when it is filled in
            yield where, Code.NOT_AN_OBJECT, message, "the server would refuse it"
    if body["kind"] == "Secret" and body["apiVersion"] == "v1":
        for name in ("data", "stringData"):
            if _literal(body.get(name), sealed):
                yield (name,), Code.SECRET_DATA, f"a Secret with literal {name}", KEEP_OUT
    labels = body["metadata"].get("labels")
    if body["kind"] == "Namespace" and isinstance(labels, Mapping):
        yield from (
            (
                ("metadata", "labels", label),
                Code.POD_SECURITY_LABEL,
                f"{label} belongs to the engine",
                POD_SECURITY_HINT,
            )
            for label in owned_labels(labels)
        )


def has_literal_data(body: Any) -> bool:
    """Whether a document, as it is written, has literal data of a Secret and no reference that hides more."""
    found = [one for _, one in _objects(body)]
    judged = any(code == Code.SECRET_DATA for _, code, _, _ in mistakes(body))
    return judged and not any(variables.references(found))


def _literal(values: Any, sealed: bool) -> bool:
    """Whether data of a Secret holds more than references and, in a `sealed` document, encrypted values; SOPS leaves empty ones."""
    given = list(values.values()) if isinstance(values, Mapping) else [values]
    return bool(values) and not all(
        _refers(one) or (sealed and (one == "" or encrypted.is_value(one))) for one in given
    )


def _refers(value: Any) -> bool:
    return isinstance(value, str) and ("${{" in value or sensitive.OPEN in value)


def misshapen(body: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
    """(where, message) of what has another type than Kubernetes takes: in metadata, and in the data of a Secret."""
    metadata = body["metadata"]
    for name in ("labels", "annotations"):
        given = metadata.get(name) or {}
        if not isinstance(given, Mapping):
            yield ("metadata", name), f"metadata.{name} is not a mapping"
            continue
        yield from (
            (("metadata", name, key), f"metadata.{name}: the value of {key} is not text; put it in quotes")
            for key, value in given.items()
            if not isinstance(value, str | None)
        )
    for name in ("finalizers", "ownerReferences"):
        if not isinstance(metadata.get(name) or [], list):
            yield ("metadata", name), f"metadata.{name} is not a list"
    if body["kind"] == "Secret" and body["apiVersion"] == "v1":
        wrong = (name for name in ("data", "stringData") if not isinstance(body.get(name) or {}, Mapping))
        yield from (((name,), f"{name} is not a mapping") for name in wrong)


def _at(body: Any, where: Iterable[str]) -> Any:
    for name in where:
        body = body[name]
    return body


def _unsound(body: Any) -> Mistake:
    """What is missing of a Kubernetes object."""
    if body in ({}, [], None):
        return (), Code.NOT_AN_OBJECT, "an empty document ({})", "remove it, or leave a comment only"
    meta = body.get("metadata") if isinstance(body, Mapping) else None
    if isinstance(meta, Mapping) and "generateName" in meta and not meta.get("name"):
        return ("metadata", "generateName"), Code.NOT_AN_OBJECT, f"{str(body.get('kind'))[:60]} has no name", GENERATED
    needed = ("apiVersion", "kind") if isinstance(body, Mapping) else ()
    absent = [name for name in needed if not (isinstance(body.get(name), str) and body[name])]
    if not isinstance(meta, Mapping) or not meta.get("name"):
        absent.append("metadata.name")
    message = "not a Kubernetes object: apiVersion, kind and metadata.name are needed"
    return (), Code.NOT_AN_OBJECT, message, f"add {' and '.join(absent)}" if absent else ""


GENERATED = "write metadata.name: an object with generateName would be made again on every sync"
OWNED = (
    "an object that belongs to another one: ownerReferences name a UID of the cluster it was exported from",
    "remove ownerReferences; the object would be deleted as soon as it is made",
)
KEEP_OUT = "keep secrets out of the repository; `# nidus: allow-literal` at the end of the line says that it is none"
POD_SECURITY_HINT = "set isolation.podSecurity of the cluster"


def owned_labels(labels: Mapping[str, Any]) -> list[str]:
    """Labels of a nested namespace that the engine owns."""
    return [label for label in labels if label.startswith(_POD_SECURITY)]
