"""What git and ssh say when they fail, and what it means to us; the sentences are those of git 2.39 and OpenSSH 9."""

import pytest

from reconciler.errors import NidusError, Stalled, Unavailable
from reconciler.source.answers import Damaged, check, refuse
from reconciler.source.runner import Answer

SAYINGS = [
    ("fatal: couldn't find remote ref refs/heads/main", Stalled, "RefMissing"),
    ("@@@@@\n@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\n@@@@@\nHost key verification failed.\n"
     "fatal: Could not read from remote repository.", Stalled, "HostKeyChanged"),
    ("No ED25519 host key is known for git.example.com and you have requested strict checking.\nHost key verification failed.",
     Stalled, "HostKeyChanged"),
    ("git@git.example.com: Permission denied (publickey).\nfatal: Could not read from remote repository.", Stalled, "AccessDenied"),
    ("fatal: Authentication failed for 'https://git.example.com/x.git/'", Stalled, "AccessDenied"),
    ("fatal: could not read Username for 'https://git.example.com': terminal prompts disabled", Stalled, "AccessDenied"),
    ("fatal: unable to access 'https://h/x/': The requested URL returned error: 403", Stalled, "AccessDenied"),
    ("fatal: repository 'https://git.example.com/x.git/' not found", Stalled, "RepositoryMissing"),
    ("fatal: '/srv/x' does not appear to be a git repository", Stalled, "RepositoryMissing"),
    ("fatal: unable to access 'https://h/x/': The requested URL returned error: 302", Stalled, "Redirected"),
    ("fatal: unable to access 'https://h/x/': SSL certificate problem: self-signed certificate", Stalled, "CertificateInvalid"),
    ("error: index-pack died of signal 25\nfatal: index-pack failed", Stalled, "TooBig"),
    ("fatal: write error: No space left on device", Unavailable, "DiskFull"),
    ("ssh: connect to host git.example.com port 22: Connection refused\nfatal: Could not read from remote repository.",
     Unavailable, "Unreachable"),
    ("ssh: Could not resolve hostname nowhere.example: Name or service not known", Unavailable, "Unreachable"),
    ("fatal: unable to access 'https://h/': Could not resolve host: h", Unavailable, "Unreachable"),
    ("fatal: unable to access 'https://h/': The requested URL returned error: 502", Unavailable, "Unreachable"),
    ("error: RPC failed; curl 28 Operation too slow. Less than 1000 bytes/sec transferred the last 20 seconds",
     Unavailable, "Unreachable"),
    ("fatal: the remote end hung up unexpectedly", Unavailable, "Unreachable"),
    ("error: object 1234: hasDotdot: contains '..'\nfatal: fsck error in packed object", Stalled, "BadObjects"),
    ("fatal: transport 'ext' not allowed", Stalled, "ProtocolForbidden"),
    ("warning: rejected refs/heads/main because shallow roots are not allowed to be updated", Stalled, "Shallow"),
    ("fatal: something nobody has ever seen", Unavailable, "GitFailed"),
    ("", Unavailable, "GitFailed"),
]  # fmt: skip


@pytest.mark.parametrize(("stderr", "kind", "reason"), SAYINGS)
def test_sayings(stderr: str, kind: type[NidusError], reason: str) -> None:
    with pytest.raises(kind) as caught:
        refuse(stderr, "fetching")
    assert (type(caught.value), caught.value.reason) == (kind, reason)
    assert caught.value.message.startswith("fetching")


@pytest.mark.parametrize(
    "stderr",
    ["error: inflate: data stream error (incorrect header check)", "fatal: bad object refs/source/0123",
     "fatal: loose object 12 (stored in objects/12/3) is corrupt", "fatal: unable to read tree 0123456789",
     "error: refs/source/x does not point to a valid object!\nfatal: bad object HEAD"],
)  # fmt: skip
def test_a_broken_mirror_is_told_from_a_broken_remote(stderr: str) -> None:
    with pytest.raises(Damaged):
        refuse(stderr, "fetching")


def test_messages_hold_no_user_part_no_control_characters_and_no_book() -> None:
    stderr = "remote: <h1>html</h1>\nfatal: unable to access 'https://robot:hunter2@h/x': \x1b[31mred " + "x" * 1000
    with pytest.raises(Unavailable) as caught:
        refuse(stderr, "fetching")
    assert "hunter2" not in caught.value.message
    assert "html" not in caught.value.message
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 300


def test_check() -> None:
    assert check(Answer(0, b"out", "warning: x"), "listing") == b"out"
    with pytest.raises(Stalled) as caught:
        check(Answer(-9, b"", "", cut=True), "listing")
    assert caught.value.reason == "TooBig"
