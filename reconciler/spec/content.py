"""Packs from elsewhere: each named by digest, in the profile or in the lock file, and from where the operator allows it (K1, K2)."""

from collections.abc import Iterable, Iterator
from typing import Literal

from msgspec import Struct, field

from reconciler.model import ChartRef, ChartVerify, ContentAllow, ManifestsPack, Pack, PackChart, Remote, UrlRef
from reconciler.spec import addresses, lock
from reconciler.spec.codes import Code
from reconciler.spec.semver import exact

Mistake = tuple[str, Code, str, str]
Found = Iterator[Remote | Mistake]
_FIELDS = ("name", "version", "digest", "verify")


class Elsewhere(Struct, frozen=True):
    """What is known of content from elsewhere: the entries of the lock file, and what the operator allows; None where that is not
    known, so that nothing is judged by it."""

    locked: lock.Entries = field(default_factory=dict)
    allowed: tuple[ContentAllow, ...] | None = None


def of_chart(chart: ChartRef, place: str, known: Elsewhere) -> Found:
    """A chart from elsewhere, or its mistakes; nothing of one in the repository. `place` points at it."""
    if not is_remote(chart):
        for name in (name for name in _FIELDS if getattr(chart, name, None)):
            yield (
                f"{place}/{name}",
                Code.WRONG_VALUE,
                f"{name} is of charts from elsewhere",
                "write repo or oci, or remove it",
            )
        return
    wanted = ("version",) if chart.oci else ("name", "version")
    if lacking := [name for name in wanted if not getattr(chart, name)]:
        yield place, Code.MISSING_FIELD, f"{' and '.join(lacking)} of the chart", f"{' and '.join(wanted)} belong to it"
        return
    if chart.oci and chart.name:
        yield (
            f"{place}/name",
            Code.WRONG_VALUE,
            "name is of charts in a chart repository",
            "it is the end of the address",
        )
    yield from _allowed(chart.oci or chart.repo, f"{place}/{'oci' if chart.oci else 'repo'}", known)
    if chart.digest and not exact(chart.version):
        yield f"{place}/version", Code.WRONG_VALUE, "a digest is of one version, not of a range", "write the version"
        return
    found = _digest(chart, known)
    if found is None:
        what = f"chart {chart.oci or chart.name} {chart.version}"
        yield place, Code.UNLOCKED, *_unlocked(what, exact(chart.version))
        return
    kind: Literal["oci", "chart"] = "oci" if chart.oci else "chart"
    yield Remote(kind, chart.oci or chart.repo, found.digest.removeprefix("sha256:"), chart.name, found.version)
    if isinstance(chart, PackChart) and chart.verify:
        yield from _vouching(chart, chart.verify, found, f"{place}/verify", known)


def _vouching(chart: PackChart, verify: ChartVerify, found: lock.Locked, place: str, known: Elsewhere) -> Found:
    """What is to be fetched to verify the chart, after the chart itself."""
    entry = known.locked.get(lock.of_chart(chart))
    if verify.signature and not chart.oci:
        name = verify.at.partition("/")[0]
        what, hint = "signatures of cosign are of charts in an OCI registry", f"provenance in place of {name}"
        yield f"{place}/{name}", Code.WRONG_VALUE, what, f"write oci in place of repo, or {hint}"
    elif not locks_signature(chart):
        yield Remote("provenance", chart.oci, found.digest.removeprefix("sha256:"))
    elif entry is None or not entry.signature or entry.digest != found.digest:
        what = f"chart {chart.oci or chart.name} {chart.version} has no digest of its signature in {lock.FILE}"
        yield place, Code.UNLOCKED, what, "run `nidus lock` and commit its file"
    elif verify.signature:
        yield Remote("signature", chart.oci, entry.signature.removeprefix("sha256:"))
    else:
        yield Remote("provenance", chart.repo, entry.signature.removeprefix("sha256:"), chart.name, found.version)


def locks_signature(chart: ChartRef | UrlRef) -> bool:
    """Whether the digest of what vouches for a chart stands in the lock file. The manifest of a chart in a registry names its provenance
    file."""
    return isinstance(chart, PackChart) and chart.verify is not None and bool(chart.verify.signature or chart.repo)


def _digest(chart: ChartRef, known: Elsewhere) -> lock.Locked | None:
    """The chart's own, or that of its entry."""
    if chart.digest:
        return lock.Locked(chart.digest, chart.version)
    entry = known.locked.get(lock.of_chart(chart))
    return entry if entry is not None and entry.version else None


def of_engine(chart: ChartRef, place: str, known: Elsewhere) -> Found:
    """The chart of an engine, or its mistakes: a configuration has no lock file."""
    if chart.digest or not is_remote(chart):
        yield from of_chart(chart, place, known)
    else:
        yield place, Code.UNLOCKED, "the chart has no digest", "write digest: sha256:..."


def of_urls(manifests: ManifestsPack, place: str, known: Elsewhere) -> Found:
    """The files of a pack that come from elsewhere, or their mistakes; `place` points at `urls`."""
    for index, one in enumerate(manifests.urls):
        yield from _of_url(one, f"{place}/{index}", known)


def named(packs: Iterable[Pack]) -> Iterator[tuple[str, ChartRef | UrlRef]]:
    """What packs take from elsewhere without saying its digest, or that of its signature, by its name in the lock file."""
    for pack in packs:
        if (
            pack.helm
            and is_remote(pack.helm.chart)
            and (not pack.helm.chart.digest or locks_signature(pack.helm.chart))
        ):
            yield lock.of_chart(pack.helm.chart), pack.helm.chart
        for url in pack.manifests.urls if pack.manifests else ():
            if not url.sha256:
                yield lock.of_url(url), url


def is_remote(chart: ChartRef) -> bool:
    """Whether the chart is not a folder of the repository."""
    return bool(chart.repo or chart.oci)


def _of_url(one: UrlRef, place: str, known: Elsewhere) -> Found:
    yield from _allowed(one.url, f"{place}/url", known)
    entry = known.locked.get(lock.of_url(one))
    digest = one.sha256 or (entry.digest.removeprefix("sha256:") if entry else "")
    if digest:
        yield Remote("url", one.url, digest)
    else:
        yield place, Code.UNLOCKED, *_unlocked(one.url, True)


def _allowed(address: str, place: str, known: Elsewhere) -> Iterator[Mistake]:
    if not addresses.plain(address):
        yield place, Code.CONTENT_ADDRESS, "an address that leads out of its folder", "write it without . and .."
    elif known.allowed is None:
        if address.startswith("http://") and not addresses.local(addresses.host(address).rpartition(":")[0]):
            yield place, Code.CONTENT_ADDRESS, "http is not safe against changes on the way", "write https://"
    elif addresses.allowed(address, known.allowed) is None:
        prefixes = ", ".join(one.prefix for one in known.allowed[:5]) or "none is allowed"
        told = f"content may not come from {address}"
        yield place, Code.CONTENT_ADDRESS, told, f"the controller's spec.content.allow: {prefixes}"


def _unlocked(what: str, exact: bool) -> tuple[str, str]:
    told = f"{what} has no digest, here or in {lock.FILE}"
    return (
        told,
        "run `nidus lock` and commit its file" if exact else "run `nidus lock --upgrade`, which resolves ranges",
    )
