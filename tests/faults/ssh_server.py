"""A real sshd of one test on the loopback, for the account that runs the tests: keys only, of one file."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

PROGRAM = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
RUNTIME = Path("/run/sshd")
"""Where sshd as root wants to be locked in; distributions make it with the service."""


class SshServer:
    """Serves the machine's files to whoever holds a key of `allowed`. `host_key` is the file of its own."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.allowed, self.host_key, self.port = folder / "allowed", folder / "host", free_port()
        self._folder = folder
        self.allowed.touch(mode=0o600)
        key(self.host_key)
        self.start()

    @property
    def url(self) -> str:
        """Of an absolute path below it: append that."""
        return f"ssh://{getpass.getuser()}@127.0.0.1:{self.port}"

    def known(self) -> str:
        """The line of `known_hosts` for the key that it has now."""
        kind, text = self.host_key.with_suffix(".pub").read_text().split()[:2]
        return f"[127.0.0.1]:{self.port} {kind} {text}\n"

    def start(self) -> None:
        """With the host key that lies there now."""
        if os.geteuid() == 0:
            RUNTIME.mkdir(mode=0o755, exist_ok=True)
        options = {
            "Port": str(self.port), "ListenAddress": "127.0.0.1", "HostKey": str(self.host_key), "PidFile": "none",
            "AuthorizedKeysFile": str(self.allowed), "StrictModes": "no", "PermitRootLogin": "prohibit-password",
            "PasswordAuthentication": "no", "KbdInteractiveAuthentication": "no",
        }  # fmt: skip
        config = self._folder / "sshd_config"
        config.write_text("".join(f"{name} {value}\n" for name, value in options.items()))
        assert PROGRAM is not None
        with (self._folder / "sshd.log").open("ab") as log:
            self._process = subprocess.Popen(
                [PROGRAM, "-D", "-e", "-f", str(config)], stdin=subprocess.DEVNULL, stderr=log
            )
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self._process.poll() is None:
            with socket.socket() as tried:
                if tried.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        raise AssertionError((self._folder / "sshd.log").read_text())

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(60)


def key(file: Path) -> Path:
    """A new key in `file`, in the place of the one before."""
    for one in (file, file.with_suffix(".pub")):
        one.unlink(missing_ok=True)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(file)], check=True, timeout=60)
    return file


def free_port() -> int:
    with socket.socket() as tried:
        tried.bind(("127.0.0.1", 0))
        return int(tried.getsockname()[1])
