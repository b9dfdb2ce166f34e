"""What of a document is the data of a Secret, and what anybody may be shown. A document is an object, or a List of them, which may be lists
again, as a render flattens them. Pure."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

DATA = frozenset({"data", "stringData"})


def listed(document: Any) -> bool:
    """Whether the document is a List of others (`kubectl get -o yaml` prints such)."""
    is_list = isinstance(document, Mapping) and str(document.get("kind", "")).endswith("List")
    return is_list and isinstance(document.get("items"), list)


def is_secret(document: Any) -> bool:
    return isinstance(document, Mapping) and (document.get("apiVersion"), document.get("kind")) == ("v1", "Secret")


def mapped(document: Any, change: Callable[[Any], Any]) -> Any:
    """A document whose data of Secrets is changed, field by field; everything else stays."""
    if listed(document):
        return {**document, "items": [mapped(one, change) for one in document["items"]]}
    if not is_secret(document):
        return document
    return {key: change(one) if key in DATA else one for key, one in document.items()}


def shown(document: Any) -> Iterator[tuple[str, str]]:
    """(place, text) of all keys and values of a document that are no data of a Secret."""
    if listed(document):
        for one in document["items"]:
            yield from shown(one)
        document = {key: one for key, one in document.items() if key != "items"}
    elif is_secret(document):
        document = {key: one for key, one in document.items() if key not in DATA}
    yield from texts(document)


def texts(value: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """(place, text) of all keys and values below a value."""
    if isinstance(value, Mapping):
        for key, one in value.items():
            yield place, str(key)
            yield from texts(one, f"{place}.{key}".lstrip("."))
    elif isinstance(value, list | tuple):
        for one in value:
            yield from texts(one, f"{place}[]")
    elif value is not None:
        yield place, str(value)
