"""Checks the URL, branch and path of a source before they reach git (S1).

User input reaches a git command line only through the functions here.
"""

import re
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from msgspec import Struct

from reconciler.errors import UsageError
from reconciler.model import SourceConfig
from reconciler.patterns import lazy

_HOST = lazy(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]", re.ASCII)
_USER = lazy(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}", re.ASCII)
_URL_PATH = lazy(r"/[A-Za-z0-9._~%+@=,/-]+", re.ASCII)
_BRANCH = lazy(r"[A-Za-z0-9_][A-Za-z0-9._/+@#-]{0,199}", re.ASCII)
_COMPONENT = lazy(r"(?!-)(?!\.{1,2}\Z)[A-Za-z0-9._ +@=,-]{1,255}", re.ASCII)
_OID = lazy(r"[0-9a-f]{40}|[0-9a-f]{64}", re.ASCII)


class Address(Struct, frozen=True):
    """A source that passed the grammars. `path` is "" for the whole repository; `local` the folder of a `file` source."""

    scheme: str
    url: str
    branch: str
    path: str
    local: Path | None = None


def parse(config: SourceConfig) -> Address:
    """The checked address of a source. Raises UsageError naming the field that is wrong."""
    branch, path = _branch(config.branch), inside(config.path)
    if "://" not in config.url:
        if ":" in config.url.split("/")[0]:
            raise UsageError(f"source {config.name}: not a URL and not a path", hint="ssh://USER@HOST/PATH for ssh")
        return _local(Path(config.url), branch, path)
    parts = urlsplit(config.url)
    if parts.scheme == "file" and not parts.netloc:
        return _local(Path(unquote(parts.path)), branch, path)
    if parts.scheme not in ("https", "ssh"):
        raise UsageError(
            f"source {config.name}: the URL scheme is not allowed", hint="use https://, ssh://, file:// or a path"
        )
    _check_remote(config, parts.scheme)
    return Address(parts.scheme, config.url, branch, path)


def oid(value: str) -> str:
    """`value` if it is a full object id; ValueError otherwise (a bug of the caller, never input)."""
    if not _OID.fullmatch(value):
        raise ValueError(f"not an object id: {value[:80]!r}")
    return value


def _local(folder: Path, branch: str, path: str) -> Address:
    folder = folder.absolute()
    if any(ord(character) < 32 for character in str(folder)):
        raise UsageError("the path of a local source holds a control character")
    return Address("file", "file://" + quote(str(folder)), branch, path, folder)


def _check_remote(config: SourceConfig, scheme: str) -> None:
    """https://host[:port]/path or ssh://user@host[:port]/path: no password, query, fragment or control character."""
    match = re.fullmatch(r"(?:https|ssh)://(?:([^@/]*)@)?([^/@]+?)(?::([0-9]{1,5}))?(/.*)", config.url, re.ASCII)
    if match is None:
        raise UsageError(
            f"source {config.name}: the URL is malformed", hint="https://HOST/PATH or ssh://USER@HOST/PATH"
        )
    user, host, _port, path = match.groups()
    if scheme == "https" and user is not None:
        raise UsageError(
            f"source {config.name}: no user name in an https URL", hint="use credentials.username and tokenFile"
        )
    if scheme == "ssh" and not (user and _USER.fullmatch(user)):
        raise UsageError(f"source {config.name}: an ssh URL names its user", hint="ssh://git@HOST/PATH")
    if not _HOST.fullmatch(host) or not _URL_PATH.fullmatch(path) or ".." in path.split("/"):
        raise UsageError(f"source {config.name}: the URL holds a character or a host name that is not allowed")


def _branch(branch: str) -> str:
    """git check-ref-format, stricter: what we accept is a valid branch name and never an option or a revision expression."""
    parts = branch.split("/")
    odd = any(not part or part.startswith(".") or part.endswith((".", ".lock")) for part in parts)
    if not _BRANCH.fullmatch(branch) or odd or ".." in branch or "@{" in branch:
        raise UsageError(f"not a branch name: {branch[:80]!r}")
    return branch


def inside(path: str) -> str:
    """A path below the repository's root, "" for the root itself. Raises UsageError for anything that leads out of it."""
    parts = [part for part in path.strip("/").split("/") if part not in ("", ".")]
    if any(not _COMPONENT.fullmatch(part) for part in parts):
        raise UsageError(f"not a path inside the repository: {path[:80]!r}")
    return "/".join(parts)
