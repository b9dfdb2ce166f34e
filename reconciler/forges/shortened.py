"""An answer of a forge without the longest texts in it, while it comes: what people write has no limit at some forges, and what else is
said of it is wanted all the same."""

import re

from reconciler.patterns import lazy

LONG = 512 << 10  # bytes of a text that is left out; as JSON, ours have fewer
_INSIDE = lazy(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)


class Shortened:
    """JSON with "" in place of each text of more than `long` bytes. `kept` is what there is of it so far."""

    def __init__(self, long: int = LONG) -> None:
        self.kept, self._most = bytearray(), long
        self._begins = -1  # where the text under way begins in `kept`, -1 between two
        self._long = False
        self._rest = b""  # a backslash whose other half is not here yet

    def feed(self, data: bytes | bytearray) -> None:
        """The next bytes of it."""
        data, at = self._rest + data, 0
        self._rest = b""
        while at < len(data):
            at = self._between(data, at) if self._begins < 0 else self._inside(data, at)

    def _between(self, data: bytes, at: int) -> int:
        quote = data.find(b'"', at)
        ends = quote + 1 if quote >= 0 else len(data)
        self.kept += data[at:ends]
        if quote >= 0:
            self._begins, self._long = len(self.kept), False
        return ends

    def _inside(self, data: bytes, at: int) -> int:
        found = _INSIDE.match(data, at)
        ends = found.end() if found else at
        if not self._long:
            self.kept += data[at:ends]
            self._long = len(self.kept) - self._begins > self._most
        if self._long:
            del self.kept[self._begins :]
        if ends == len(data):
            return ends
        if data[ends : ends + 1] == b'"':
            self.kept += b'"'
            self._begins = -1
            return ends + 1
        self._rest = data[ends:]
        return len(data)
