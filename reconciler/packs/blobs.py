"""The bytes of files by oid, as renders read them."""

from collections.abc import Callable, Collection, Mapping

Read = Callable[[Collection[str]], dict[str, bytes]]


def beside(charts: Mapping[str, bytes], read: Read) -> Read:
    """A reader of these files by oid, and of those that another reads."""

    def both(oids: Collection[str]) -> dict[str, bytes]:
        return {oid: charts[oid] for oid in oids if oid in charts} | read([oid for oid in oids if oid not in charts])

    return both
