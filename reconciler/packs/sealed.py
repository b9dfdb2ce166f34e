"""What a chart makes of encrypted values (K12): they may come into the data of Secrets, and into nothing that anybody is shown."""

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
        place = next((where for where, text in secretdata.shown(document) if any(one in text for one in wanted)), None)
        if place is not None:
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
    """The lines of the values: a chart may indent them."""
    lines = (line.strip() for one in secret for line in one.splitlines())
    return frozenset(line for line in lines if len(line) >= SHORTEST)
