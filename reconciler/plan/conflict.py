"""Which field managers conflict with an apply, and whether it is forced over them (A1)."""

import json
from collections.abc import Iterable, Sequence

from reconciler.model import Object, Owner
from reconciler.plan import paths
from reconciler.plan.fields import MANAGER, Owners, owned


def overridden(conflicts: Iterable[str], body: Object, live: Object) -> bool:
    """Whether every conflicting field (named as the server names it) was edited and is therefore drift: all other
    owners made a plain Update, of the object or of its scale. Another applier stays a conflict.

    `body` is what was sent. It lacks the fields that an autoscaler sets, so they cannot be among the conflicts.
    """
    sent, named, owners = {server_name(path): path for path in owned(body)}, list(conflicts), Owners(live)
    return bool(named) and all(field in sent and edited(rivals(owners, sent[field])) for field in named)


def edited(found: Sequence[Owner]) -> bool:
    """Whether there are other owners, and all of them made a plain Update."""
    return bool(found) and all(one.operation == "Update" and one.subresource in ("", "scale") for one in found)


def rivals(owners: Owners, path: str) -> list[Owner]:
    """All other owners of the field or of a part of it."""
    return [one for one in owners.of(path) if not is_ours(one)]


def is_ours(owner: Owner) -> bool:
    """Whether this entry is our server-side apply of the object itself. An Update under our name counts as somebody
    else's."""
    return owner.name == MANAGER and owner.operation == "Apply" and not owner.subresource


def server_name(path: str) -> str:
    """A field path the way the API server names it in a conflict (structured-merge-diff fieldpath.Path.String)."""
    return "".join(_server_element(element) for element in paths.parse(path))


def _server_element(element: paths.Element) -> str:
    if isinstance(element, str):
        return f".{element}"
    if isinstance(element, int):
        return f"[{element}]"
    return "[" + ",".join(f"{key}={json.dumps(value)}" for key, value in element) + "]"
