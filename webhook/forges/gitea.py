"""Gitea: `X-Gitea-Signature`, and the event's name in `X-Gitea-Event`.

Gitea sends the headers of GitHub and Gogs besides, which are not read. Source: Gitea, services/webhook/deliver.go.
"""

from typing import Final

from webhook.forges.githublike import Prefixed

FORGE: Final = Prefixed("Gitea")
