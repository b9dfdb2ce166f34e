"""Checks a kubeconfig before the official client reads it: that client crashes on a malformed one, and goes on as nobody
where an exec plugin is missing or fails."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from msgspec import Struct

from reconciler.errors import UsageError, one_line

LARGEST = 16 << 20  # bytes of one file; nobody's is larger
_CREDENTIALS = (
    "token",
    "tokenFile",
    "username",
    "client-certificate",
    "client-certificate-data",
    "client-key",
    "client-key-data",
    "exec",
    "auth-provider",
)
_SHOWN = 12  # contexts that one message lists
_HINT = "kubectl config view shows what kubectl reads"
_WHERE = "export KUBECONFIG=FILE, or --kubeconfig FILE; nidus demo and nidus host up print the line for theirs"
USUAL = "kubectl's default"  # what names a file where neither a flag nor a variable does


class User(Struct, frozen=True):
    """Who a context connects as, and the file that says so. `promised`: it names credentials of some kind."""

    name: str
    file: str
    told: Mapping[str, Any]

    @property
    def promised(self) -> bool:
        return any(self.told.get(name) for name in _CREDENTIALS)


def user(files: str, context: str, named_by: str) -> User | None:
    """The user of `context` ("": the current one) in these files, separated as PATH is; None where the client says better
    what is missing. `named_by`: the flag or variable that names them, or USUAL. Raises UsageError where a file cannot be read, or
    the user's exec plugin is not there."""
    places = [place for place in files.split(os.pathsep) if place]
    there = [(place, _read(place, named_by)) for place in places if Path(place).expanduser().exists()]
    if not there:
        raise UsageError(_absent(places, named_by), hint=_WHERE)
    chosen = context or next((str(body["current-context"]) for _, body in there if body.get("current-context")), "")
    named = _first(there, "contexts", "context", chosen)
    if context and named is None:
        known = sorted({str(one["name"]) for _, body in there for one in body.get("contexts") or ()})
        hint = f"there are: {', '.join(known[:_SHOWN]) or 'none'}"
        raise UsageError(f"no context {context} in {files}, which {named_by} names", hint=hint)
    found = _first(there, "users", "user", str(named[1].get("user", ""))) if named else None
    if named is None or found is None:
        return None
    one = User(str(named[1].get("user", "")), *found)
    _check_plugin(one)
    return one


def _absent(places: list[str], named_by: str) -> str:
    if named_by == USUAL:
        return f"no kubeconfig: KUBECONFIG is not set, and {' and '.join(places)} is not there"
    return f"{named_by} names {' and '.join(places) or 'no file'}, which is not there"


def _read(place: str, named_by: str) -> Mapping[str, Any]:
    """One file, with the shape that the client takes for granted."""
    told = f"{place}, which {named_by} names,"
    try:
        with Path(place).expanduser().open("rb") as file:
            data = file.read(LARGEST + 1)
        if len(data) > LARGEST:
            raise UsageError(f"{told} is no kubeconfig: it is larger than {LARGEST >> 20} MiB", hint=_HINT)
        body = yaml.load(data, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except OSError as error:
        raise UsageError(f"{told} cannot be read: {error.strerror or 'unreadable'}", hint=_HINT) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise UsageError(f"{told} is no kubeconfig: not YAML{line}", hint=_HINT) from None
    if not isinstance(body, dict):
        raise UsageError(f"{told} is no kubeconfig: it is no mapping", hint=_HINT)
    for section, inner in (("clusters", "cluster"), ("contexts", "context"), ("users", "user")):
        _check_section(body, section, inner, told)
    return body


def _check_section(body: Mapping[str, Any], section: str, inner: str, told: str) -> None:
    listed = body.get(section) or []
    sound = isinstance(listed, list) and all(
        isinstance(one, dict) and isinstance(one.get("name"), str) and isinstance(one.get(inner) or {}, dict)
        for one in listed
    )
    if not sound:
        raise UsageError(f"{told} is no kubeconfig: {section} is no list of names, each with a {inner}", hint=_HINT)


def _first(
    there: list[tuple[str, Mapping[str, Any]]], section: str, inner: str, name: str
) -> tuple[str, Mapping[str, Any]] | None:
    """The first file with an item of this name, and the item: the first wins, as for kubectl."""
    found = ((place, one) for place, body in there for one in body.get(section) or () if one["name"] == name)
    return next(((place, one.get(inner) or {}) for place, one in found), None)


def _check_plugin(one: User) -> None:
    plugin = one.told.get("exec")
    if not plugin:
        return
    from shutil import which  # brings compressors: most kubeconfigs name no plugin

    command = str(plugin.get("command", "")) if isinstance(plugin, dict) else ""
    beside = Path(one.file).expanduser().parent / command if os.sep in command else None
    if not command or which(str(beside) if beside else command) is None:
        hint = one_line(plugin.get("installHint"), 300) if isinstance(plugin, dict) else ""
        message = f"the exec plugin {command or 'without a command'} of user {one.name} in {one.file} is not there"
        raise UsageError(message, hint=hint or "install it, or put it on the PATH")
