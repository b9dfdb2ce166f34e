"""What a pass reads with: the clients of its targets, the live cache of the host, the render workers."""

from collections.abc import Callable

from msgspec import Struct, field

from reconciler.kube.client import Client
from reconciler.model import Layer, Object, ObjectRef, Target, replace

Key = tuple[Target, ObjectRef]
CAUSES = 20  # reads of one pass for the causes of what is not Current (U1)


class Reads(Struct):
    """How many reads are left."""

    left: int = CAUSES

    def take(self) -> bool:
        """Whether one more is allowed; it then counts as done."""
        self.left -= 1
        return self.left >= 0


class Reader(Struct, frozen=True):
    """`client` and `render` raise NidusError where a target cannot be reached or a layer not be rendered now.

    `cached` gives whole objects only. `merge` stores the answers to our own reads and writes, so that the cache is never
    older than they are (R1). `reads` are those a pass may spend on causes. `asks` reads for a plan that people are asked about: what is
    tried for it goes to servers without values of Secrets that they do not have (P5).
    """

    client: Callable[[Target], Client]
    cached: Callable[[Target, ObjectRef], Object | None]
    render: Callable[[Layer], tuple[Object, ...]]
    merge: Callable[[Target, Object], None]
    reads: Reads = field(default_factory=Reads)
    asks: bool = False


def beating(reader: Reader, alive: Callable[[], None]) -> Reader:
    """A reader that calls `alive` before each use: a long pass over a slow host is no stalled worker (H3)."""

    def client(target: Target) -> Client:
        alive()
        return reader.client(target)

    def cached(target: Target, ref: ObjectRef) -> Object | None:
        alive()
        return reader.cached(target, ref)

    def render(layer: Layer) -> tuple[Object, ...]:
        alive()
        return reader.render(layer)

    return replace(reader, client=client, cached=cached, render=render)
