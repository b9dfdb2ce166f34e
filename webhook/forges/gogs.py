"""Gogs: `X-Gogs-Signature`, and the event's name in `X-Gogs-Event`.

Source: documentation of Gogs, "Webhooks".
"""

from typing import Final

from webhook.forges.githublike import Prefixed

FORGE: Final = Prefixed("Gogs")
