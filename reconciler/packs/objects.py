"""From documents to the objects of a layer: lists are flattened, every object has a name, and none occurs twice."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from reconciler.errors import Stalled
from reconciler.plan import kinds
from reconciler.spec import encrypted, manifests
from reconciler.spec.manifests import GENERATED, OWNED

_ENCRYPTED = "what is encrypted is read from files of a pack `manifests` and from valuesFiles"
Sourced = tuple[str, Any]
"""Where a document comes from (a file, or a place in the pack), and the document."""


def collect(documents: Iterable[Sourced], namespace: str) -> list[dict[str, Any]]:
    """The objects of one layer in the order they were given; one that names no namespace counts as in `namespace`.

    Raises Stalled: ObjectInvalid for what is no Kubernetes object, ObjectClaimedTwice naming both places.
    """
    claimed: dict[tuple[str, str, str, str], str] = {}
    objects = []
    for source, document in documents:
        for found in _flat(source, document):
            key = _identity(found, namespace)
            if key in claimed:
                raise _twice(found, claimed[key], source)
            claimed[key] = source
            objects.append(found)
    return objects


def without(objects: list[dict[str, Any]], left_out: Iterable[Mapping[str, str]]) -> list[dict[str, Any]]:
    """The objects but those that the pack's `exclude` names (kind, name, and group and namespace where they are not "").

    Raises Stalled: RenderFailed for an entry that no object answers to, because its object would come with a later version unseen, and
    for one that several answer to.
    """
    for one in left_out:
        met = [found for found in objects if _named(found, one)]
        if len(met) != 1:
            raise _unclear(one, len(met))
        objects = [found for found in objects if found is not met[0]]
    return objects


def _unclear(one: Mapping[str, str], count: int) -> Stalled:
    called = f"{'.'.join(filter(None, (one['kind'], one['group'])))} {one['name']}"
    place = f" in namespace {one['namespace']}" if one["namespace"] else ""
    many = f"{count} objects are {called}{place}"
    message = many if count else f"the pack has no {called}{place}"
    hint = (
        "say which: its group and its namespace"
        if count
        else "take the entry out of `exclude`; `nidus render` shows the objects"
    )
    return Stalled(f"exclude: {message}", reason="RenderFailed", hint=hint)


def _named(found: Mapping[str, Any], one: Mapping[str, str]) -> bool:
    metadata = found["metadata"]
    named = (found["kind"], metadata["name"]) == (one["kind"], one["name"])
    group = found["apiVersion"].rpartition("/")[0]
    return named and one["namespace"] in ("", metadata.get("namespace")) and one["group"] in ("", group)


def _identity(found: dict[str, Any], namespace: str) -> tuple[str, str, str, str]:
    """Group, kind, namespace and name, whatever the version."""
    metadata = found["metadata"]
    kind = found["apiVersion"].rpartition("/")[0], found["kind"]
    return (*kind, kinds.home(kind, metadata.get("namespace", ""), namespace), metadata["name"])


def _flat(source: str, document: Any) -> Iterator[dict[str, Any]]:
    """Kinds named ...List with `items` are what `kubectl get -o yaml` prints, not objects."""
    if isinstance(document, dict) and str(document.get("kind", "")).endswith("List") and "items" in document:
        for item in document["items"] or []:
            yield from _flat(source, item)
    else:
        yield _sane(source, document)


def _sane(source: str, document: Any) -> dict[str, Any]:
    if not isinstance(document, dict):
        raise _invalid(source, "is not an object")
    for key in ("apiVersion", "kind"):
        if not isinstance(document.get(key), str) or not document[key]:
            raise _invalid(source, f"has no {key}")
    if encrypted.is_encrypted(document):
        raise _invalid(source, "is encrypted with SOPS", _ENCRYPTED)
    metadata = document.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    if not isinstance(metadata, dict) or not isinstance(name, str) or not name:
        generated = isinstance(metadata, dict) and "generateName" in metadata
        raise _invalid(source, f"{document['kind']} has no metadata.name", GENERATED if generated else "")
    if metadata.get("ownerReferences"):
        raise _invalid(source, f"{document['kind']} {name}: {OWNED[0]}", OWNED[1])
    if not isinstance(metadata.get("namespace", ""), str):
        raise _invalid(source, f"{document['kind']} {name}: metadata.namespace is not text")
    for _, message in manifests.misshapen(document):
        raise _invalid(source, f"{document['kind']} {name}: {message}")
    return {**document, "metadata": _lean(metadata)}


def _lean(metadata: dict[str, Any]) -> dict[str, Any]:
    """Empty labels and annotations mean none; as empty maps they would differ from what the server stores."""
    return {key: value for key, value in metadata.items() if value != {}}


def _invalid(source: str, what: str, hint: str = "") -> Stalled:
    return Stalled(f"{source}: {what}", reason="ObjectInvalid", hint=hint)


def _twice(found: dict[str, Any], first: str, second: str) -> Stalled:
    group, kind, namespace, name = _identity(found, found["metadata"].get("namespace", ""))
    places = f"in {first} and in {second}" if first != second else f"twice in {first}"
    hint = kinds.shared(kind) if found["metadata"].get("namespace") and not namespace else ""
    return Stalled(
        f"{'.'.join(filter(None, (kind, group)))} {name} is {places}", reason="ObjectClaimedTwice", hint=hint
    )
