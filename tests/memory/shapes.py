"""Types as server-side apply knows them (structured-merge-diff `schema`): scalars, lists and maps, read from facts or from a CRD."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Json = Any


@dataclass(slots=True)
class List:
    """`form` is atomic, set or map; `keys` are those of a map, `defaults` their values where an item leaves them out."""

    form: str
    item: "Type"
    keys: tuple[str, ...] = ()


@dataclass(slots=True)
class Map:
    """A struct (`fields`), a map (`other`), or both; `other` None = no other names are allowed.

    `given`: what is written where nothing was given. `name`: that of a type of Kubernetes itself, without its package.
    """

    fields: dict[str, "Type"] = field(default_factory=dict)
    other: "Type | None" = None
    atomic: bool = False
    given: dict[str, Json] = field(default_factory=dict)
    name: str = ""


@dataclass(slots=True)
class Type:
    """What a value may be. `scalar` is s, n, b, u or "" for none."""

    scalar: str = ""
    list: List | None = None
    map: Map | None = None


UNTYPED = Type("u")
UNTYPED.list, UNTYPED.map = List("atomic", UNTYPED), Map(other=UNTYPED, atomic=True)
DEDUCED = Type("u")
DEDUCED.list, DEDUCED.map = List("atomic", UNTYPED), Map(other=DEDUCED)
_FIXED = {"?": UNTYPED, "*": DEDUCED} | {one: Type(one) for one in "snbu"}


class Library:
    """Named types of the facts, made when they are first asked for."""

    def __init__(self, types: Mapping[str, Json]) -> None:
        self._facts = types
        self._made: dict[str, Type] = {}

    def named(self, name: str) -> Type:
        """Return the type of this name."""
        if name not in self._made:
            self._made[name] = Type()
            made = self._type(self._facts[name])
            if made.map is not None:
                made.map.name = name.rpartition(".")[2]
            shell = self._made[name]
            shell.scalar, shell.list, shell.map = made.scalar, made.list, made.map
        return self._made[name]

    def _type(self, fact: Json) -> Type:
        if isinstance(fact, dict):
            return Type(map=self._map(fact))
        if isinstance(fact, list):
            return Type(list=self._list(fact))
        if not fact.startswith("@"):
            return _FIXED[fact]
        named = self.named(fact[1:].rstrip("!"))
        return _whole(named) if fact.endswith("!") else named

    def _map(self, fact: Mapping[str, Json]) -> Map:
        fields = {name: self._type(one) for name, one in fact.items() if name not in ("", "!", "=")}
        return Map(fields, self._type(fact[""]) if "" in fact else None, "!" in fact, fact.get("=", {}))

    def _list(self, fact: list[Json]) -> List:
        return List(fact[0], self._type(fact[1]), tuple(fact[2:]))


def _whole(named: Type) -> Type:
    made = named.map
    return Type(map=Map(made.fields, made.other, True, made.given, made.name)) if made else named


# CRDs


def structural(schema: Mapping[str, Json], open_: bool = False) -> Type:
    """The type of a CRD's structural schema; `open_`: fields that it does not name are kept (x-kubernetes-preserve-unknown-fields)."""
    open_ = open_ or bool(schema.get("x-kubernetes-preserve-unknown-fields"))
    if schema.get("x-kubernetes-int-or-string"):
        return _FIXED["u"]
    match schema.get("type", ""):
        case "object":
            return Type(map=_struct(schema, open_))
        case "array":
            return Type(list=_items(schema, open_))
        case "string":
            return _FIXED["u" if schema.get("format", "") not in ("", "byte") else "s"]
        case "integer" | "number":
            return _FIXED["n"]
        case "boolean":
            return _FIXED["b"]
        case _:
            return Type("u", _items(schema, open_), _struct(schema, open_))


def _struct(schema: Mapping[str, Json], open_: bool) -> Map:
    fields = {name: structural(one, open_) for name, one in schema.get("properties", {}).items()}
    more = schema.get("additionalProperties")
    other = structural(more, open_) if isinstance(more, Mapping) else None
    if other is None and (more is True or (more is None and (open_ or not fields))):
        other = DEDUCED
    given = {name: one["default"] for name, one in schema.get("properties", {}).items() if "default" in one}
    return Map(fields, other, schema.get("x-kubernetes-map-type") == "atomic", given)


def _items(schema: Mapping[str, Json], open_: bool) -> List:
    item = structural(schema["items"], open_) if "items" in schema else UNTYPED
    return List(
        schema.get("x-kubernetes-list-type", "atomic"), item, tuple(schema.get("x-kubernetes-list-map-keys", ()))
    )
