"""The age keys of a source (K12): `*.agekey` files of one folder, as Flux names them.

The folder is read for each render that needs it, so a mounted Secret may change. Several keys count side by side, as a rotation needs it.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from reconciler import keyfiles
from reconciler.errors import Stalled
from reconciler.patterns import lazy

FILES = 64
BYTES = 64 << 10
"""Of one file."""
KEYS_ABSENT = "DecryptionKeysAbsent"
"""The reason of a layer that is encrypted where no keys are configured."""
HINT = "decryption.keysFolder holds age keys as *.agekey (age-keygen), one a line"
_ASKED = "the controller has them: the plan in the pull request shows this pack (nidus plan --change N)"
_LOOK = "look at the chart and at which values changed"
_LATER = f"the controller has them, and reads values of charts once they are merged: {_LOOK}"
_KEY = lazy(r"AGE-SECRET-KEY-1[0-9A-Z]{58}")

Keys = Callable[[str, str], tuple[str, ...]]
"""The age identities of a source, by its name, for a pack of some kind. Raises Stalled."""


def none(source: str, kind: str) -> tuple[str, ...]:
    """No keys, of any source: where people work, who ask the controller, which has them."""
    what = "it is encrypted, and there are no keys here to read it"
    raise Stalled(what, reason=KEYS_ABSENT, hint=_LATER if kind == "helm" else _ASKED)


def of(folders: Mapping[str, str]) -> Keys:
    """The keys of sources, each from its own folder."""

    def keys(source: str, kind: str) -> tuple[str, ...]:
        if source in folders:
            return read(Path(folders[source]))
        what = "it is encrypted, and the source has no keys to read it"
        raise Stalled(
            what, reason=KEYS_ABSENT, hint="set decryption.keysFolder of the source in the controller's configuration"
        )

    return keys


def of_reviews(folders: Mapping[str, str]) -> Keys:
    """As `of`, for what nobody has accepted yet. Charts get none: a template can turn a value into anything that a plan shows, its author
    into a reader of what the branch holds. Of other packs a plan shows keyed hashes only."""
    found = of(folders)

    def keys(source: str, kind: str) -> tuple[str, ...]:
        if kind != "helm":
            return found(source, kind)
        what = "its values are encrypted: they are read once it is merged"
        raise Stalled(what, reason=KEYS_ABSENT, hint=_LOOK)

    return keys


def read(folder: Path) -> tuple[str, ...]:
    """Every key of the folder. Raises Stalled(KeysUnreadable), which names the file and the line and never what stands there."""
    found: list[str] = []
    try:
        names = keyfiles.names(folder, lambda one: one.endswith(".agekey"))
        if len(names) > FILES:
            raise _unreadable(f"{folder} holds more than {FILES} files")
        for name in names:
            found += _lines(name, _bytes(folder / name))
    except OSError as error:
        raise _unreadable(f"{folder}: {error.strerror}") from None
    if not found:
        raise _unreadable(f"{folder} holds no key")
    return tuple(dict.fromkeys(found))


def _bytes(path: Path) -> bytes:
    data = keyfiles.read(path, BYTES)
    if data is None:
        raise _unreadable(f"{path} is no file")
    if len(data) > BYTES:
        raise _unreadable(f"{path} is larger than {BYTES >> 10} KiB")
    return data


def _lines(name: str, data: bytes) -> Iterator[str]:
    for number, text in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
        line = text.strip()
        if line and not line.startswith("#"):
            if not _KEY.fullmatch(line):
                raise _unreadable(f"{name}, line {number}, is no age key")
            yield line


def _unreadable(what: str) -> Stalled:
    return Stalled(f"the keys that decrypt documents cannot be used: {what}", reason="KeysUnreadable", hint=HINT)
