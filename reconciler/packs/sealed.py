"""What a chart makes of encrypted values (K12): they may come into the data of Secrets, and into nothing that anybody is shown.

A value is looked for as it is and in base64, which is what charts usually make of one. What a template turns it into otherwise cannot be
seen.
"""

import base64
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from reconciler.errors import Stalled
from reconciler.packs.objects import Sourced
from reconciler.patterns import lazy
from reconciler.plan import secretdata

SHORTEST = 6
"""Characters of a value that is looked for: shorter ones, such as a number of a port, stand everywhere."""
_ONLY = "let the chart put it into a Secret, or write it as plain value"
_PLACE = lazy(r"[\w./-]{1,200}\.(?:ya?ml|tpl|txt|json):\d+(?::\d+)?")
_UNSHOWN = "what went wrong is not shown, because values are encrypted"
_FIX = "render it with other values in their place, to see it"
_OF_CHARTS = frozenset({"ChartInvalid", "KubeVersionUnsupported"})
"""Reasons whose messages say what stands in the files of the chart alone."""


def judge(found: Iterable[Sourced], secret: Iterable[str]) -> None:
    """Raises Stalled(ObjectRefused) where one of the values stands outside the data of Secrets; names the place, never the value."""
    wanted = _parts(secret)
    if not wanted:
        return
    for source, document in found:
        shown = list(secretdata.shown(document))
        whole = "\n".join(text for _, text in shown)
        if any(one in whole for one in wanted):
            place = next(where for where, text in shown if any(one in text for one in wanted))
            what = f"{source}: an encrypted value stands in {place or 'its keys'}, outside the data of a Secret"
            raise Stalled(what, reason="ObjectRefused", hint=_ONLY)


@contextmanager
def hidden(secret: Iterable[str]) -> Iterator[None]:
    """Where values are encrypted, a failed render tells its reason and its place only: Helm and charts put values into their messages,
    and into the names of objects, in any form."""
    try:
        yield
    except Stalled as error:
        if not secret or error.reason in _OF_CHARTS:
            raise
        where = _PLACE.search(error.message)
        told = f"{where[0]}: {_UNSHOWN}" if where and not _mentions(where[0], secret) else _UNSHOWN
        raise Stalled(told, reason=error.reason, hint=_FIX) from None


def _mentions(text: str, secret: Iterable[str]) -> bool:
    return any(one in text for one in _parts(secret))


def _parts(secret: Iterable[str]) -> frozenset[str]:
    """The lines of the values, as they are, since a chart may indent them, and in base64."""
    lines = {line.strip() for one in secret for line in one.splitlines()}
    long = {line for line in lines if len(line) >= SHORTEST}
    return frozenset(long.union(*(_encoded(line.encode("utf-8", "surrogatepass")) for line in long)))


def _encoded(line: bytes) -> Iterator[str]:
    """What base64 of anything with the line in it has for sure, in either alphabet: what stands before it moves it by 0, 1 or 2 bytes, and
    the signs at both ends also say something of its neighbours."""
    for before in range(3):
        bits = 8 * (before + len(line))
        inner = slice((8 * before + 5) // 6, bits // 6)
        data = b"\0" * before + line
        yield from (one(data)[inner].decode() for one in (base64.b64encode, base64.urlsafe_b64encode))
