"""The forges a delivery may come from: a module of pure functions and one row in FORGES each."""

from collections.abc import Mapping
from typing import Protocol

from webhook.forges import generic, github
from webhook.forges.delivery import Delivery as Delivery


class Forge(Protocol):
    """What a forge's module offers, beside TYPES, the media types it sends. Headers are looked up by lower-case name."""

    TYPES: frozenset[str]

    def claim(self, headers: Mapping[str, str]) -> str:
        """What the head offers as proof, "" where it is missing or malformed: then no body is read."""
        ...

    def verify(self, headers: Mapping[str, str], body: bytes, secrets: tuple[bytes, ...]) -> bool:
        """Whether the body was signed with one of the secrets (W1)."""
        ...

    def parse(self, headers: Mapping[str, str], body: bytes) -> Delivery:
        """What a verified delivery says. Raises ValueError when it is malformed."""
        ...


FORGES: Mapping[str, Forge] = {"github": github, "generic": generic}
