"""Plans in numbers: the last line of every rendering."""

from collections.abc import Iterable, Mapping

from reconciler.model import Change

ALWAYS = ("create", "configure", "delete")
WORDS: Mapping[str, str] = {
    "create": "to create",
    "configure": "to configure",
    "delete": "to delete",
    "replace": "to replace",
    "adopt": "to adopt",
    "hold": "held",
}


def counts(changes: Iterable[Change]) -> dict[str, int]:
    """How many changes of each action that a reader must know of; all six keys, in the order of the last line."""
    found = dict.fromkeys(WORDS, 0)
    for change in changes:
        if change.action in found:
            found[change.action] += 1
    return found


def line(changes: Iterable[Change]) -> str:
    """`Plan: 2 to create, 1 to configure, 0 to delete`; what is replaced, adopted or held is added when there is any."""
    found = counts(changes)
    return "Plan: " + ", ".join(f"{found[key]} {word}" for key, word in WORDS.items() if found[key] or key in ALWAYS)
