"""Translates git's error messages into our errors, without secrets.

The messages are those of git 2.39 to 2.51 under LC_ALL=C. An unknown one is Unavailable, so it is retried and never
"empty".
"""

import re
from typing import NoReturn

from reconciler.errors import NidusError, Stalled, Unavailable, printable
from reconciler.patterns import lazy
from reconciler.source.runner import Answer


class Damaged(Exception):
    """The mirror itself is broken: `mirror` sets it aside and clones again (S7). `form`: the object format that the remote has, where
    the mirror is of another. Never raised outside this package."""

    form = ""


_DAMAGED = lazy(
    r"is corrupt|bad object|missing (?:blob|tree|commit)|unable to read (?:tree|sha1|[0-9a-f]{40})|inflate|"
    r"did not send all necessary objects|invalid sha1 pointer|bad (?:signature|index)|loose object|"
    r"not a git repository: '|unable to resolve reference|packfile .{0,200} (?:cannot|does not)|bad config|bad tree object"
)

_FORMAT = lazy(r"mismatched algorithms: client \w{4,8}; server (sha1|sha256)\b")

# (pattern, stalls, reason, message, hint); the first that matches wins.
_ROWS: tuple[tuple[re.Pattern[str], bool, str, str, str], ...] = tuple(
    (lazy(pattern, re.IGNORECASE), stalls, reason, message, hint)
    for pattern, stalls, reason, message, hint in (
        (
            "died of signal 25|file size limit|file too large",
            True,
            "TooBig",
            "the repository is larger than allowed",
            "raise spec.limits.total in the controller's configuration",
        ),
        (
            "out of memory|memory exhausted|cannot allocate memory",
            True,
            "TooBig",
            "git needs more memory than it may have",
            "keep large files and long commit messages out of the repository",
        ),
        ("no space left on device|disk quota", False, "DiskFull", "no space left for the mirror", ""),
        (
            "couldn't find remote ref|remote branch .{0,200} not found",
            True,
            "RefMissing",
            "the branch does not exist",
            "check spec.sources[].branch",
        ),
        (
            "remote host identification has changed|host key verification failed|no matching host key",
            True,
            "HostKeyChanged",
            "the server's host key is not the one in knownHostsFile",
            "if the server has a new key, write it into credentials.knownHostsFile",
        ),
        (
            r"returned error: 30[0-9]|unable to update url base from redirection|redirect",
            True,
            "Redirected",
            "the server redirects to another address, and redirects are not followed",
            "set spec.sources[].url to the new address",
        ),
        (
            "returned error: 40[13]|authentication failed|could not read (?:username|password)|permission denied|"
            "access denied|dubious ownership",
            True,
            "AccessDenied",
            "the server refuses these credentials",
            "check spec.sources[].credentials",
        ),
        (
            r"returned error: 404|repository .{0,200} not found|does not appear to be a git repository|does not exist",
            True,
            "RepositoryMissing",
            "there is no such repository, or these credentials may not read it",
            "check spec.sources[].url and credentials",
        ),
        (
            "ssl certificate problem|certificate verif|server certificate|error setting certificate",
            True,
            "CertificateInvalid",
            "the server's certificate cannot be verified",
            "check credentials.caFile",
        ),
        (r"transport '.{0,40}' not allowed", True, "ProtocolForbidden", "this transport is not allowed", ""),
        (
            "fsck error|in packed object|in index-pack|fsck|corruption on the remote side",
            True,
            "BadObjects",
            "the repository holds malformed objects",
            "run git fsck on it",
        ),
        (
            "shallow",
            True,
            "Shallow",
            "the remote repository is shallow; its history is needed",
            "run git fetch --unshallow in it",
        ),
        (
            "could not resolve host|connection refused|timed out|failed to connect|operation too slow|early eof|"
            "hung up|connection reset|returned error: (?:429|5..)",
            False,
            "Unreachable",
            "the server does not answer",
            "",
        ),
    )
)


def check(answer: Answer, doing: str) -> bytes:
    """The output of a command that succeeded; otherwise raises Stalled, Unavailable or Damaged."""
    if answer.cut:
        hint = "raise spec.limits.files in the controller's configuration"
        raise Stalled(f"{doing}: the answer is longer than allowed", reason="TooBig", hint=hint)
    if answer.status != 0:
        refuse(answer.err, doing)
    return answer.out


def refuse(stderr: str, doing: str) -> NoReturn:
    """Raises what `stderr` of a failed command means."""
    for pattern, stalls, reason, message, hint in _ROWS:
        if pattern.search(stderr):
            raise _error(stalls, f"{doing}: {message}{_detail(stderr)}", reason, hint)
    damaged = Damaged(_detail(stderr))
    if found := _FORMAT.search(stderr):
        damaged.form = found[1]
    if damaged.form or _DAMAGED.search(stderr):
        raise damaged
    raise Unavailable(f"{doing} failed{_detail(stderr)}", reason="GitFailed")


def _error(stalls: bool, message: str, reason: str, hint: str) -> NidusError:
    return Stalled(message, reason=reason, hint=hint) if stalls else Unavailable(message, reason=reason, hint=hint)


def _detail(stderr: str) -> str:
    """git's own last message: one short printable line, without the user part of a URL and without text of the
    server."""
    lines = [line for line in stderr.splitlines() if line.startswith(("fatal:", "error:"))]
    if not lines:
        return ""
    text = re.sub(r"//[^/@\s]*@", "//", lines[-1].partition(":")[2])
    return " (" + printable(text).strip()[:200] + ")"
