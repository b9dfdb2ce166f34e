"""An open watch: its lines, checked one by one (A8)."""

from collections.abc import Iterator

from reconciler.kube import shape
from reconciler.kube.shape import Asked, Event
from reconciler.kube.transport import Stream


class Watch:
    """Iterate for checked events; `stop` from any thread ends the iteration."""

    def __init__(self, stream: Stream, asked: Asked, *, partial: bool = False) -> None:
        self._partial = partial
        self._stream = stream
        self._asked = asked

    def __iter__(self) -> Iterator[Event]:
        """Yield each event. Ends when the server closes; raises ApiError: RELIST, or TRANSIENT on silence, a reset or rubbish."""
        for line in self._stream:
            if line:
                yield shape.event(line, self._asked, partial=self._partial)

    def stop(self) -> None:
        """End a blocked read of another thread."""
        self._stream.stop()
