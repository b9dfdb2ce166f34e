"""Content from elsewhere (K2): charts and manifests that are not in the repository, named by the digest of their bytes."""

from typing import Literal

import msgspec
from msgspec import Struct

from reconciler import decoding

OID = "content:"  # what the id of such a file begins with; all others are of Git, or of the operator's charts


class Remote(Struct, frozen=True, array_like=True):
    """Where content is, and what it must be.

    `kind` "url": the bytes at `address`. "chart": version `version` of the chart `name` in the repository at `address`, as its
    index says. "oci": the chart in the OCI repository `address` (oci://HOST/PATH). "signature": signatures of a chart there, "provenance":
    Helm's provenance file of a chart in either (K4). `digest` is the hex SHA-256 of the bytes, in a registry that of the manifest; "" where
    nobody has said it yet.
    """

    kind: Literal["url", "chart", "oci", "signature", "provenance"]
    address: str
    digest: str = ""
    name: str = ""
    version: str = ""

    @property
    def oid(self) -> str:
        """Its id among the files of a layer; `remote_of` reads it."""
        return OID + msgspec.json.encode(self).decode()

    @property
    def in_registry(self) -> bool:
        """Whether a manifest names it."""
        return self.address.startswith("oci://")

    @property
    def vouches(self) -> bool:
        """Whether it says who made a chart, and is none."""
        return self.kind in ("signature", "provenance")

    def __str__(self) -> str:
        return " ".join(filter(None, (self.address, self.name, self.version, self.kind if self.vouches else "")))


def remote_of(oid: str) -> Remote:
    """The content that an id names. Raises msgspec.ValidationError for one that `Remote.oid` did not make."""
    return decoding.decoded(oid.removeprefix(OID), Remote)
