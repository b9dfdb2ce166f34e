"""Brings one piece of content into the store (K3)."""

import os
from collections.abc import Callable, Iterable, Mapping
from typing import BinaryIO

from msgspec import Struct

from reconciler.errors import Stalled, Unavailable
from reconciler.model import ContentAllow, Remote
from reconciler.packs.content import index, kinds, oci
from reconciler.packs.content.access import Access, refused
from reconciler.packs.content.client import Answer, Asked, Client, Put
from reconciler.packs.content.store import Store, disk

LARGEST = 24 << 20
"""Bytes of one piece of content: what a render worker takes at once."""
TRIES = 4
"""Connections for one file that break off, as long as each brings something."""
_RANGE = frozenset({206, 416})

Progress = Callable[[int], None]


class Means(Struct, frozen=True):
    """What content is fetched with. `share`: bytes of the store that one source may use, 0 for all of it."""

    store: Store
    access: Access
    client: Client
    share: int = 0


class File(Struct, frozen=True):
    """A file to fetch: `led` = an index named its address; `secret` are headers for the place's own host."""

    address: str
    led: bool
    place: ContentAllow
    progress: Progress
    secret: Mapping[str, str] = {}


def bring(remote: Remote, means: Means, progress: Progress) -> None:
    """Fetch content whose digest is known; `progress` is told how many bytes of it are here.

    Raises Stalled(ContentRefused) where a human has to act, Retry and Unavailable otherwise.
    """
    if remote.in_registry:
        _bring_oci(remote, means, progress)
        return
    place = means.access.place(remote.address)
    if means.store.has(remote.digest):
        return
    led, address = False, remote.address
    if remote.name:
        led, address = True, find(remote, place, means.client).url + kinds.of(remote).suffix
    take(remote.digest, File(address, led, place, progress), means)


def _bring_oci(remote: Remote, means: Means, progress: Progress) -> None:
    """The manifest is kept when what it names is here: what is stored is whole."""
    registry = oci.Repository(remote.address, means.access, means.client)
    manifest = oci.checked(registry.manifest(f"sha256:{remote.digest}", fixed=True), remote.digest, remote.address)
    keep_oci(registry, manifest, kinds.named(remote, manifest), means, progress)


def keep_oci(registry: oci.Repository, manifest: bytes, named: Iterable[str], means: Means, progress: Progress) -> None:
    """Fetch what a manifest names, by hex digest, and keep both. Raises as `bring`."""
    for digest in named:
        take(digest, File(registry.blob(digest), False, registry.place, progress, registry.secret), means)
    means.store.put(manifest)


def take(digest: str, file: File, means: Means) -> None:
    """Fetch a file whose digest is known, unless it is here. Raises as `bring`."""
    if means.store.has(digest) or _brought(digest, file, means) or _brought(digest, file, means, anew=True):
        return
    raise Unavailable(f"{file.address}: it changes while it is read", reason="ContentUnreachable")


def _brought(digest: str, file: File, means: Means, *, anew: bool = False) -> bool:
    """Whether the file is kept. False where it was put together of parts that do not fit: it may have changed in between. `anew`: from
    its first byte. Raises as `bring`."""
    with means.store.part(digest, file.address) as part:
        if anew:
            part.truncate(0)
        joined = _fill(part, file, means.client)
        try:
            means.store.keep(digest, part)
        except Stalled as error:
            if joined:
                return False
            raise refused(f"{file.address}: {error.message}", error.hint) from None
    return True


def find(remote: Remote, place: ContentAllow, client: Client) -> index.Version:
    """What the index of a repository says of one version of a chart. Raises as `bring`."""
    for one in listed(remote.address, remote.name, place, client):
        if one.version == remote.version:
            return one
    raise refused(f"{remote.address}: no version {remote.version} of {remote.name}", "the version, or `nidus lock`")


def listed(repo: str, name: str, place: ContentAllow, client: Client) -> list[index.Version]:
    """Every version of a chart. Raises as `bring`."""
    address = f"{repo.rstrip('/')}/index.yaml"
    return index.versions(whole(Asked(address, place, index.LARGEST), client), name, repo)


def whole(asked: Asked, client: Client, *, led: bool = False) -> bytearray:
    """An answer in memory; `led` as of a `File`. Raises as `bring`."""
    found = bytearray()
    (client.follow if led else client.ask)(asked, lambda answer: found.extend)
    return found


def _fill(part: BinaryIO, file: File, client: Client) -> bool:
    """Read the rest of a file, from where it broke off. Whether it was read in parts."""
    joined = False
    for left in reversed(range(TRIES)):
        before = part.seek(0, os.SEEK_END)
        joined = joined or before > 0
        try:
            _attempt(part, file, client, before)
            break
        except Unavailable:
            if not left or part.seek(0, os.SEEK_END) <= before:
                raise
    return joined


def _attempt(part: BinaryIO, file: File, client: Client, start: int) -> None:
    headers = {"Range": f"bytes={start}-"} if start else {}
    asked = Asked(file.address, file.place, LARGEST, True, headers, _RANGE if start else frozenset(), file.secret)
    ask = client.follow if file.led else client.ask
    answer = ask(asked, lambda answer: _into(part, answer, file.progress))
    if answer.status == 416 and answer.headers.get("content-range") != f"bytes */{start}":  # more is here than there is
        part.truncate(0)
        raise Unavailable(f"{file.address}: it became shorter", reason="ContentUnreachable")


def _into(part: BinaryIO, answer: Answer, progress: Progress) -> Put:
    """Writes a body where it belongs: behind what is here only where the server says so."""
    if answer.status == 416:
        return lambda chunk: None
    at = part.seek(0, os.SEEK_END)
    if answer.status == 206 and answer.headers.get("content-range", "").partition("-")[0] != f"bytes {at}":
        part.truncate(0)  # and the next attempt begins anew
        raise Unavailable("the server gives another part than was asked for", reason="ContentUnreachable")
    if answer.status == 200:
        part.truncate(0)
        at = 0

    def put(chunk: bytes) -> None:
        nonlocal at
        try:
            part.write(chunk)
        except OSError as error:
            raise disk(error) from error
        at += len(chunk)
        progress(at)

    return put
