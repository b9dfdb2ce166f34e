"""Helm's provenance files (K4): an archive's digest, signed with OpenPGP. Helm's own library checks them. Runs in a worker process only."""

import base64
import binascii
import tempfile
from pathlib import Path

from helm_python import HelmError, verify

from reconciler.errors import one_line
from reconciler.packs.signed import untrusted

_ARMOR = b"-----BEGIN PGP PUBLIC KEY BLOCK-----"
_SAID = 200  # characters of Helm's message


def check(archive: tuple[str, bytes], provenance: bytes, keys: bytes, name: str) -> None:
    """That one of the keys signed the provenance file, and that it is of this archive (its file name and bytes). `name` is the chart's.

    Raises Stalled(ChartUntrusted).
    """
    with tempfile.TemporaryDirectory(prefix="nidus-provenance-") as made:
        folder = Path(made)
        for file, data in ((archive[0], archive[1]), ("prov", provenance), ("keys", _plain(keys, name))):
            (folder / file).write_bytes(data)
        try:
            verify(folder / archive[0], folder / "keys", provenance_file=folder / "prov")
        except HelmError as error:
            told = one_line(str(error.detail).replace(f"{made}/", ""), _SAID)
            raise untrusted(name, f"its provenance file does not count: {told}") from None


def _plain(keys: bytes, name: str) -> bytes:
    """The keys as Helm reads them: without the armor of `gpg --armor`."""
    if not keys.lstrip().startswith(_ARMOR):
        return keys
    lines = keys.strip().replace(b"\r", b"").partition(b"\n\n")[2].splitlines()
    body = [line for line in lines if not line.startswith((b"=", b"-----"))]
    try:
        return base64.b64decode(b"".join(body), validate=True)
    except binascii.Error:
        raise untrusted(name, "the file of its OpenPGP keys is damaged") from None
