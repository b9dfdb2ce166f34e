"""What a pass reads with: the clients of its targets, the live cache of the host, the render workers."""

from collections.abc import Callable
from dataclasses import dataclass

from reconciler.kube.client import Client
from reconciler.model import Layer, Object, ObjectRef, Target

Key = tuple[Target, ObjectRef]


@dataclass(frozen=True, slots=True)
class Reader:
    """`client` and `render` raise NidusError where a target cannot be reached or a layer not be rendered now.

    `merge` stores the answers to our own writes, so that the cache is never older than they are (R1).
    """

    client: Callable[[Target], Client]
    cached: Callable[[Target, ObjectRef], Object | None]
    render: Callable[[Layer], tuple[Object, ...]]
    merge: Callable[[Target, Object], None]
