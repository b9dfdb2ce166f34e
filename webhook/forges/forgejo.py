"""Forgejo: `X-Forgejo-Signature`, and the event's name in `X-Forgejo-Event`.

Forgejo sends the headers of Gitea with the same content too; older versions send only those, so they are read where its own are
missing.
"""

from typing import Final

from webhook.forges.githublike import Prefixed

FORGE: Final = Prefixed("Forgejo", ("gitea",))
