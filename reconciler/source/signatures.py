"""Whether commits are signed by keys that the operator trusts: git's own verification, with one folder's keys (packs.md K14)."""

from collections.abc import Sequence
from pathlib import Path

from reconciler.errors import Stalled, one_line
from reconciler.model import VerifyConfig
from reconciler.source import keys
from reconciler.source.answers import check
from reconciler.source.place import Place, git

LONGEST = 500
"""Commits of one range."""
SHOWN = 200
_WRONG = {
    "N": "is not signed",
    "B": "carries a signature that does not fit it: it was changed after it was signed",
    "U": "is signed with {key}, which is not among the keys of {folder}",
    "E": "is signed with {key}, which is not among the keys of {folder}, or in a way that git cannot check",
    "X": "carries a signature of {key} that has expired",
    "Y": "is signed with {key}, which has expired",
    "R": "is signed with {key}, which is revoked",
}
"""What git's `%G?` says of a commit that is not admitted (git-log(1), PRETTY FORMATS)."""
_NO_KIND = "bad/incompatible signature"
_HEAD = "verify.mode HEAD admits the newest one by its own signature; Range can be set again then"
_HINT = "sign it (git commit --amend -S) and push, or add the key to verify.keysFolder; until then what was admitted before counts"


def signer(place: Place, verify: VerifyConfig, head: str, since: str | None) -> str:
    """Who signed `head`: the user of the OpenPGP key, or the name of the SSH key. In mode Range every commit after `since` has to be
    signed too; where `since` is None, only `head`.

    Raises Stalled("CommitUntrusted") with the commit and what is wrong with its signature, Stalled("KeysUnreadable").
    """
    commits = _commits(place, head, since) if verify.mode == "Range" and since else [head]
    folder = Path(verify.keys_folder)
    with keys.ring(folder) as ring:
        seen = [_judged(record, folder, ring) for record in _verified(place, ring, commits)]
    if [commit for commit, _ in seen] != commits:
        raise Stalled("git did not tell of every commit whether it is signed", reason="CommitUntrusted")
    return dict(seen)[head]


def lost(since: str) -> Stalled:
    """Why nothing is admitted in mode Range where the repository does not hold the commit verified last: what came after cannot be told."""
    message = (
        f"commit {since[:12]}, which was verified last, is not in the repository any more: the branch was rewritten"
    )
    return Stalled(message, reason="CommitUntrusted", hint=_HEAD)


def _commits(place: Place, head: str, since: str) -> list[str]:
    """`head` first, then what came between."""
    words = ("rev-list", f"--max-count={LONGEST + 1}", head, f"^{since}", "--")
    found = check(git(place, words), "listing commits").decode().split()
    if len(found) > LONGEST:
        message = f"there are more than {LONGEST} commits after {since[:12]}, which was verified last"
        raise Stalled(message, reason="CommitUntrusted", hint=_HEAD)
    return [head, *(commit for commit in found if commit != head)]


def _verified(place: Place, ring: keys.Ring, commits: Sequence[str]) -> list[list[str]]:
    """[commit, letter, fingerprint, key, signer] of each."""
    programs = {
        "gpg.program": "gpg",
        "gpg.x509.program": "/bin/false",
        "gpg.ssh.program": "ssh-keygen",
        "gpg.ssh.allowedSignersFile": str(ring.signers),
        "gpg.ssh.defaultKeyCommand": "",
        "log.showSignature": "false",
    }
    words = [word for name, value in programs.items() for word in ("-c", f"{name}={value}")]
    words += ["log", "--no-walk=unsorted", "--no-color", "--no-notes", "--no-mailmap", "-z", "--stdin"]
    words += ["--format=tformat:%H%n%G?%n%GF%n%GK%n%GS"]
    stdin = "".join(f"{commit}\n" for commit in commits).encode()
    answer = git(place, words, stdin=stdin, extra={"GNUPGHOME": str(ring.home)})
    if answer.status and _NO_KIND in answer.err:  # git tells of no commit then
        message = f"commit {commits[0][:12]} is not admitted: it carries a signature of no kind that git knows"
        raise Stalled(message, reason="CommitUntrusted", hint=_HINT)
    out = check(answer, "verifying commits")
    records = out.decode("utf-8", "replace").split("\0")[:-1]
    return [[*record.split("\n", 4), *[""] * 4][:5] for record in records]


def _judged(record: Sequence[str], folder: Path, ring: keys.Ring) -> tuple[str, str]:
    """(commit, who signed it). Raises Stalled unless git calls the signature good and the key still counts."""
    commit, letter, fingerprint, key, name = record
    letter = ring.ended.get(fingerprint, letter) if letter in "GU" else letter
    if letter == "G" and name.strip():
        return commit, one_line(name, SHOWN)
    told = one_line(fingerprint or key or "a key that is not known", SHOWN)
    wrong = _WRONG.get(letter, _WRONG["E"]).format(key=told, folder=folder)
    raise Stalled(f"commit {commit[:12]} is not admitted: it {wrong}", reason="CommitUntrusted", hint=_HINT)
