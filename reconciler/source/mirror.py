"""A bare mirror of one branch: fetched whole, read through the object database, never checked out (S1 to S8).

A mirror has one owner process and serves one call at a time. Every command git runs is written out here, in `fetching` or `storage`.
"""

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Self, TypeVar

from reconciler.errors import Stalled, Unavailable
from reconciler.model import Authored, Limits, Revision, SourceConfig, Tree, replace
from reconciler.source import environment, fetching, runner, signatures, storage, trees
from reconciler.source.address import oid, parse
from reconciler.source.answers import Damaged, check, refuse
from reconciler.source.history import LONGEST, authored, trailers
from reconciler.source.objects import COMMAND, Reader
from reconciler.source.place import Place, git

T = TypeVar("T")
_COMMITS = 100
_REPLACE_AGAIN = 600.0  # seconds a mirror that was just replaced is given before it may be replaced again (S7)
_PINS = "refs/nidus/"


class Mirror:
    """The mirror of one source. Calls raise Stalled or Unavailable, or return the complete answer (S3)."""

    def __init__(self, place: Place, lock: int) -> None:
        self._place = place
        self._owned = lock
        self._lock = threading.RLock()
        self._reader = Reader(self._start_reader, place.deadline)
        self._last: Tree | None = None
        self._pins: frozenset[str] | None = None

    @classmethod
    def open(cls, config: SourceConfig, folder: Path, *, deadline: float = 120.0, limits: Limits) -> Self:
        """The mirror in `folder`, made if absent, swept of leftovers (S7); no network. `deadline` in seconds, for each
        command.

        Raises UsageError (the source is configured wrongly), Retry("MirrorBusy"), Unavailable (disk).
        """
        folder = folder.absolute()
        place = Place(folder, config, parse(config), deadline, trees.bounds(limits))
        lock = storage.own(folder)
        try:
            storage.prepare(folder, deadline)
        except BaseException:
            os.close(lock)
            raise
        return cls(place, lock)

    def close(self) -> None:
        """Ends the reading process and releases the folder. Calling it twice does nothing."""
        with self._lock:
            self._reader.close()
            if self._owned >= 0:
                os.close(self._owned)
                self._owned = -1

    def halt(self) -> None:
        """End the call under way, from any thread: its git is killed and it raises Unavailable("Stopping"), as do later ones."""
        self._place.halt.set()

    def fetch(self) -> Revision:
        """The newest commit of the branch, now in the mirror (S1).

        Raises Unavailable (network, disk) or Stalled with reason RefMissing, RepositoryMissing, AccessDenied, HostKeyChanged, Redirected,
        CertificateInvalid, TooBig, BadObjects, Shallow.
        """
        return self._healing(self._fetch)

    def head(self) -> Revision | None:
        """The commit of the last fetch of this branch, None if there was none."""
        return self._healing(lambda: self._resolve(self._place.ref))

    def tree(self, commit: str) -> Tree:
        """The files below the source's path at a commit (S2). Raises Stalled with reason PathMissing, CommitMissing or TooBig."""
        return self._healing(lambda: self._tree(oid(commit)))

    def read(self, oids: Collection[str]) -> dict[str, bytes]:
        """The bytes of all these blobs, or an error (S3): Stalled("BlobMissing") when the mirror never held one of them."""
        return self._healing(lambda: self._read([oid(value) for value in oids]))

    def descends(self, old: str, new: str) -> bool:
        """Whether `new` is `old` or came after it (S5). An `old` the mirror does not hold is no ancestor: the history here is whole."""
        return self._healing(lambda: self._descends(oid(old), oid(new)))

    def trailers(self, old: str | None, new: str) -> tuple[tuple[str, str], ...]:
        """The trailers of at most 100 commits after `old` up to `new`, newest first; of `new` alone when `old` is None or unknown.

        A commit object over 64 KiB counts as one without trailers.
        """
        return self._healing(lambda: self._trailers(old and oid(old), oid(new)))

    def authored(self, commit: str) -> Authored | None:
        """Who wrote a commit; None where that cannot be read, or the commit object is over 64 KiB."""
        return self._healing(lambda: self._authored(oid(commit)))

    def signer(self, commit: str, since: str | None) -> str:
        """Who signed a commit, "" where the source asks for no signature (K14). `since` is the commit verified before.

        Raises Stalled("CommitUntrusted") where it may not be admitted, Stalled("KeysUnreadable").
        """
        return self._healing(lambda: self._signer(oid(commit), since and oid(since)))

    def pin(self, commits: Mapping[str, str]) -> frozenset[str]:
        """Keeps these commits (cluster -> commit), also after the branch was rewritten (S8), and no others.

        Returns the clusters whose commit the mirror does not hold. One ref per commit: clusters share theirs.
        """
        return self._healing(lambda: self._pin({name: oid(commit) for name, commit in commits.items()}))

    # One command each

    def _fetch(self) -> Revision:
        place = self._place
        before = self._resolve(place.ref)
        fetching.transfer(place, place.refspec, lambda: self._resolve(place.ref) != before, self._release)
        found = self._resolve(place.ref)
        if found is None:
            raise Unavailable("the fetched branch is not in the mirror", reason="GitFailed")
        if found == before and storage.crowded(place.folder):
            check(self._git(("repack", "-d", "-l", "-q", "--geometric=2")), "packing the mirror")
            self._reader.close()
        return found

    def _release(self) -> None:
        """Close the reader: packs are about to be deleted."""
        self._reader.close()
        self._last = None

    def _resolve(self, ref: str) -> Revision | None:
        (info,) = self._reader.info([ref])
        if info is None or info.kind != "commit":
            if self._has(ref):
                raise Damaged("the fetched commit is missing")
            return None
        return Revision(self._place.address.branch, info.oid)

    def _tree(self, commit: str) -> Tree:
        path = self._place.address.path
        known, info = self._reader.info([commit, f"{commit}:{path}" if path else f"{commit}^{{tree}}"])
        if known is None:
            raise self._missing(commit)
        if info is None or info.kind != "tree":
            if path:
                raise Stalled(
                    f"there is no folder {path} at {commit}", reason="PathMissing", hint="spec.sources[].path"
                )
            raise Damaged("the tree of a commit is missing")
        if self._last is None or self._last.oid != info.oid:
            self._last = self._amended(self._last, info.oid) if self._last else self._listed(info.oid)
        return self._last

    def _missing(self, commit: str) -> Exception:
        """The error for a commit that is missing: CommitMissing, or Damaged where a ref of ours names it."""
        self._resolve(self._place.ref)
        if self._has(_PINS + commit):
            return Damaged("a pinned commit is missing")
        return Stalled(f"the mirror does not hold commit {commit}", reason="CommitMissing")

    def _has(self, ref: str) -> bool:
        """Whether a ref of ours was written, readable or not; nothing ever packs refs here."""
        return (self._place.folder / ref).exists()

    def _listed(self, found: str) -> Tree:
        raw = check(self._git(("ls-tree", "-r", "-z", "-l", "--full-tree", found)), "listing the tree")
        if b" BAD\t" in raw:
            raise Damaged("a blob of the tree is missing")
        return trees.tree(found, trees.listing(raw), self._place.bounds)

    def _amended(self, before: Tree, found: str) -> Tree:
        """The new tree, from the last one and the differences, so that a push to a large repository costs only what it
        changed."""
        raw = check(self._git(("diff-tree", "-r", "-z", "--raw", "--no-renames", before.oid, found)), "comparing trees")
        removed, changed = trees.differences(raw)
        infos = self._reader.info([entry.oid for entry in changed if entry.kind == b"blob"])
        if None in infos:
            raise Damaged("a blob of the tree is missing")
        sizes = {info.oid: info.size for info in infos if info}
        return trees.amended(before, found, removed, trees.sized(changed, sizes), self._place.bounds)

    def _read(self, oids: Sequence[str]) -> dict[str, bytes]:
        found = self._reader.contents(oids)
        missing = [value for value in oids if value not in found]
        if missing and self._last is not None and any(value in self._last.sizes for value in missing):
            raise Damaged("a blob of the tree is missing")
        if missing:
            raise Stalled(f"the mirror does not hold {len(missing)} of {len(oids)} blobs", reason="BlobMissing")
        return found

    def _descends(self, old: str, new: str) -> bool:
        known, present = self._reader.info([old, new])
        if present is None:
            raise self._missing(new)
        if known is None or old == new:
            return old == new
        answer = self._git(("merge-base", "--is-ancestor", old, new))
        return answer.status == 0 if answer.status in (0, 1) else refuse(answer.err, "comparing commits")

    def _trailers(self, old: str | None, new: str) -> tuple[tuple[str, str], ...]:
        known = old is not None and self._reader.info([old])[0] is not None
        span: Sequence[str] = (f"--max-count={_COMMITS}", new, f"^{old}") if known else ("--max-count=1", new)
        commits = check(self._git(("rev-list", *span, "--")), "listing commits").decode().split()
        infos = self._reader.info(commits)
        short = [info.oid for info in infos if info is not None and info.size <= LONGEST]
        bodies = self._reader.contents(short, "commit")
        if None in infos or len(bodies) < len(short):
            raise Damaged("a commit is missing")
        return tuple(found for commit in short for found in trailers(bodies[commit]))

    def _authored(self, commit: str) -> Authored | None:
        info = self._reader.info([commit])[0]
        if info is None or info.kind != "commit" or info.size > LONGEST:
            return None
        return authored(self._reader.contents([commit], "commit").get(commit, b""))

    def _signer(self, commit: str, since: str | None) -> str:
        verify = self._place.config.verify
        if verify is None:
            return ""
        if verify.mode == "Range" and since is not None and self._reader.info([since])[0] is None:
            raise signatures.lost(since)
        return signatures.signer(self._place, verify, commit, since)

    def _pin(self, commits: Mapping[str, str]) -> frozenset[str]:
        wanted = sorted(set(commits.values()))
        infos = self._reader.info(wanted)
        present = frozenset(
            commit for commit, info in zip(wanted, infos, strict=True) if info and info.kind == "commit"
        )
        if self._pins is None:
            listed = check(self._git(("for-each-ref", "--format=%(objectname)", _PINS)), "listing pins")
            self._pins = frozenset(listed.decode().split())
        lines = [f"update {_PINS}{commit} {commit}\n" for commit in sorted(present - self._pins)]
        lines += [f"delete {_PINS}{commit}\n" for commit in sorted(self._pins - present)]
        if lines:
            check(self._git(("update-ref", "--stdin"), stdin="".join(lines).encode()), "pinning commits")
        self._pins = present
        return frozenset(name for name, commit in commits.items() if commit not in present)

    # Running git

    def _git(self, arguments: Sequence[str], *, network: bool = False, stdin: bytes = b"") -> runner.Answer:
        return git(self._place, arguments, network=network, stdin=stdin)

    def _start_reader(self) -> "subprocess.Popen[bytes]":
        place = self._place
        return runner.start(place.folder, COMMAND, environment.reading(place.folder), written=place.bounds.pack)

    # Healing (S7)

    def _healing(self, work: Callable[[], T]) -> T:
        """`work`, once more on a fresh clone if the mirror turns out to be broken. Unavailable when it was replaced just before."""
        with self._lock:
            if self._owned < 0:
                raise Unavailable("the mirror is closed", reason=runner.STOPPING)
            try:
                return work()
            except Damaged as error:
                self._replace(error)
            try:
                return work()
            except Damaged as error:
                raise Unavailable(f"the mirror is broken again: {error}", reason="MirrorBroken") from error

    def _replace(self, why: Damaged) -> None:
        """Clone beside the broken mirror, and replace it only when the clone is complete: while Git does not answer,
        the old one can still be read."""
        place = self._place
        self._reader.close()
        aside = storage.aside(place.folder)
        if aside.exists() and time.time() - aside.stat().st_mtime < _REPLACE_AGAIN:
            raise Unavailable(f"the mirror is broken: {why}", reason="MirrorBroken", after=_REPLACE_AGAIN) from why
        fresh = storage.fresh(place.folder)
        try:
            self._clone(fresh, why.form)
            storage.replace(place.folder)
        except Damaged as error:
            raise Unavailable(f"the mirror is broken and a new one too: {error}", reason="MirrorBroken") from error
        except OSError as error:
            raise Unavailable(f"the mirror cannot be replaced: {error.strerror}", reason="DiskFailed") from error
        finally:
            self._reader.close()
            self._place = place
            shutil.rmtree(fresh, ignore_errors=True)
        self._last, self._pins = None, None

    def _clone(self, fresh: Path, form: str) -> None:
        """The whole branch in a new folder, in the remote's object format."""
        storage.create(fresh, self._place.deadline, form)
        self._place = replace(self._place, folder=fresh)
        try:
            self._fetch()
        except Damaged as error:
            if error.form in ("", form):
                raise
            self._reader.close()
            storage.create(fresh, self._place.deadline, error.form)
            self._fetch()
        self._reader.close()
