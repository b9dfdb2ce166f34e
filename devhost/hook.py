"""The post-receive hook of a stage's repository: every push calls the webhook of its source, signed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

HOOK: Final = '''#!{python} -IS
"""Tells the controller of a push: signed, over the raw bytes, as GitHub does it."""
import hashlib, hmac, http.client, json, pathlib, sys, time
pathlib.Path({stamp!r}).write_text(repr(time.time()))
ref = sys.stdin.readline().split()[2]
body = json.dumps({{"ref": ref}}).encode()
key = pathlib.Path({secret!r}).read_bytes().strip()
signature = "sha256=" + hmac.new(key, body, hashlib.sha256).hexdigest()
headers = {{"Content-Type": "application/json", "X-GitHub-Event": "push", "X-Hub-Signature-256": signature}}
try:
    connection = http.client.HTTPConnection("127.0.0.1", {port}, timeout=30)
    connection.request("POST", {path!r}, body, headers)
    print("webhook answered", connection.getresponse().status)
except OSError as error:
    print("webhook not reached:", error)
'''


def install(bare: Path, stamp: Path, secret: Path, port: int, source: str) -> None:
    """Into a bare repository. `stamp` is the file that tells when the last push began, `secret` the webhook's, `port` its listener's."""
    file = bare / "hooks" / "post-receive"
    words = {"python": sys.executable, "stamp": str(stamp), "secret": str(secret), "port": port}
    file.write_text(HOOK.format(path=f"/webhook/{source}", **words))
    file.chmod(0o755)
