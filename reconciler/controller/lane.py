"""Keys that wait, in turns: the source that was served longest ago comes next, and of a source the key that came first."""

from collections.abc import Callable, Collection


class Lane:
    """Not locked: the queue's lock is held around every call. A key keeps the source it was added with."""

    def __init__(self) -> None:
        self._sources: dict[str, dict[str, None]] = {}
        self._source_of: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._source_of)

    def __contains__(self, key: str) -> bool:
        return key in self._source_of

    def add(self, key: str, source: str) -> None:
        """Behind the source's other keys; a key that waits already keeps its place."""
        if key not in self._source_of:
            self._source_of[key] = source
            self._sources.setdefault(source, {})[key] = None

    def discard(self, key: str) -> None:
        source = self._source_of.pop(key, None)
        if source is not None:
            del self._sources[source][key]
            if not self._sources[source]:
                del self._sources[source]

    def take(self, sated: Collection[str], may: Callable[[str], bool]) -> tuple[str, str] | None:
        """The next (key, source) of a source that is not `sated`, and of which `may` says yes, taken out; its source comes
        last from now on."""
        for source in (one for one in self._sources if one not in sated):
            key = next(filter(may, self._sources[source]), None)
            if key is not None:
                self.discard(key)
                if source in self._sources:
                    self._sources[source] = self._sources.pop(source)
                return key, source
        return None
