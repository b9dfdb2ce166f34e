"""Signed commits (K14): real gnupg and ssh-keygen, real Git, a mirror and a source of the controller."""

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reconciler.controller.source import Ports, Source
from reconciler.controller.trigger import Woken
from reconciler.errors import Stalled
from reconciler.model import Limits, Rollout, Snapshot, SourceConfig, SourceReport, VerifyConfig
from reconciler.source import keys, signatures
from reconciler.source.mirror import Mirror
from tests.spec_cases import FACTS, RULES
from tests.test_source_mirror import Work

pytestmark = pytest.mark.xdist_group("signatures")

DAY = "seconds=86400"
Sign = Callable[[Work], str]


class Signers:
    """People with keys, made once: `folder` is what the operator mounts."""

    imposter: "Signers"

    def __init__(self, home: Path, folder: Path) -> None:
        self.home, self.folder = home, folder
        self.env = {"PATH": os.environ["PATH"], "GNUPGHOME": str(home), "HOME": str(home), "LC_ALL": "C"}
        folder.mkdir()

    def run(self, *words: str, stdin: bytes = b"") -> bytes:
        done = subprocess.run(words, env=self.env, input=stdin, capture_output=True, timeout=60)
        assert done.returncode == 0, (words, done.stderr)
        return done.stdout

    def gpg(self, *words: str, stdin: bytes = b"") -> bytes:
        return self.run(
            "gpg", "--batch", "--yes", "--quiet", "--pinentry-mode=loopback", "--passphrase=", *words, stdin=stdin
        )

    def made(self, name: str, *, faked: str = "", until: str = "0") -> str:
        """A key of `name`@example.com; `faked` is what its clock showed when it was made."""
        clock = (f"--faked-system-time={faked}",) if faked else ()
        self.gpg(*clock, "--quick-generate-key", f"{name} <{name}@example.com>", "ed25519", "sign", until)
        return name

    def shown(self, name: str) -> None:
        (self.folder / f"{name}.asc").write_bytes(self.gpg("--armor", "--export", f"{name}@example.com"))

    def revoked(self, name: str) -> None:
        """The operator's copy of the key is revoked; the holder's keyring does not know and signs on."""
        listed = self.gpg("--with-colons", "--list-keys", f"{name}@example.com").decode()
        (print_,) = (line.split(":")[9] for line in listed.splitlines() if line.startswith("fpr"))
        certificate = (
            (self.home / "openpgp-revocs.d" / f"{print_}.rev").read_text().replace(":-----BEGIN", "-----BEGIN")
        )
        there = f"--homedir={self.folder.parent / 'other'}"
        (self.folder.parent / "other").mkdir(mode=0o700)
        self.gpg(there, "--import", stdin=self.gpg("--export", f"{name}@example.com"))
        self.gpg(there, "--import", stdin=certificate.encode())
        (self.folder / f"{name}.asc").write_bytes(self.gpg(there, "--armor", "--export", f"{name}@example.com"))

    def ssh(self, name: str) -> str:
        self.run(
            "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"{name}@example.com", "-f", str(self.home / name)
        )
        return (self.home / f"{name}.pub").read_text()


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Signers]:
    if missing := [one for one in ("gpg", "ssh-keygen") if not shutil.which(one)]:
        pytest.skip(f"{' and '.join(missing)} are needed to sign commits")
    home = tmp_path_factory.mktemp("g")
    home.chmod(0o700)
    made = Signers(home, tmp_path_factory.mktemp("k") / "keys")
    for name in ("good", "unknown", "revoked"):
        made.made(name)
    made.made("expired", faked="20200101T000000", until=DAY)
    for name in ("good", "expired"):
        made.shown(name)
    made.revoked("revoked")
    other = Signers(tmp_path_factory.mktemp("i"), tmp_path_factory.mktemp("j") / "keys")
    other.home.chmod(0o700)
    other.made("good")  # another key of the same name
    made.imposter = other
    lines = {name: made.ssh(name) for name in ("sshgood", "sshunknown", "sshexpired", "sshrevoked", "sshlater")}
    told = [
        "# the platform team",
        lines["sshgood"],
        f'expiry-time="20200102" {lines["sshexpired"]}',
        lines["sshrevoked"],
    ]
    (made.folder / "team.sshpub").write_text("\n".join(told) + f'\nexpiry-time="29990101" {lines["sshlater"]}')
    (made.folder / "revoked.krl").write_text(lines["sshrevoked"])
    yield made
    for one in (made, other):
        one.run("gpgconf", "--kill", "all")


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path / "work")


def settings(people: Signers, name: str, faked: str = "") -> list[str]:
    """What lets git sign with somebody's OpenPGP key."""
    program = people.home / f"sign-{faked or 'now'}"
    clock = f"--faked-system-time={faked}" if faked else ""
    program.write_text(f'#!/bin/sh\nGNUPGHOME={people.home} exec gpg --batch {clock} "$@"\n')
    program.chmod(0o755)
    return ["-c", f"gpg.program={program}", "-c", f"user.signingKey={name}@example.com"]


def openpgp(people: Signers, name: str, faked: str = "") -> Sign:
    return lambda work: signed(work, *settings(people, name, faked))


def ssh(people: Signers, name: str) -> Sign:
    return lambda work: signed(work, "-c", "gpg.format=ssh", "-c", f"user.signingKey={people.home / name}")


def signed(work: Work, *words: str) -> str:
    work.git(*words, "commit", "-q", "--allow-empty", "-S", "-m", "signed")
    return work.git("rev-parse", "HEAD")


def unsigned(work: Work) -> str:
    work.git("commit", "-q", "--allow-empty", "-m", "plain")
    return work.git("rev-parse", "HEAD")


def rewritten(by: Sign) -> Sign:
    """A commit whose message was changed behind its signature."""

    def sign(work: Work) -> str:
        body = work.git("cat-file", "commit", by(work)).replace("\nsigned", "\nsigned by me")
        return put(work, f"{body}\n")

    return sign


def headed(signature: str) -> Sign:
    """A commit with these words where a signature stands."""

    def sign(work: Work) -> str:
        head, _, message = work.git("cat-file", "commit", unsigned(work)).partition("\n\n")
        return put(work, f"{head}\ngpgsig {signature}\n\n{message}\n")

    return sign


def twice(by: Sign) -> Sign:
    """A commit with a signature of `by` and one that is none, in one header each."""

    def sign(work: Work) -> str:
        head, _, message = work.git("cat-file", "commit", by(work)).partition("\n\n")
        start = head.index("gpgsig ")
        return put(work, f"{head}\n{head[start:]}\n\n{message} twice\n")

    return sign


def put(work: Work, body: str) -> str:
    commit = work.git("hash-object", "--literally", "-t", "commit", "-w", "--stdin", stdin=body.encode())
    work.git("update-ref", "refs/heads/main", commit)
    return commit


def mirror(work: Work, folder: Path, keys_folder: Path, mode: str = "HEAD") -> Mirror:
    verify = VerifyConfig(str(keys_folder), mode)
    return Mirror.open(SourceConfig(name="s", url=str(work.folder), verify=verify), folder, limits=Limits())


def table(people: Signers) -> dict[str, tuple[Sign, str]]:
    """Case -> how the commit is made, and what is told: who signed it where that begins with +."""
    return {
        "openpgp good": (openpgp(people, "good"), "+good <good@example.com>"),
        "openpgp unknown": (openpgp(people, "unknown"), "which is not among the keys of"),
        "openpgp expired": (openpgp(people, "expired", faked="20200101T100000"), "which has expired"),
        "openpgp revoked": (openpgp(people, "revoked"), "which is revoked"),
        "openpgp rewritten": (rewritten(openpgp(people, "good")), "it was changed after it was signed"),
        "ssh good": (ssh(people, "sshgood"), "+sshgood@example.com"),
        "ssh that ends later": (ssh(people, "sshlater"), "+sshlater@example.com"),
        "ssh unknown": (ssh(people, "sshunknown"), "which is not among the keys of"),
        "ssh expired": (ssh(people, "sshexpired"), "which has expired"),
        "ssh revoked": (ssh(people, "sshrevoked"), "which is revoked"),
        "ssh rewritten": (rewritten(ssh(people, "sshgood")), "it was changed after it was signed"),
        "openpgp of the same name": (openpgp(people.imposter, "good"), "which is not among the keys of"),
        "unsigned": (unsigned, "is not signed"),
        "x509": (headed("-----BEGIN SIGNED MESSAGE-----\n AAAA\n -----END SIGNED MESSAGE-----"), "is not admitted"),
        "no signature": (headed("good <good@example.com>"), "of no kind that git knows"),
        "two signatures": (twice(openpgp(people, "good")), "is not admitted"),
    }


CASES = (
    "openpgp good", "openpgp unknown", "openpgp expired", "openpgp revoked", "openpgp rewritten", "ssh good", "ssh that ends later",
    "ssh unknown", "ssh expired", "ssh revoked", "ssh rewritten", "openpgp of the same name", "unsigned", "x509", "no signature",
    "two signatures",
)  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_who_is_believed(case: str, people: Signers, work: Work, tmp_path: Path) -> None:
    how, told = table(people)[case]
    commit = how(work)
    with contextlib.closing(mirror(work, tmp_path / "mirror", people.folder)) as opened:
        assert opened.fetch().commit == commit
        if told.startswith("+"):
            assert opened.signer(commit, None) == told[1:]
            return
        with pytest.raises(Stalled) as refused:
            opened.signer(commit, None)
    error = refused.value
    assert error.reason == "CommitUntrusted" and "verify.keysFolder" in error.hint
    assert error.message.startswith(f"commit {commit[:12]} is not admitted: it ") and told in error.message


def test_a_range_needs_every_signature(people: Signers, work: Work, tmp_path: Path) -> None:
    """The newest commit is signed in both; what came between is not. In a merge both sides count."""
    good = openpgp(people, "good")
    base = good(work)
    work.git("checkout", "-q", "-b", "side")
    plain = unsigned(work)
    work.git("checkout", "-q", "main")
    good(work)
    work.git(*settings(people, "good"), "merge", "-q", "-S", "--no-ff", "-m", "merged", "side")
    head = work.git("rev-parse", "HEAD")
    with contextlib.closing(mirror(work, tmp_path / "one", people.folder)) as opened:
        opened.fetch()
        assert opened.signer(head, base).startswith("good ")
    with contextlib.closing(mirror(work, tmp_path / "all", people.folder, "Range")) as opened:
        opened.fetch()
        with pytest.raises(Stalled, match=f"commit {plain[:12]} is not admitted: it is not signed"):
            opened.signer(head, base)
        assert opened.signer(head, None).startswith("good "), "nothing was verified before: the newest one counts"
        with pytest.raises(
            Stalled, match="commit 000000000000, which was verified last, is not in the repository any more"
        ) as refused:
            opened.signer(head, "0" * 40)  # a rewritten branch in a new mirror: what came between cannot be told
        assert "verify.mode HEAD" in refused.value.hint
        assert opened.signer(base, base).startswith("good ")


def test_a_range_is_bounded(people: Signers, work: Work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signatures, "LONGEST", 2)
    base = work.commit({"a": "1"})
    head = [ssh(people, "sshgood")(work) for _ in range(3)][-1]
    with contextlib.closing(mirror(work, tmp_path / "mirror", people.folder, "Range")) as opened:
        opened.fetch()
        with pytest.raises(Stalled, match="more than 2 commits"):
            opened.signer(head, base)


def test_keys_are_read_anew_for_each_commit(people: Signers, work: Work, tmp_path: Path) -> None:
    """As a mounted Secret changes: its names are links into a folder that is replaced."""
    folder, first, second = tmp_path / "keys", tmp_path / "keys" / "..1", tmp_path / "keys" / "..2"
    for where, name in ((first, "good"), (second, "sshgood")):
        where.mkdir(parents=True)
        source = people.folder / "good.asc" if name == "good" else people.home / "sshgood.pub"
        shutil.copy(source, where / ("a.asc" if name == "good" else "a.sshpub"))
    (folder / "..data").symlink_to("..1")
    (folder / "a.asc").symlink_to("..data/a.asc")
    commit = ssh(people, "sshgood")(work)
    with contextlib.closing(mirror(work, tmp_path / "mirror", folder)) as opened:
        opened.fetch()
        with pytest.raises(Stalled, match="not among the keys"):
            opened.signer(commit, None)
        (folder / "a.asc").unlink()
        (folder / "..data").unlink()
        (folder / "..data").symlink_to("..2")
        (folder / "a.sshpub").symlink_to("..data/a.sshpub")
        assert opened.signer(commit, None) == "sshgood@example.com"


@pytest.mark.parametrize(
    ("files", "told"),
    [
        (None, "No such file or directory"),
        ({}, "holds no key"),
        ({"revoked.krl": "", "readme.md": "x"}, "holds no key"),
        ({"a.sshpub": "ssh-ed25519\n"}, "a.sshpub, line 1, is no SSH key"),
        ({"a.sshpub": "# mine\n\nssh-ed25519 AAAA====\n"}, "a.sshpub, line 3, is no SSH key"),
        ({"a.sshpub": "cert-authority ssh-ed25519 " + "A" * 68}, "of options only expiry-time is understood"),
        ({"a.asc": "no key\n"}, "gpg refuses keys of a.asc"),
        ({f"{number}.asc": "x" for number in range(201)}, "holds more than 200 files"),
        ({"a.asc": "x" * (6 << 20)}, "or 5 MiB"),
    ],
    ids=lambda one: str(one)[:40],
)
def test_a_folder_of_keys_that_is_wrong(files: dict[str, str] | None, told: str, work: Work, tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    if files is not None:
        folder.mkdir()
        for name, text in files.items():
            (folder / name).write_text(text)
    commit = work.commit({"a": "1"})
    with contextlib.closing(mirror(work, tmp_path / "mirror", folder)) as opened:
        opened.fetch()
        with pytest.raises(Stalled, match=re.escape(told)) as refused:
            opened.signer(commit, None)
    assert refused.value.reason == "KeysUnreadable" and "keysFolder" in refused.value.hint


def test_a_named_pipe_among_the_keys_holds_nobody(work: Work, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.asc")
    with pytest.raises(Stalled, match=r"a\.asc is no file"), keys.ring(tmp_path):
        pass


def test_a_line_is_read_as_authorized_keys_are(people: Signers) -> None:
    line = (people.home / "sshgood.pub").read_text()
    kind, key, _ = line.split()
    (bare,) = keys.ssh_keys("team.sshpub", f"{kind} {key}".encode())
    assert (bare.name, bare.until) == ("team", 0.0)
    (odd,) = keys.ssh_keys("x", f'expiry-time="20300101" {kind} {key} a b,*!"'.encode())
    assert (odd.name, odd.until) == ("a_b____", 1893456000.0), "no pattern and no second principal"
    (never,) = keys.ssh_keys("x", f'expiry-time="99999999" {kind} {key}'.encode())
    assert never.until == 1.0, "what is no time has ended"


def test_the_keys_of_the_machine_do_not_count(
    people: Signers, work: Work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GNUPGHOME", str(people.home))
    commit = openpgp(people, "unknown")(work)
    with contextlib.closing(mirror(work, tmp_path / "mirror", people.folder)) as opened:
        opened.fetch()
        with pytest.raises(Stalled, match="not among the keys"):
            opened.signer(commit, None)


class Followed:
    """A source of the controller and what it handed on."""

    def __init__(self, opened: Mirror, verify: VerifyConfig) -> None:
        self.snapshots: list[Snapshot] = []
        self.reports: list[SourceReport] = []
        self.stood: list[str] = []
        ports = Ports(
            revise=self._revise,
            stand=self.stood.append,
            synced=lambda name, trigger: None,
            tell=self.reports.append,
            accepted=lambda name: {},
            records=dict,
            running=lambda name: {},
        )
        config = SourceConfig(name="s", url="", verify=verify)
        self.source = Source(config, opened, RULES, FACTS, Limits(), ports)

    def _revise(self, snapshot: Snapshot, forced: bool) -> Rollout:
        self.snapshots.append(snapshot)
        return Rollout(admitted={}, held={}, tombstones={})

    def step(self) -> SourceReport:
        self.source.step(Woken("poll", 1.0, False, False))
        return self.reports[-1]


def test_a_bad_head_changes_nothing(people: Signers, work: Work, tmp_path: Path) -> None:
    """What was admitted stands, the status names commit and reason; a signed commit goes on."""
    good = openpgp(people, "good")
    first = good(work)
    with contextlib.closing(mirror(work, tmp_path / "mirror", people.folder)) as opened:
        followed = Followed(opened, VerifyConfig(str(people.folder)))
        report = followed.step()
        assert report.authored and report.authored.signer == "good <good@example.com>"
        work.commit({"b.yaml": "apiVersion: nidus.dev/v1alpha1\n"})
        bad = rewritten(good)(work)
        report = followed.step()
        assert report.error.startswith(f"CommitUntrusted: commit {bad[:12]} is not admitted: it ")
        assert report.revision and report.revision.commit == first
        assert [one.revision.commit for one in followed.snapshots] == [first]
        last = ssh(people, "sshgood")(work)
        report = followed.step()
        assert (report.error, report.authored and report.authored.signer) == ("", "sshgood@example.com")
        assert [one.revision.commit for one in followed.snapshots] == [first, last]


def test_a_bad_head_at_the_start_lets_what_was_accepted_stand(people: Signers, work: Work, tmp_path: Path) -> None:
    unsigned(work)
    with contextlib.closing(mirror(work, tmp_path / "mirror", people.folder)) as opened:
        followed = Followed(opened, VerifyConfig(str(people.folder)))
        report = followed.step()
        assert "is not signed" in report.error and report.revision is None
        assert (followed.snapshots, followed.stood) == ([], ["s"])
        work.git("reset", "-q", "--soft", "HEAD")
        signed_head = ssh(people, "sshgood")(work)
        assert followed.step().error == ""
        assert [one.revision.commit for one in followed.snapshots] == [signed_head]


def test_without_verify_nothing_is_asked(work: Work, tmp_path: Path) -> None:
    commit = work.commit({"a": "1"})
    config = SourceConfig(name="s", url=str(work.folder))
    with contextlib.closing(Mirror.open(config, tmp_path / "mirror", limits=Limits())) as opened:
        opened.fetch()
        assert opened.signer(commit, None) == ""
