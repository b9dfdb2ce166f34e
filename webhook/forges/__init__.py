"""The forges a delivery may come from: a module of two pure functions and one row in FORGES each."""

from collections.abc import Mapping
from typing import Protocol

from webhook.forges import generic, github
from webhook.forges.delivery import Delivery as Delivery


class Forge(Protocol):
    """What a forge's module offers. Headers are looked up by lower-case name."""

    def verify(self, headers: Mapping[str, str], body: bytes, secrets: tuple[bytes, ...]) -> bool:
        """Whether the body was signed with one of the secrets (W1)."""
        ...

    def parse(self, headers: Mapping[str, str], body: bytes) -> Delivery:
        """What a verified delivery says. Raises ValueError when it is malformed."""
        ...


FORGES: Mapping[str, Forge] = {"github": github, "generic": generic}
