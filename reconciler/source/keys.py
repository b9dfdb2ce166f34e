"""The keys that may sign commits: files of one folder, as Flux names them (packs.md K14).

`*.asc` are OpenPGP keys, `*.sshpub` SSH keys in the form of authorized_keys, `revoked.krl` SSH keys that count no more, one a line or as
OpenSSH's revocation list. The folder is read for each verification, so a mounted Secret may change. git gets the keys in a folder of
its own, and no other key of the machine.
"""

import base64
import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from reconciler import keyfiles
from reconciler.errors import Stalled
from reconciler.patterns import lazy

FILES = 200
BYTES = 5 << 20
"""Of all files together."""
SECONDS = 30.0
HINT = "verify.keysFolder holds OpenPGP keys as *.asc and SSH keys as *.sshpub (one a line, as in authorized_keys)"
_GPG = (
    "trust-model always\nno-auto-key-retrieve\ndisable-dirmngr\nno-random-seed-file\nweak-digest SHA1\nbatch\nno-tty\n"
)
_REVOKED = "revoked.krl"
_MAGIC = b"SSHKRL\n\0"
_LINE = lazy(
    r'(?:expiry-time="(?P<until>\d{8}|\d{12}|\d{14})"[ \t]+)?'
    r"(?P<type>(?:ssh-|ecdsa-|sk-)[a-z0-9@.-]{2,60})[ \t]+(?P<key>[A-Za-z0-9+/]{16,8192}={0,2})(?:[ \t]+(?P<comment>\S.*))?"
)
_NAME = lazy(r"[^A-Za-z0-9@._+-]")


class Ring(Struct, frozen=True):
    """Where git finds the keys. `ended` says of SSH keys that count no more why, by fingerprint: Y expired, R revoked."""

    home: Path
    ended: dict[str, str]

    @property
    def signers(self) -> Path:
        """The file of SSH keys that count (ssh-keygen's allowed signers)."""
        return self.home / "signers"


class SshKey(Struct, frozen=True):
    """One line of a `*.sshpub`: `until` in seconds since the epoch, 0.0 without an end."""

    name: str
    type: str
    key: str
    until: float

    @property
    def fingerprint(self) -> str:
        """As ssh-keygen and git write it."""
        digest = hashlib.sha256(base64.b64decode(self.key, validate=True)).digest()
        return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


@contextmanager
def ring(folder: Path) -> Iterator[Ring]:
    """The keys of `folder`, prepared for git, until the block ends. Raises Stalled("KeysUnreadable")."""
    files = _files(folder)
    with tempfile.TemporaryDirectory(prefix="nidus-keys-") as made:
        home = Path(made)
        (home / "gpg.conf").write_text(_GPG)
        (home / "common.conf").touch()  # no daemon that keeps keys
        _import(home, {name: data for name, data in files.items() if name.endswith(".asc")})
        keys = [key for name, data in sorted(files.items()) if name.endswith(".sshpub") for key in ssh_keys(name, data)]
        ended = _ended(home, keys, files.get(_REVOKED, b""))
        (home / "signers").write_text("".join(_signer(key) for key in keys if key.fingerprint not in ended))
        yield Ring(home, ended)


def ssh_keys(name: str, data: bytes) -> Iterator[SshKey]:
    """The keys of one file. Raises Stalled at a line that is none: what it was meant to say must not be guessed."""
    for number, raw in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        found = _LINE.fullmatch(line)
        if found is None:
            raise _unreadable(f"{name}, line {number}, is no SSH key (of options only expiry-time is understood)")
        called = _NAME.sub("_", (found["comment"] or Path(name).stem).strip())[:80]
        key = SshKey(called, found["type"], found["key"], _seconds(found["until"]))
        try:
            key.fingerprint  # noqa: B018
        except ValueError:
            raise _unreadable(f"{name}, line {number}, is no SSH key") from None
        yield key


def _signer(key: SshKey) -> str:
    return f'{key.name} namespaces="git" {key.type} {key.key}\n'


def _seconds(until: str | None) -> float:
    """An expiry-time of authorized_keys, in UTC: YYYYMMDD, with HHMM or HHMMSS behind. What is no time has ended."""
    if until is None:
        return 0.0
    import calendar

    try:
        return float(calendar.timegm(time.strptime(until.ljust(14, "0"), "%Y%m%d%H%M%S")))
    except ValueError:
        return 1.0


def _files(folder: Path) -> dict[str, bytes]:
    """The folder's files of keys."""
    found: dict[str, bytes] = {}
    try:
        for name in keyfiles.names(folder, lambda one: one.endswith((".asc", ".sshpub")) or one == _REVOKED):
            found[name] = _bytes(folder / name)
            if len(found) > FILES or sum(map(len, found.values())) > BYTES:
                raise _unreadable(f"{folder} holds more than {FILES} files or {BYTES >> 20} MiB")
    except OSError as error:
        raise _unreadable(f"{folder}: {error.strerror}") from None
    if not found.keys() - {_REVOKED}:
        raise _unreadable(f"{folder} holds no key")
    return found


def _bytes(path: Path) -> bytes:
    """At most `BYTES` and one more."""
    data = keyfiles.read(path, BYTES)
    if data is None:
        raise _unreadable(f"{path} is no file")
    return data


def _import(home: Path, files: dict[str, bytes]) -> None:
    if not files:
        return
    for number, data in enumerate(files.values()):
        (home / f"{number}.asc").write_bytes(data)
    names = [str(home / f"{number}.asc") for number in range(len(files))]
    done = _run(home, "gpg", "--homedir", str(home), "--import", *names)
    if done.returncode:
        told = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise _unreadable(f"gpg refuses keys of {', '.join(sorted(files))[:200]} ({(told or ['?'])[-1][:160]})")


def _ended(home: Path, keys: list[SshKey], revoked: bytes) -> dict[str, str]:
    """Judged by our clock: the date of a commit is whatever its author wrote."""
    now = time.time()
    gone = _in_krl(home, keys, revoked) if revoked.startswith(_MAGIC) else ssh_keys(_REVOKED, revoked)
    return {key.fingerprint: "Y" for key in keys if key.until and key.until <= now} | {
        key.fingerprint: "R" for key in gone
    }


def _in_krl(home: Path, keys: list[SshKey], revoked: bytes) -> Iterator[SshKey]:
    """Those of the keys that a list in OpenSSH's own form names (ssh-keygen -k)."""
    (home / _REVOKED).write_bytes(revoked)
    files = [home / f"{number}.pub" for number in range(len(keys))]
    for file, key in zip(files, keys, strict=True):
        file.write_text(f"{key.type} {key.key}\n")
    told = (
        _run(home, "ssh-keygen", "-Q", "-f", str(home / _REVOKED), *map(str, files)).stdout.splitlines() if keys else []
    )
    if len(told) != len(keys):
        raise _unreadable(f"ssh-keygen cannot read {_REVOKED}")
    return (key for key, line in zip(keys, told, strict=True) if not line.endswith(b": ok"))


def _run(home: Path, *words: str) -> "subprocess.CompletedProcess[bytes]":
    program = shutil.which(words[0])
    if program is None:
        package = {"gpg": "gnupg", "ssh-keygen": "openssh-client"}[words[0]]
        raise _unreadable(f"{words[0]} is not installed (package {package})")
    env = {"PATH": os.defpath, "HOME": str(home), "GNUPGHOME": str(home), "LC_ALL": "C"}
    command = (program, *words[1:])
    try:
        return subprocess.run(
            command, env=env, cwd=home, stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS
        )
    except subprocess.TimeoutExpired:
        raise _unreadable(f"{words[0]} did not end within {SECONDS:.0f} s") from None


def _unreadable(what: str) -> Stalled:
    return Stalled(f"the keys that may sign commits cannot be used: {what}", reason="KeysUnreadable", hint=HINT)
