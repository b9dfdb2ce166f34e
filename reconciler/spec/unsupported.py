"""Fields of the designed format whose behaviour is not built yet. They are not in the schemas; using one gets its own message."""

from typing import Final

_CLUSTER = ("spec/sharedServices",)
_CONFIG = (
    "spec/charts",
    "spec/policy/clusterScoped",
)
FIELDS: Final[dict[str, frozenset[str]]] = {
    "NestedCluster": frozenset(_CLUSTER),
    "ClusterProfile": frozenset(),
    "ControllerConfig": frozenset(_CONFIG),
}
VALUES: Final[dict[str, dict[str, frozenset[str]]]] = {
    "NestedCluster": {
        "spec/backup/location/type": frozenset({"oci", "azure"}),
    },
    "ClusterProfile": {},
    "ControllerConfig": {},
}


def shape(path: tuple[str | int, ...]) -> str:
    """A path with its list positions as `*`, the form of the tables above."""
    return "/".join("*" if isinstance(part, int) else part for part in path)


def field(kind: str, path: tuple[str | int, ...]) -> bool:
    """Whether this is a designed field that is not built yet."""
    return shape(path) in FIELDS.get(kind, frozenset())


def value(kind: str, path: tuple[str | int, ...], given: object) -> bool:
    """Whether this is a designed value, of a field that exists, that is not built yet."""
    return isinstance(given, str) and given in VALUES.get(kind, {}).get(shape(path), frozenset())
