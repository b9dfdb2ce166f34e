"""How a verb waits for what nothing tells it of: it looks again and again."""

import time
from collections.abc import Iterator


def looks(seconds: float, pause: float = 0.05) -> Iterator[None]:
    """One turn a look, at least one, `pause` seconds apart, for `seconds`."""
    ends = time.monotonic() + seconds
    while True:
        yield
        if time.monotonic() >= ends:
            return
        time.sleep(pause)
