"""Decrypts what SOPS encrypted with age keys (K12), in a worker, and never without its message authentication code.

Only the form of SOPS' documents is ours (https://getsops.io/docs; `sops.go`, `aes/cipher.go` of SOPS 3.11): each leaf is AES-256-GCM with
its path as additional data, and the block's `mac` is the SHA-512 of all leaves, encrypted with the time of the last change as
additional data. The key of a file is encrypted for each age key: pyrage reads that.
"""

import base64
import contextlib
import hashlib
import hmac
import math
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import Any

from reconciler.errors import Stalled, few
from reconciler.patterns import lazy
from reconciler.plan import secretdata
from reconciler.spec import encrypted

_ONLY_ENCRYPTED = hashlib.sha256(b"sops").digest()
"""What the hash begins with where `mac_only_encrypted` leaves the other leaves out of it."""
_KEY = 32
_RECIPIENT = lazy(r"age1[0-9a-z]{20,120}")
_SHOWN = 3
_BROKEN = "encrypt it again from what it should say; `sops --decrypt` tells more"
_FOLDER = "put the age key of one of them into the source's decryption.keysFolder, or encrypt it for one that is there"
_INSTALL = "install nidus with its extra `sops`"
Clear = Mapping[str, Any]
"""Encrypted text -> what it says."""


def opened(path: str, bodies: Sequence[Any], keys: Sequence[str]) -> Clear:
    """What the encrypted leaves of one file say; nothing of a file that is not encrypted. `keys` are age identities.

    Raises Stalled(DecryptionFailed) naming the file: damaged, changed after it was encrypted, or for no key that is here. No value is told.
    """
    blocks = [body[encrypted.FIELD] for body in bodies if encrypted.is_encrypted(body)]
    if not blocks:
        return {}
    if len(blocks) != len(bodies) or any(block != blocks[0] for block in blocks):
        raise _failed(path, "some of its documents are not part of what was encrypted")
    for _, _, what, hint in (one for body in bodies for one in encrypted.mistakes(body, objects=False)):
        raise _failed(path, what, hint)
    return _File(path, blocks[0], keys).read(bodies)


def filled(body: Any, clear: Clear) -> Any:
    """The tree with what its encrypted leaves say."""
    if isinstance(body, Mapping):
        return {key: filled(one, clear) for key, one in body.items()}
    if isinstance(body, list | tuple):
        return [filled(one, clear) for one in body]
    return clear.get(body, body) if isinstance(body, str) else body


def filled_secrets(document: Any, clear: Clear) -> Any:
    """The document with what encrypted leaves say in the data of its Secrets, and nowhere else."""
    return secretdata.mapped(document, partial(filled, clear=clear)) if clear else document


class _File:
    """One encrypted file and its key."""

    def __init__(self, path: str, block: Mapping[str, Any], keys: Sequence[str]) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self._path, self._block = path, block
        self._cipher = AESGCM(_file_key(path, block["age"], keys))

    def read(self, bodies: Sequence[Any]) -> dict[str, Any]:
        """What each encrypted leaf says, once the code over all of them is as it was stored."""
        only = self._block.get("mac_only_encrypted") is True
        hashed, clear = hashlib.sha512(_ONLY_ENCRYPTED if only else b""), dict[str, Any]()
        for where, leaf in (one for body in bodies for one in encrypted.leaves(encrypted.bare(body))):
            if encrypted.is_value(leaf):
                clear[leaf] = self._value(leaf, _place(where))
                hashed.update(_hashed(clear[leaf]))
            elif not only:
                hashed.update(_hashed(leaf))
        stored = self._value(self._block["mac"], str(self._block.get("lastmodified", "")))
        if not hmac.compare_digest(str(stored).upper().encode(), hashed.hexdigest().upper().encode()):
            raise _failed(
                self._path, "it was changed after it was encrypted: its authentication code (mac) is another one"
            )
        return clear

    def _value(self, text: Any, about: str) -> Any:
        """One value; `about` is what it was encrypted for."""
        from cryptography.exceptions import InvalidTag

        found = encrypted.VALUE.fullmatch(text) if isinstance(text, str) else None
        if found is None:
            raise _failed(self._path, "its block `sops` is damaged")
        try:
            data, iv, tag = (base64.b64decode(found[part], validate=True) for part in ("data", "iv", "tag"))
            return _KINDS[found["type"]](self._cipher.decrypt(iv, data + tag, about.encode()).decode())
        except (InvalidTag, ValueError, KeyError):
            raise _failed(self._path, "a value was changed or moved after it was encrypted") from None


def _file_key(path: str, entries: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> bytes:
    """The key of the file's values, which is encrypted for each recipient."""
    try:
        import pyrage
    except ImportError:
        raise _failed(path, "what reads age keys is not installed", _INSTALL) from None
    try:
        identities = [pyrage.x25519.Identity.from_str(key) for key in keys]
    except pyrage.IdentityError:
        raise _failed(path, "a key of decryption.keysFolder is no age key", "write it again: age-keygen") from None
    for entry in entries:
        with contextlib.suppress(pyrage.DecryptError):
            if len(found := pyrage.decrypt(entry["enc"].encode(), identities)) == _KEY:
                return bytes(found)
    known = [str(entry.get("recipient", "")) for entry in entries]
    named = few([one for one in known if _RECIPIENT.fullmatch(one)], _SHOWN) or "keys that it does not name"
    raise _failed(path, f"it is encrypted for {named}, and none of these keys is here", _FOLDER)


def _place(where: Sequence[str | int]) -> str:
    """What SOPS binds a value to: the keys above it. Positions in lists are none."""
    return "".join(f"{part}:" for part in where if isinstance(part, str))


def _hashed(value: Any) -> bytes:
    """A leaf as SOPS hashes it (`ToBytes`)."""
    if value is None:
        return b""
    if isinstance(value, float):
        text = format(Decimal(repr(value)), "f")
        return text.removesuffix(".0").encode()
    return str(value).encode()


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError
    return value


def _failed(path: str, what: str, hint: str = _BROKEN) -> Stalled:
    return Stalled(f"{path} cannot be decrypted: {what}", reason="DecryptionFailed", hint=hint)


_KINDS: Mapping[str, Callable[[str], Any]] = {
    "str": str,
    "int": int,
    "float": _finite,
    "bool": lambda text: {"true": True, "false": False}[text.lower()],
}
