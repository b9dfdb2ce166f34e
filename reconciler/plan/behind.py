"""Which layers wait because something of a layer before them is held (A4)."""

from collections.abc import Mapping, Sequence

from reconciler.model import Change, Layer, Plan


def layers(order: Sequence[Layer], plan: Plan) -> Mapping[str, tuple[str, ...]]:
    """Layer -> the held layers that it waits for, directly or through others. `order`: the layers in dependency order.

    A deletion that is held keeps no layer waiting: deletions are the last of all (`prunes`).
    """
    held = {one.layer for one in plan.changes if one.action == "hold" and not prunes(one)}
    found: dict[str, tuple[str, ...]] = {}
    for layer in order if held else ():
        roots = {root for name in layer.depends_on for root in ((name,) if name in held else found.get(name, ()))}
        if roots:
            found[layer.name] = tuple(sorted(roots))
    return found


def prunes(change: Change) -> bool:
    """Whether the change deletes what Git no longer names, or would if it was not held. A deletion of a hook is a part of its run."""
    return (change.would or change.action) == "delete" and not change.hook
