"""What documents say differently, without rendering anything of them: all that is shown of a change request by somebody who may not
write to the repository (B4)."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from reconciler.model import (
    MISSING,
    Action,
    ClusterDocument,
    Difference,
    FieldChange,
    Plan,
    ProfileDocument,
    Specs,
    replace,
)

Document = ClusterDocument | ProfileDocument
SETTINGS = ("spec.engine.version", "spec.kubernetes.version", "spec.quota")
RENDERED = (
    "spec.engine.",
    "spec.kubernetes.",
    "spec.controlPlane.",
    "spec.expose.",
    "spec.quota.",
    "spec.isolation.",
    "spec.sync.",
    "spec.scheduling.",
    "spec.profiles",
    "spec.namespaces",
    "spec.access.rbac",
    "spec.access.oidc.",
)  # what layers are made of: changes of objects show it
SILENT = ("spec.description",)  # for people; nothing follows from it
QUIET = frozenset({"unchanged", "skip"})  # actions that no reader must know of
FILES = "(files of its packs)"  # the field of a profile whose files changed


def differences(before: Specs, after: Specs) -> tuple[Difference, ...]:
    """The clusters and profiles that differ, by kind and name."""
    clusters = _compared("NestedCluster", before.clusters, after.clusters)
    profiles = _compared("ClusterProfile", _named(before), _named(after))
    return (*clusters, *profiles)


def settings(before: Specs, after: Specs) -> tuple[Difference, ...]:
    """The versions and quotas of clusters that are in both and differ there, by name."""
    found = []
    for one in _compared("NestedCluster", before.clusters, after.clusters):
        if fields := _below(SETTINGS, one.fields):
            found.append(replace(one, fields=fields))
    return tuple(found)


def unseen(before: ClusterDocument | None, after: ClusterDocument | None, plan: Plan | None) -> tuple[FieldChange, ...]:
    """What two documents of a cluster say differently and no object of the plan shows: whatever no layer is made of, and all of it where
    no object changes. Nothing where there is only one document."""
    if before is None or after is None or before.digest == after.digest:
        return ()
    moves = plan is not None and any(one.action not in QUIET for one in plan.changes)
    left_out = (*SILENT, *RENDERED) if moves else SILENT
    return tuple(one for one in _fields(before, after) if not one.path.startswith(left_out) and not _same(one))


def _below(paths: tuple[str, ...], fields: Iterable[FieldChange]) -> tuple[FieldChange, ...]:
    return tuple(one for one in fields if one.path.startswith(paths) and not _same(one))


def _same(field: FieldChange) -> bool:
    """Whether it only is written in another way: what is empty is as if it were left out."""
    return all(value is MISSING or value in (None, "", {}, []) for value in (field.before, field.after))


def _named(specs: Specs) -> dict[str, ProfileDocument]:
    return {f"{name}@{version}": one for (name, version), one in specs.profiles.items()}


def _compared(kind: str, before: Mapping[str, Document], after: Mapping[str, Document]) -> Iterator[Difference]:
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        if old is not None and new is not None and old.digest == new.digest:
            continue
        action: Action = "create" if old is None else "delete" if new is None else "configure"
        there = new or old
        if there is not None:
            fields = tuple(_fields(old, new)) if action == "configure" else ()
            yield Difference(action, kind, name, there.path, there.line, fields)


def _fields(old: Document | None, new: Document | None) -> Iterator[FieldChange]:
    before, after = (dict(_leaves("", _body(one))) for one in (old, new))
    for path in sorted({*before, *after}):
        was, now = before.get(path, MISSING), after.get(path, MISSING)
        if was != now:
            yield FieldChange(path, was, now)
    if isinstance(old, ProfileDocument) and isinstance(new, ProfileDocument) and old.files != new.files:
        yield FieldChange(FILES, "before", "after")


def _body(one: Document | None) -> Any:
    return msgspec.to_builtins(one.cluster if isinstance(one, ClusterDocument) else one.profile if one else {})


def _leaves(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Every value that holds no others, with its path."""
    if isinstance(value, dict) and value:
        for key, child in value.items():
            yield from _leaves(f"{path}.{key}" if path else str(key), child)
    elif isinstance(value, list) and value:
        for index, child in enumerate(value):
            yield from _leaves(f"{path}[{index}]", child)
    else:
        yield path, value
