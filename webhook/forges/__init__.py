"""The forges a delivery may come from: a module of pure functions and one row in FORGES each."""

from collections.abc import Mapping
from typing import Protocol

from webhook.forges import azure_devops, bitbucket, bitbucket_server, forgejo, generic, gitea, github, gitlab, gogs
from webhook.forges.delivery import Delivery as Delivery
from webhook.forges.delivery import Message
from webhook.forges.delivery import NoSuchEvent as NoSuchEvent


class Forge(Protocol):
    """What a forge's module offers, beside TYPES, the media types it sends. Headers are looked up by lower-case name; `now` is in seconds
    since the epoch."""

    @property
    def TYPES(self) -> frozenset[str]: ...  # noqa: N802

    def claim(self, headers: Mapping[str, str]) -> str:
        """What the head offers as proof, "" where it is missing or malformed: then no body is read."""
        ...

    def verify(self, headers: Mapping[str, str], body: bytes, secrets: tuple[bytes, ...], now: float) -> bool:
        """Whether the body was signed with one of the secrets (W1)."""
        ...

    def parse(self, headers: Mapping[str, str], body: bytes) -> Delivery:
        """What a verified delivery says. Raises ValueError when it is malformed."""
        ...

    def compose(self, told: Delivery) -> Message:
        """A delivery as the forge sends it, without a signature, to test a route: `parse` gives `told` again. Raises NoSuchEvent."""
        ...

    def sign(self, body: bytes, secret: bytes, now: float) -> dict[str, str]:
        """The header fields by which `verify` accepts the body. Raises ValueError for a secret of the wrong form."""
        ...


FORGES: Mapping[str, Forge] = {
    "github": github,
    "gitlab": gitlab,
    "gitea": gitea.FORGE,
    "forgejo": forgejo.FORGE,
    "gogs": gogs.FORGE,
    "bitbucket": bitbucket,
    "bitbucket-server": bitbucket_server,
    "azure-devops": azure_devops,
    "generic": generic,
}
