"""`nidus lock`: finds what every chart and address from elsewhere is, by digest, and writes nidus.lock.yaml beside the documents (K2)."""

from __future__ import annotations

import argparse
import secrets
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from reconciler.errors import NidusError, UsageError, printable
from reconciler.verbs import offline, usage

if TYPE_CHECKING:
    from reconciler.model import ChartRef, Tree, UrlRef
    from reconciler.packs.blobs import Read
    from reconciler.packs.content.fetch import Means
    from reconciler.packs.signed import Signer
    from reconciler.spec.lock import Locked
    from reconciler.spec.profiles import Profile

T = TypeVar("T")
EXAMPLES = (
    ("", "this folder"),
    ("--upgrade", "ranges and addresses anew, with what moved"),
    ("repo --config nidus.yaml", "with the credentials and the rules of a controller"),
)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What documents name without a digest, by its name in the file, and several may name it; the entries so far; `whole`: every document
    could be read; `keys`: what charts are verified with."""

    named: Mapping[str, Sequence[ChartRef | UrlRef]]
    before: Mapping[str, Locked]
    whole: bool
    keys: Mapping[str, Sequence[Signer]]

    def stands(self, key: str, one: ChartRef | UrlRef) -> Locked | None:
        """The entry of before, where it says all that is asked for."""
        from reconciler.spec.content import locks_signature

        known = self.before.get(key)
        if known is None or (locks_signature(one) and not known.signature):
            return None
        digest = getattr(one, "digest", "")
        return known if not digest or digest == known.digest else None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folder", nargs="?", default=".", metavar="FOLDER", help="folder with documents (default: here)"
    )
    parser.add_argument(
        "--upgrade",
        action="store_true",
        help="find everything anew, and the newest version of each range; print what moved",
    )
    parser.add_argument(
        "--config", default="", metavar="FILE", help="the controller's configuration: what is allowed, and credentials"
    )
    parser.add_argument("--source", default="", help="which of its sources the folder is (default: the only one)")


def run(args: argparse.Namespace) -> int:
    """Exit code 0; 1 where something cannot be found: its entry stays as it was, and the others are written."""
    from reconciler.spec import lock
    from reconciler.verbs.render import given_by

    given = given_by(args.config, args.source)
    place = _inside(Path(args.folder), given.path)
    wanted = _wanted(Path(args.folder), given.path, given.terms)
    means = offline.means(given.terms.content)
    found: dict[str, Locked] = {}
    failed = False
    for key in sorted(wanted.named):
        try:
            found[key] = _entry(key, wanted, means, upgrade=args.upgrade)
        except NidusError as error:
            failed = True
            print(printable(f"error: {key}: {error.told}"), file=sys.stderr)
            found |= {key: wanted.before[key]} if key in wanted.before else {}
    kept = {} if wanted.whole else {key: one for key, one in wanted.before.items() if key not in found}
    if not wanted.whole:
        print("note: documents have mistakes, so no entry is dropped: nidus validate", file=sys.stderr)
    for line in _moves(wanted, found | kept):
        print(printable(line))
    if found or kept or not failed or place.exists():
        _write(place, lock.text(found | kept))
    print(f"{lock.FILE}: {len(found | kept)} locked")
    return usage.FAILED if failed else usage.DONE


def _wanted(folder: Path, path: str, terms: offline.Terms) -> _Wanted:
    from reconciler.source import folder as documents
    from reconciler.spec import content, load, lock
    from reconciler.spec.codes import Code

    revision, tree, read = documents.read(folder, path, terms.limits)
    blobs = read(load.wanted(tree, load.NOTHING))
    snapshot, known = load.load("lock", revision, tree, blobs, load.NOTHING, terms.rules, terms.facts, terms.limits)
    packs = [pack for one in known.profiles.values() for pack in one.document.profile.spec.packs]
    wrong = [one for one in snapshot.violations if one.path == lock.FILE and one.code == Code.LOCK]
    if wrong:
        raise UsageError(f"{lock.FILE}: {wrong[0].message}", hint="mend it, or remove it and run nidus lock again")
    before = lock.read(blobs[tree.files[lock.FILE]], terms.limits)[0] if lock.FILE in tree.files else {}
    broken = {one.code for one in snapshot.violations} - {Code.UNLOCKED, Code.BROKEN_PROFILE}
    keys = _grouped(_keys(known.profiles.values(), tree, read))
    return _Wanted(_grouped(content.named(packs)), before, not broken, keys)


def _grouped(pairs: Iterable[tuple[str, T]]) -> dict[str, list[T]]:
    """All that is said of each name, each once."""
    found: dict[str, list[T]] = {}
    for name, one in pairs:
        if one not in found.setdefault(name, []):
            found[name].append(one)
    return found


def _keys(profiles: Iterable[Profile], tree: Tree, read: Read) -> Iterator[tuple[str, Signer]]:
    """Whom each chart has to be signed by, by the chart's name in the file."""
    from reconciler.packs.signed import Signer
    from reconciler.spec import files, lock

    for one in profiles:
        for pack in one.document.profile.spec.packs:
            asked = pack.helm.chart.verify if pack.helm is not None else None
            if pack.helm is None or asked is None or not asked.signature:
                continue
            path, named = files.beside(one.document.path, asked.file), asked.identity
            if path in tree.files:
                key = read([tree.files[path]])[tree.files[path]]
                signer = Signer(key, named.subject, named.issuer) if named else Signer(key)
                yield lock.of_chart(pack.helm.chart), signer


def _entry(key: str, wanted: _Wanted, means: Means, *, upgrade: bool) -> Locked:
    """The entry of before where it stands, else what is there now. Raises NidusError."""
    one = _strictest(wanted.named[key])
    known = wanted.stands(key, one)
    return known if known is not None and not upgrade else _resolved(one, means, wanted.keys.get(key, ()), upgrade)


def _strictest(named: Sequence[ChartRef | UrlRef]) -> ChartRef | UrlRef:
    """Of all that an entry is for, what asks for most: a signature, and of which digest. Raises Stalled where it would need two digests."""
    from reconciler.errors import Stalled
    from reconciler.spec.content import locks_signature

    digests = sorted({digest for one in named if (digest := getattr(one, "digest", ""))})
    if len(digests) > 1:
        why = f"documents verify it with {len(digests)} digests, {' and '.join(digests[:2])}, and an entry has one"
        raise Stalled(why, hint="write the same digest in all of them")
    return max(named, key=lambda one: (locks_signature(one), bool(getattr(one, "digest", ""))))


def _resolved(one: ChartRef | UrlRef, means: Means, keys: Sequence[Signer], upgrade: bool) -> Locked:
    from reconciler.errors import Stalled
    from reconciler.model import UrlRef
    from reconciler.packs.content import locking
    from reconciler.spec.semver import exact

    if not isinstance(one, UrlRef) and not exact(one.version) and not upgrade:
        raise Stalled("a range is resolved by --upgrade only", hint="nidus lock --upgrade")
    return locking.resolve(one, means, lambda size: None, *keys)


def _moves(wanted: _Wanted, found: Mapping[str, Locked]) -> Iterator[str]:
    """What is new, other and gone."""
    for key, one in sorted(found.items()):
        before = wanted.before.get(key)
        if before is None:
            yield f"new     {key}: {one.version or one.digest[:19]}"
        elif before != one:
            yield f"moved   {key}: {_apart(before, one)}"
    yield from (f"dropped {key}: no document names it" for key in sorted(wanted.before.keys() - found.keys()))


def _apart(before: Locked, now: Locked) -> str:
    if before.version != now.version:
        return f"{before.version} -> {now.version}"
    return f"{before.digest[:19]} -> {now.digest[:19]}: the same version has other content"


def _write(file: Path, text: bytes) -> None:
    """Replaced as a whole, through no link, and not touched where nothing changed."""
    fresh = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    try:
        if file.is_file() and file.read_bytes() == text:
            return
        with fresh.open("xb") as written:  # never what somebody else put there
            written.write(text)
        fresh.replace(file)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise UsageError(f"{file}: {error.strerror or error}", hint="nidus lock FOLDER") from error


def _inside(folder: Path, path: str) -> Path:
    """The place of the file, below the folder also where the path holds links."""
    from reconciler.spec import lock

    found = folder / path
    if not found.resolve().is_relative_to(folder.resolve()):
        raise UsageError(f"{found}: a link leads out of {folder}", hint="nidus lock FOLDER")
    return found / lock.FILE
