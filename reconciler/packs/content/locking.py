"""Finds what a version or an address is, by digest, for `nidus lock` (K2). What is found is kept in the store."""

import hashlib
from collections.abc import Iterable

from reconciler.errors import Stalled
from reconciler.model import ChartRef, ContentAllow, UrlRef
from reconciler.packs import signed
from reconciler.packs.content import fetch, kinds, oci
from reconciler.packs.content.access import refused
from reconciler.packs.content.client import Asked
from reconciler.packs.content.fetch import LARGEST, File, Means, Progress
from reconciler.packs.content.index import Version
from reconciler.packs.signed import Signer
from reconciler.spec import semver
from reconciler.spec.content import locks_signature
from reconciler.spec.lock import Locked
from reconciler.spec.semver import exact


def resolve(wanted: ChartRef | UrlRef, means: Means, progress: Progress, *keys: Signer) -> Locked:
    """What it is now; of a chart with `keys` also the signatures by all of them. Raises Stalled: ContentRefused, ChartUntrusted; Retry and
    Unavailable."""
    if isinstance(wanted, UrlRef):
        return Locked(_named(_content(wanted.url, means.access.place(wanted.url), means, led=False)))
    if wanted.oci:
        return _of_registry(wanted, means, progress, keys)
    place = means.access.place(wanted.repo)
    found = chosen(wanted, fetch.listed(wanted.repo, wanted.name, place, means.client))
    digest = wanted.digest.removeprefix("sha256:") or found.digest
    if digest:
        fetch.take(digest, File(found.url, True, place, progress), means)
    digest = digest or _content(found.url, place, means, led=True)
    signature = _named(_content(found.url + kinds.PROV, place, means, led=True)) if locks_signature(wanted) else ""
    return Locked(_named(digest), found.version, signature)


def _of_registry(wanted: ChartRef, means: Means, progress: Progress, keys: tuple[Signer, ...]) -> Locked:
    registry = oci.Repository(wanted.oci, means.access, means.client)
    version = wanted.version
    if not exact(version):
        tags = (Version(one.replace("_", "+"), "", "") for one in registry.tags())
        version = chosen(wanted, (one for one in tags if exact(one.version))).version
    manifest = registry.manifest(wanted.digest or oci.tag(version), fixed=bool(wanted.digest))
    if wanted.digest:
        oci.checked(manifest, wanted.digest.removeprefix("sha256:"), wanted.oci)
    fetch.keep_oci(registry, manifest, [oci.chart_of(manifest, wanted.oci)], means, progress)
    digest = hashlib.sha256(manifest).hexdigest()
    signature = _named(_signature(registry, digest, wanted, means, keys)) if keys else ""
    return Locked(_named(digest), version, signature)


def _signature(registry: oci.Repository, digest: str, wanted: ChartRef, means: Means, keys: tuple[Signer, ...]) -> str:
    """The hex digest of the first manifest that holds a signature by each key. Raises Stalled(ChartUntrusted)."""
    failed = signed.untrusted(str(wanted.oci), "nobody signed it")
    for manifest in registry.signatures(digest):
        named = oci.signatures_of(manifest, wanted.oci)
        fetch.keep_oci(registry, manifest, named, means, lambda size: None)
        parts = [manifest, *(means.store.get(one) or b"" for one in named)]
        try:
            for key in keys:
                signed.check(signed.packed(parts), digest, key, wanted.oci)
        except Stalled as error:
            failed = error
            continue
        return hashlib.sha256(manifest).hexdigest()
    if len(keys) > 1:
        why = f"documents verify it with {len(keys)} keys, and no manifest of signatures is by all of them"
        raise signed.untrusted(str(wanted.oci), why) from failed
    raise failed


def chosen(wanted: ChartRef, versions: Iterable[Version]) -> Version:
    """The version of the index that a chart asks for: the one it names, or the newest of its range. Raises Stalled."""
    by_name = {one.version: one for one in reversed(list(versions))}
    if exact(wanted.version):
        if wanted.version in by_name:
            return by_name[wanted.version]
    else:
        plain = {one.removeprefix("v"): one for one in by_name if exact(one)}
        try:
            best = semver.best(wanted.version, plain)
        except ValueError:
            raise refused(f"{wanted.version} is not a version or range", "1.2.3, or 1.2.x") from None
        if best is not None:
            return by_name[plain[best]]
    near = ", ".join(list(by_name)[-1:-6:-1])
    what = f"{wanted.oci or wanted.repo}: no version {wanted.version}{wanted.name and f' of {wanted.name}'}"
    raise refused(what, f"there are {near}")


def _content(address: str, place: ContentAllow, means: Means, *, led: bool) -> str:
    """The digest of what is there, which nobody has said yet."""
    data = fetch.whole(Asked(address, place, LARGEST), means.client, led=led)
    means.store.put(data)
    return hashlib.sha256(data).hexdigest()


def _named(digest: str) -> str:
    return f"sha256:{digest}"
