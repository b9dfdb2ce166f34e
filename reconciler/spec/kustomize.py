"""The files of a kustomization, found by reading it: what is not in the repository is refused before anything is built (K5)."""

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from reconciler.model import Limits
from reconciler.spec import files, yaml

NAMES = ("kustomization.yaml", "kustomization.yml")
_LARGEST = 256 << 10  # bytes of one kustomization: what was read of the last ones is kept
_MANY = 100  # kustomizations that one pack may lead to
_EITHER = ("resources", "bases", "components")  # files, or folders with a kustomization
_FILES = ("crds", "configurations", "patchesStrategicMerge")
_PATHS = ("patches", "patchesJson6902", "replacements")  # items with a `path`
_PLAIN = frozenset(
    {
        "apiVersion", "kind", "metadata", "namespace", "namePrefix", "nameSuffix", "labels", "commonLabels", "commonAnnotations",
        "images", "replicas", "vars", "generatorOptions", "sortOptions", "buildMetadata", "openapi", "configMapGenerator",
        *_EITHER, *_FILES, *_PATHS,
    }
)  # fmt: skip
_ITEM = {
    "patches": frozenset({"path", "patch", "target", "options"}),
    "patchesJson6902": frozenset({"path", "patch", "target", "options"}),
    "replacements": frozenset({"path", "source", "targets"}),
    "openapi": frozenset({"path", "version"}),
    "configMapGenerator": frozenset(
        {"name", "namespace", "behavior", "options", "literals", "files", "envs", "env"}
    ),
}  # fmt: skip
"""The fields of an item that may name a file, as they are spelt here: the program itself takes them in any case of letters."""
_REFUSED = {
    **dict.fromkeys(("generators", "transformers", "validators"), "plugins are not run: write what they do as patches"),
    **dict.fromkeys(
        ("helmCharts", "helmGlobals", "helmChartInflationGenerator"), "write a pack of kind helm for the chart"
    ),
    "secretGenerator": "keep secrets out of the repository",
}
_COMMIT = (
    "commit it, and name its folder; what lies here and only looks so is written with ./ before it, and without : and ?"
)

Mistake = tuple[str, str]
"""What is wrong, with the file, and what to write instead."""


class Refused(Exception):
    """What keeps a kustomization from being built."""

    def __init__(self, told: str, hint: str = "") -> None:
        super().__init__(told)
        self.mistake: Mistake = (told, hint)


class Tree:
    """The files of a repository: every path, sorted, and the bytes of a YAML file that lies in no chart."""

    def __init__(self, ordered: list[str], paths: Mapping[str, str], data: Callable[[str], bytes | None]) -> None:
        self.ordered, self.paths, self.data = ordered, paths, data

    def folder(self, path: str) -> bool:
        return bool(files.under(path, self.ordered))

    def kustomization(self, folder: str) -> str:
        """The file that makes a folder a kustomization. Raises Refused."""
        found = [name for name in (f"{folder}/{one}".lstrip("/") for one in NAMES) if name in self.paths]
        if len(found) != 1:
            told = "more than one kustomization" if found else f"no {NAMES[0]}"
            raise Refused(f"{folder or '.'} has {told}", f"name its file {NAMES[0]}")
        return found[0]


def read(folder: str, tree: Tree, limits: Limits) -> list[str]:
    """The paths of every file that building the folder needs, sorted. Raises Refused."""
    found: dict[str, None] = {}
    left, seen = [folder], {folder}
    while left:
        place = tree.kustomization(left.pop())
        found[place] = None
        for path, may_be_folder in _named(place, _body(place, tree, limits)):
            target = _target(place, path)
            if target in tree.paths:
                found[target] = None
            elif may_be_folder and tree.folder(target):
                left += [target] if target not in seen else []
                seen.add(target)
            else:
                raise Refused(f"{place}: {path[:100]} is not there", "paths are relative to the kustomization")
        if len(seen) > _MANY:
            raise Refused(f"{place}: leads to more than {_MANY} folders")
    return sorted(found)


def _body(place: str, tree: Tree, limits: Limits) -> Mapping[str, Any]:
    data = tree.data(place)
    if data is None:
        raise Refused(f"{place} lies in a chart", "move it out of the chart's folder")
    if len(data) > _LARGEST:
        raise Refused(f"{place}: larger than {_LARGEST >> 10} KiB", "write patches and resources as files of their own")
    body = _parsed(data, place, limits)
    if isinstance(body, Refused):
        raise body
    return body


@functools.lru_cache(maxsize=128)
def _parsed(data: bytes, place: str, limits: Limits) -> Mapping[str, Any] | Refused:
    parsed = yaml.parse(data, place, limits)
    if parsed.violations:
        one = parsed.violations[0]
        return Refused(f"{place}:{one.line}:{one.column}: {one.message}", one.hint)
    if len(parsed.documents) != 1 or not isinstance(parsed.documents[0].body, Mapping):
        return Refused(f"{place}: one mapping is expected")
    body = parsed.documents[0].body
    for name in body:
        if name in _REFUSED:
            return Refused(f"{place}: {name} is not used here", _REFUSED[name])
        if name not in _PLAIN:
            return Refused(f"{place}: unknown field {str(name)[:60]}")
    return body


def _named(place: str, body: Mapping[str, Any]) -> Iterator[tuple[str, bool]]:
    """Every path that a kustomization names, and whether it may be a folder. Raises Refused for what has another form."""
    for name in _EITHER:
        yield from ((_text(place, name, one), True) for one in _list(place, name, body))
    for name in _FILES:
        texts = (_text(place, name, one) for one in _list(place, name, body))
        written_out = name == "patchesStrategicMerge"  # a patch may be
        yield from ((one, False) for one in texts if not (written_out and "\n" in one))
    for name in _PATHS:
        items = (_map(place, name, one) for one in _list(place, name, body))
        yield from ((_text(place, name, one["path"]), False) for one in items if one.get("path"))
    if body.get("openapi"):
        yield _text(place, "openapi", _map(place, "openapi", body["openapi"]).get("path")), False
    for one in _list(place, "configMapGenerator", body):
        yield from ((path, False) for path in _generated(place, _map(place, "configMapGenerator", one)))


def _generated(place: str, one: Mapping[str, Any]) -> Iterator[str]:
    name = "configMapGenerator"
    for item in _list(place, "files", one):
        text = _text(place, name, item)
        yield text.partition("=")[2] or text
    yield from (_text(place, name, item) for item in _list(place, "envs", one))
    if one.get("env"):
        yield _text(place, name, one["env"])


def _target(place: str, path: str) -> str:
    """The path in the tree; what the program would fetch is refused before the tree is looked at."""
    if files.remote(path):
        raise Refused(f"{place}: {path[:100]} is remote, and nothing is fetched", _COMMIT)
    try:
        return files.beside(place, path)
    except files.NoPath as error:
        raise Refused(f"{place}: {path[:100]}: {error}", error.hint) from None


def _list(place: str, name: str, body: Mapping[str, Any]) -> list[Any]:
    found = body.get(name)
    if not isinstance(found, list | None):
        raise Refused(f"{place}: {name} is a list")
    return found or []


def _map(place: str, name: str, one: Any) -> Mapping[str, Any]:
    if not isinstance(one, Mapping):
        raise Refused(f"{place}: an item of {name} is a mapping")
    for field in one:
        if field not in _ITEM[name]:
            raise Refused(
                f"{place}: unknown field {str(field)[:60]} in {name}", f"known are {', '.join(sorted(_ITEM[name]))}"
            )
    return one


def _text(place: str, name: str, one: Any) -> str:
    if not isinstance(one, str) or not one:
        raise Refused(f"{place}: an item of {name} is a path")
    return one
