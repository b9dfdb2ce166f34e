"""The kubeconfig files of the user, by kubectl's rules: which file is written, its lock, and what is changed in it.

A file is replaced whole, with mode 0600; a symbolic link stays one. The lock is kubectl's own, FILE.lock.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from reconciler import settings
from reconciler.errors import Stalled
from reconciler.verbs import listed
from reconciler.verbs.looks import looks

SECTIONS: Final = ("clusters", "users", "contexts")
MARK: Final = "nidus.dev"
LOCK_SECONDS: Final = 10.0
LIMIT: Final = 4 << 20
NEW: Final = "apiVersion: v1\nkind: Config\n"


def files() -> list[Path]:
    """The files that kubectl reads, absolute: those of KUBECONFIG, else ~/.kube/config."""
    named = [Path(part) for part in settings.environment("KUBECONFIG").split(os.pathsep) if part]
    return [path.absolute() for path in dict.fromkeys(named)] or [Path.home() / ".kube" / "config"]


def destination() -> Path:
    """The file that takes new entries: the first of files() that exists, else the last."""
    known = files()
    return next((path for path in known if path.exists()), known[-1])


def place_of(name: str) -> Path:
    """The file that has a context called `name` already, else destination(). Raises Stalled where one cannot be read."""
    return next((file for file in files() if has(file, name)), None) or destination()


def write(file: Path, entries: Mapping[str, Mapping[str, Any]]) -> bool:
    """Put section -> entry into `file`, made if it is not there; return whether it changed. Raises Stalled."""
    with _locked(file):
        before = text = _read(file)
        for section in SECTIONS:
            text = _edited(file, listed.put, text or NEW, section, entries[section])
        return _written(file, before, text)


def remove(file: Path, name: str) -> bool:
    """Take the context, cluster and user called `name` out of `file`; return whether it had any. Raises Stalled."""
    if not has(file, name):
        return False
    with _locked(file):
        before = text = _read(file)
        for section in SECTIONS:
            text = _edited(file, listed.drop, text, section, name)
        if _parsed(file, text).get("current-context") == name:
            text = _edited(file, listed.replace_value, text, "current-context", "")
        return _written(file, before, text)


def has(file: Path, name: str) -> bool:
    """Whether `file` has a context, cluster or user called `name`. Raises Stalled where it cannot be read."""
    return any(_entry(_parsed(file, _read(file)), section, name) for section in SECTIONS)


def ours(file: Path) -> list[str]:
    """The contexts of `file` that nidus connect wrote. Raises Stalled where it cannot be read."""
    entries = _parsed(file, _read(file)).get("contexts") or []
    return [str(one.get("name", "")) for one in entries if isinstance(one, dict) and _is_marked(one.get("context"))]


def check_ours(file: Path, name: str) -> None:
    """Raises Stalled where `file` has a context, cluster or user called `name` that nidus connect did not write."""
    if has(file, name) and name not in ours(file):
        raise Stalled(f"{file}: nidus connect did not write {name}", hint=f"kubectl config delete-context {name}")


def marked(entries: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """The entries with a context by which ours() knows it again; kubectl keeps such extensions and ignores them."""
    context = entries["contexts"]
    extension = {"name": MARK, "extension": {"kind": "Connection"}}
    return {**entries, "contexts": {**context, "context": {**context["context"], "extensions": [extension]}}}


def _is_marked(context: object) -> bool:
    extensions = context.get("extensions") if isinstance(context, dict) else None
    return any(isinstance(one, dict) and one.get("name") == MARK for one in extensions or [])


def server(file: Path, name: str) -> str:
    """The server of the cluster called `name` in `file`, "" where it has none. Raises Stalled where it cannot be read."""
    entry = _entry(_parsed(file, _read(file)), "clusters", name)
    cluster = entry.get("cluster") if entry else None
    return str(cluster.get("server", "")) if isinstance(cluster, dict) else ""


def _entry(found: Mapping[str, Any], section: str, name: str) -> dict[str, Any]:
    """The entry called `name` of a section, or {}."""
    entries = found.get(section)
    known = entries if isinstance(entries, list) else []
    return next((one for one in known if isinstance(one, dict) and one.get("name") == name), {})


def _parsed(file: Path, text: str) -> dict[str, Any]:
    found: dict[str, Any] = _edited(file, listed.parse, text)
    return found


def _edited(file: Path, edit: Any, *arguments: object) -> Any:
    try:
        return edit(*arguments)
    except ValueError as error:
        raise Stalled(f"{file} is not a kubeconfig: {error}", hint="KUBECONFIG names another file") from None


def _read(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            data = opened.read(LIMIT + 1)
        if len(data) > LIMIT:
            raise Stalled(f"{file} is larger than {LIMIT >> 20} MiB")
        return data.decode("utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise _unusable(file, error) from None


def _written(file: Path, before: str, text: str) -> bool:
    if text == before:
        return False
    target = file.resolve()
    try:
        number, half = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)  # of mode 0600
        try:
            with os.fdopen(number, "w", encoding="utf-8", newline="") as opened:
                opened.write(text)
                opened.flush()
                os.fsync(opened.fileno())
            Path(half).replace(target)
        except BaseException:
            Path(half).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise _unusable(file, error) from None
    return True


@contextlib.contextmanager
def _locked(file: Path) -> Iterator[None]:
    """Hold FILE.lock, as kubectl does when it writes. Raises Stalled when another program keeps it."""
    lock = file.with_name(f"{file.name}.lock")
    if not any(_took(file, lock) for _ in looks(LOCK_SECONDS)):
        raise Stalled(
            f"{file} is being written by another program: {lock} is there",
            hint="remove that file if no kubectl and no nidus runs",
        )
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)


def _took(file: Path, lock: Path) -> bool:
    try:
        lock.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        return False
    except OSError as error:
        raise _unusable(file, error) from None
    return True


def _unusable(file: Path, error: Exception) -> Stalled:
    told = error.strerror if isinstance(error, OSError) and error.strerror else "not UTF-8 text"
    return Stalled(f"{file}: {told}", hint="KUBECONFIG names another file")
