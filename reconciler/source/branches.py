"""Why a branch cannot be fetched: the repository, and the branches that are there."""

import re

from reconciler.errors import NidusError, Stalled, closest, few, printable
from reconciler.patterns import lazy
from reconciler.source.place import Place, git

_SHOWN = 10
_NAME = lazy(r"[0-9a-f]{40,64}\trefs/heads/(.{1,200})")


def missing(place: Place) -> Stalled:
    """The error for a branch that the remote does not have. Asks the remote once for its branches."""
    address = place.address
    where = re.sub(r"^([a-z]+://)[^@/]*@", r"\1", address.url)
    message = f"the branch {address.branch} does not exist in {where}"
    return Stalled(message, reason="RefMissing", hint=_hint(address.branch, _branches(place)))


def _hint(wanted: str, there: list[str] | None) -> str:
    field = "spec.sources[].branch"
    if there is None:
        return f"check {field}"
    if not there:
        return "the repository has no branch yet: push one"
    close = closest(wanted, there)
    meant = f"did you mean {close}? " if close else ""
    return printable(f"{meant}{field}; there are: {few(there, _SHOWN)}")


def _branches(place: Place) -> list[str] | None:
    """The remote's branches by name; None where it does not say."""
    try:
        answer = git(place, ("ls-remote", "--heads", "--", place.address.url), network=True)
    except NidusError:
        return None
    if answer.status or answer.cut:
        return None
    found = (_NAME.fullmatch(line) for line in answer.out.decode(errors="replace").split("\n"))
    return sorted(match[1] for match in found if match)
