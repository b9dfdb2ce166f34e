"""Reads kubeconfigs, where kubectl looks for them. Plain credentials are used as they are (`plain`). For all others it is a check
before the official client reads the file: that client crashes on a malformed one, and goes on as nobody where an exec plugin is missing
or fails."""

import base64
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from reconciler.errors import UsageError, one_line
from reconciler.kube.plain import Access

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
_AS = ("as", "as-uid", "as-groups", "as-user-extra")
_SHOWN = 12  # contexts that one message lists
_HINT = "kubectl config view shows what kubectl reads"
_WHERE = "export KUBECONFIG=FILE, or --kubeconfig FILE; nidus demo and nidus host up print the line for theirs"
USUAL = "kubectl's default"  # what names a file where neither a flag nor a variable does
_PLACE = "~/.kube/config"
# What a plain user and its cluster hold at most; none of the rest changes a request.
_OF_USER = {"token", "client-certificate", "client-certificate-data", "client-key", "client-key-data", "extensions"}
_OF_CLUSTER = {
    "server",
    "certificate-authority",
    "certificate-authority-data",
    "insecure-skip-tls-verify",
    "tls-server-name",
    "disable-compression",
    "extensions",
}


class User(Struct, frozen=True):
    """Who a context connects as, and the file that says so. `promised`: it names credentials of some kind."""

    name: str
    file: str
    told: Mapping[str, Any]

    @property
    def promised(self) -> bool:
        return any(self.told.get(name) for name in _CREDENTIALS)


class Chosen(Struct, frozen=True):
    """What a context names: its user and its cluster, with the file that says it; None for what the client says better is missing."""

    user: User | None
    cluster: tuple[str, Mapping[str, Any]] | None


def usual() -> tuple[str, str]:
    """Where kubectl looks, and what names it."""
    told = os.environ.get("KUBECONFIG", "")
    return (told, "KUBECONFIG") if told and told != _PLACE else (_PLACE, USUAL)


def in_pod() -> bool:
    """Whether this process is told of an API server as a pod is."""
    return all(os.environ.get(f"KUBERNETES_SERVICE_{name}") for name in ("HOST", "PORT"))


def chosen(files: str, context: str, named_by: str) -> Chosen:
    """What `context` ("": the current one) names in these files, separated as PATH is. `named_by`: the flag or variable that names
    them, or USUAL. Raises UsageError where a file cannot be read, the user's exec plugin is not there, or a value is one that kubectl
    refuses and the official client would take for another, or a user who acts as somebody else."""
    places = [place for place in files.split(os.pathsep) if place]
    there = [(place, _read(place, named_by)) for place in places if Path(place).expanduser().exists()]
    if not there:
        raise UsageError(_absent(places, named_by), hint=_WHERE)
    meant = context or next((str(body["current-context"]) for _, body in there if body.get("current-context")), "")
    named = _first(there, "contexts", "context", meant)
    if context and named is None:
        known = sorted({str(one["name"]) for _, body in there for one in body.get("contexts") or ()})
        hint = f"there are: {', '.join(known[:_SHOWN]) or 'none'}"
        raise UsageError(f"no context {context} in {files}, which {named_by} names", hint=hint)
    if named is None:
        return Chosen(None, None)
    who, where = (str(named[1].get(key, "")) for key in ("user", "cluster"))
    found = _first(there, "users", "user", who)
    one = User(who, *found) if found else None
    if one is not None:
        _check_plugin(one)
        _check_token(one)
        _check_impersonation(one)
    cluster = _first(there, "clusters", "cluster", where)
    if cluster is not None:
        _check_trust(where, *cluster)
    return Chosen(one, cluster)


def access(found: Chosen) -> Access | None:
    """The server, and who asks it, where that is plain: a token or a certificate, or nobody, and no proxy. None for all else, and for
    what is malformed: the official client says what is wrong."""
    if found.user is None or found.cluster is None or _has_proxy():
        return None
    place, cluster = found.cluster
    user, server = found.user.told, cluster.get("server")
    if not _is_plain(user, _OF_USER) or not _is_plain(cluster, _OF_CLUSTER) or not isinstance(server, str):
        return None
    try:
        pems = _pem(place, cluster, "certificate-authority")
        mine = [_pem(found.user.file, user, name) for name in ("client-certificate", "client-key")]
    except (OSError, ValueError):
        return None
    if not server.startswith(("http://", "https://")) or bool(mine[0]) != bool(mine[1]):
        return None
    verify, name = not cluster.get("insecure-skip-tls-verify"), str(cluster.get("tls-server-name") or "")
    return Access(server.rstrip("/"), pems, verify, name, str(user.get("token") or ""), *mine)


def _is_plain(told: Mapping[str, Any], known: set[str]) -> bool:
    named = {key: value for key, value in told.items() if value}
    return named.keys() <= known and all(
        isinstance(value, str) for key, value in named.items() if key not in ("insecure-skip-tls-verify", "extensions")
    )


def _pem(file: str, told: Mapping[str, Any], name: str) -> str:
    """The text of a certificate or key: as data, or in a file beside the kubeconfig. Raises OSError and ValueError."""
    if data := told.get(f"{name}-data"):
        return base64.b64decode(data, validate=True).decode("ascii")
    if not told.get(name):
        return ""
    with (Path(file).expanduser().parent / told[name]).open("rb") as opened:
        read: bytes = opened.read(LARGEST)
    return read.decode("ascii")


def _has_proxy() -> bool:
    """Whether something else than the kubeconfig may name a proxy: a variable, or the settings of macOS or Windows."""
    if sys.platform in ("darwin", "win32"):
        from urllib.request import getproxies

        return bool(getproxies().keys() - {"no"})
    named = {key.lower() for key, value in os.environ.items() if value and key.lower().endswith("_proxy")}
    return bool(named - {"no_proxy"})


def _absent(places: list[str], named_by: str) -> str:
    if named_by == USUAL:
        return f"no kubeconfig: KUBECONFIG is not set, and {' and '.join(places)} is not there"
    return f"{named_by} names {' and '.join(places) or 'no file'}, which is not there"


def _read(place: str, named_by: str) -> Mapping[str, Any]:
    """One file, with the shape that the client takes for granted."""
    import yaml

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


def _check_token(one: User) -> None:
    """A header cannot hold every text, and a WebSocket's would begin another one."""
    token = one.told.get("token")
    if isinstance(token, str) and not (token.isascii() and token.isprintable()):
        message = f"the token of user {one.name} in {one.file} has a line break, or another character that no request can hold"
        raise UsageError(message, hint="write it in one line, without |")


def _check_impersonation(one: User) -> None:
    """The official client reads none of these fields: a request would be sent with all rights of the user."""
    if named := [name for name in _AS if one.told.get(name)]:
        message = f"user {one.name} in {one.file} acts as somebody else ({', '.join(named)}), which nidus does not"
        raise UsageError(message, hint="choose a context that has the rights itself")


def _check_trust(name: str, file: str, told: Mapping[str, Any]) -> None:
    """A text that says false is no reason to trust anybody."""
    if not isinstance(told.get("insecure-skip-tls-verify"), bool | None):
        message = f"insecure-skip-tls-verify of cluster {name} in {file} is neither true nor false"
        raise UsageError(message, hint="write it without quotes")
