"""Tells channels of people what happened (U10, U11): a webhook, Slack or Teams. Whoever reports something only puts it down here; each
channel has a thread of its own that posts, so that one that fails or hangs holds nothing and no other channel."""

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from reconciler.model import NotifyConfig
from reconciler.notices.pending import Notice

if TYPE_CHECKING:
    from reconciler.notices.channel import Told

FAREWELL = 3.0  # seconds that a stop gives all channels together


class Notices:
    """All channels. `origin`: where people open the dashboard, "" where nowhere."""

    def __init__(
        self, channels: Sequence[NotifyConfig], origin: str, told: "Told", bug: Callable[[Exception], None]
    ) -> None:
        place = f"{origin}/clusters/" if origin else ""
        self._channels = []
        if channels:  # else no client of HTTP is loaded
            from reconciler.notices.channel import Channel

            self._channels = [Channel(one, place, told, bug) for one in channels]

    def offer(self, one: Notice) -> None:
        """Tell all that want it. Returns at once."""
        for channel in self._channels:
            channel.offer(one)

    def close(self) -> None:
        """Post what waits, and end."""
        for channel in self._channels:
            channel.end()
        ends = time.monotonic() + FAREWELL
        for channel in self._channels:
            channel.join(max(0.0, ends - time.monotonic()))
