"""Content from elsewhere: fetched by digest from where the operator allows it, and kept on disk (K1-K3).

`client` speaks HTTP, `index` and `oci` find what a chart's version is, `fetch` brings one piece into `store`, `background` does that beside
the passes and `direct` at once, for verbs.
"""

from collections.abc import Collection
from typing import Protocol

ABSENT = "ContentAbsent"
"""The reason of content that is not in the store and was not fetched."""


class Content(Protocol):
    """Where a renderer gets content from elsewhere. `cluster` is whom it is for, "" for nobody in particular."""

    def read(self, oids: Collection[str], cluster: str) -> dict[str, bytes]:
        """The bytes by `Remote.oid`. Raises Fetching where some are not here yet, Stalled(ContentRefused) where they cannot come."""
        ...

    def used(self, oids: Collection[str], source: str) -> None:
        """A layer of this source names these: they are kept."""
        ...
