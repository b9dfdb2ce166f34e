"""What each kind of content is made of, one row a kind (`Remote.kind`)."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from msgspec import Struct

from reconciler.model import Remote
from reconciler.packs import signed
from reconciler.packs.content import oci

PROV = ".prov"
"""What the address of a chart's provenance file ends with (Helm)."""


def _first(parts: Sequence[bytes]) -> bytes:
    return parts[0]


def _nothing(manifest: bytes, address: str) -> list[str]:
    raise AssertionError(f"{address}: no manifest names it")


class Kind(Struct, frozen=True):
    """`named`: the hex digests of its files, of the manifest in a registry; raises Stalled(ContentRefused) for one of something else.
    `whole`: the manifest is one of its files, the first. `joined`: its files as a render gets them. `suffix`: what its address in a chart
    repository has after that of the chart."""

    named: Callable[[bytes, str], list[str]] = _nothing
    whole: bool = False
    joined: Callable[[Sequence[bytes]], bytes] = _first
    suffix: str = ""


KINDS: Final[Mapping[str, Kind]] = {
    "url": Kind(),
    "chart": Kind(),
    "oci": Kind(named=lambda manifest, address: [oci.chart_of(manifest, address)]),
    "signature": Kind(named=oci.signatures_of, whole=True, joined=signed.packed),
    "provenance": Kind(named=lambda manifest, address: [oci.provenance_of(manifest, address)], suffix=PROV),
}


def of(remote: Remote) -> Kind:
    return KINDS[remote.kind]


def named(remote: Remote, manifest: bytes) -> list[str]:
    """The hex digests of what a manifest names of this content. Raises Stalled(ContentRefused)."""
    return of(remote).named(manifest, remote.address)
