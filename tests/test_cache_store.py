"""What late answers may change in the cache: nothing that is known to be newer (R1)."""

import msgspec
import pytest

from reconciler.kube.events import Event, Seen
from reconciler.kube.store import Entry, Selection, Store
from reconciler.model import ObjectRef

REF = ObjectRef("", "ConfigMap", "default", "c")


def event(version: str, *, deleted: bool = False, uid: str = "u") -> Event:
    raw = msgspec.json.encode({"metadata": {"name": "c", "namespace": "default", "uid": uid, "labels": {}}})
    return Event(Seen(REF, uid, {"nidus.dev/cluster": "red"}, deleted), version, raw)


def merged(version: str) -> Entry:
    """The answer to a write of our own, not yet shown by the watch."""
    return Entry(event(version).raw, version, "u", "red", merged_at=1.0)


def version(store: Store) -> str | None:
    found = store.entries.get(REF)
    return found.version if found else None


def test_the_answer_of_a_read_is_too_late_for_what_changed_meanwhile() -> None:
    store = Store(Selection("", "ConfigMap"))
    store.take(event("5"))
    before = store.entries[REF]
    store.take(event("7"))  # while the read was under way
    assert store.correct(REF, event("6"), before) == []
    assert store.correct(REF, None, before) == []
    assert version(store) == "7"
    assert store.correct(REF, None, store.entries[REF]) != []
    assert version(store) is None


def test_an_unknown_object_older_than_the_watch_is_no_news() -> None:
    """Its deletion was shown: a late answer must not bring it back."""
    store = Store(Selection("", "ConfigMap"))
    store.take(event("5"))
    store.take(event("10", deleted=True))
    assert not store.is_news(REF, "9")
    assert store.is_news(REF, "11")


@pytest.mark.parametrize("way", ["replace", "differing"])
@pytest.mark.parametrize(("listed", "known"), [("13", "13"), ("12", "12"), ("11", "12")])
def test_a_list_newer_than_our_own_write_is_taken_though_the_write_came_while_it_was_under_way(
    way: str, listed: str, known: str
) -> None:
    """A controller changed the object right after us: the watch that follows the list will not tell of it again."""
    store = Store(Selection("", "ConfigMap"))
    store.put(REF, merged("12"))
    if way == "replace":
        store.replace([event(listed)], "20", began=0.5)
        assert version(store) == known
    else:
        assert bool(store.differing([event(listed)], 0.5)) == (listed == "13")


@pytest.mark.parametrize(("listed", "left"), [("11", "12"), ("13", None), ("opaque", "12")])
def test_what_a_list_lacks_that_is_newer_than_our_own_write_is_gone(listed: str, left: str | None) -> None:
    store = Store(Selection("", "ConfigMap"))
    store.put(REF, merged("12"))
    store.replace([], listed, began=0.5)
    assert version(store) == left


def test_a_deletion_older_than_our_own_write_drops_nothing() -> None:
    """It was deleted and made again by us; the watch tells of the first only now."""
    store = Store(Selection("", "ConfigMap"))
    store.put(REF, merged("12"))
    assert not store.take(event("10", deleted=True))
    assert version(store) == "12"
    assert store.take(event("13", deleted=True))
    assert version(store) is None


def bare(version: str, name: str = "c") -> Event:
    """An object that is not kept whole."""
    return Event(
        Seen(ObjectRef("", "ConfigMap", "default", name), "u", {"nidus.dev/cluster": "red"}, False), version, b""
    )


def test_an_object_becomes_whole_at_the_same_version() -> None:
    """It was seen before an inventory listed it."""
    for whole in (merged("5"), None):
        store = Store(Selection("", "ConfigMap"))
        store.take(bare("5"))
        if whole:
            assert store.is_news(REF, "5") and not store.is_news(REF, "4")
            store.put(REF, whole)
        else:
            assert not store.take(event("5"))  # nothing changed
        assert store.entries[REF].raw == event("5").raw


def test_of_what_no_inventory_lists_only_so_many_are_remembered() -> None:
    store = Store(Selection("", "ConfigMap"), whole=lambda ref, cluster: ref == REF, foreign=3)
    events = [bare("5", f"forged-{number}") for number in range(9)]
    assert len(store.replace(events, "9", 1.0)) == len(store.entries) == 3
    assert store.differing(events, 1.0) == []  # else each comparison would list everything
    assert store.differing([event("6"), *events], 1.0) == [event("6")]
    assert store.take(bare("10", "forged-3"))  # heard all the same
    gone = bare("11", "forged-3")
    assert store.take(Event(Seen(gone.seen.ref, "u", {}, True), "11", b""))
    assert store.take(event("12")) and store.entries[REF].raw
    assert len(store.entries) == 4
    store.drop(events[0].seen.ref)
    assert store.put(events[5].seen.ref, Entry(b"", "5", "u", "red"))
    assert len(store.entries) == 4
