"""Whether a set of deletions was approved: by request, or by a trailer of the commits it came with (D3, P7)."""

from collections.abc import Collection, Iterable, Sequence

from reconciler.model import Consent, Held, Record, Request, Rules
from reconciler.plan import consent as consents

TRAILER = "nidus-approve"


def consent_of(items: Iterable[str]) -> Consent:
    """The set in the form that people approve."""
    ordered = tuple(sorted(set(items)))
    return Consent(ordered, consents.digest(ordered))


def named(record: Record) -> str:
    """One cluster, as approved: (source, cluster, born, when an approval about it was used up last) (AD2)."""
    back = f" put back {record.put_back:.3f}" if record.put_back else ""
    return f"{record.source}/{record.cluster} born {record.born:.3f}{back}"


def asking(holds: Iterable[Held | None]) -> frozenset[str]:
    """The clusters (`SOURCE/NAME`) of which something is asked for. Many hold one set: each is looked at once."""
    sets = {one.consent: one.items for one in holds if one is not None}
    return frozenset(item.split(" ", 2)[1] for items in sets.values() for item in items)


def goes(verb: str, record: Record, how: str) -> str:
    """One cluster that goes, as approved, with what becomes of it. `verb`: `remove` or `end`; `how`: "" where its accepted content can
    no longer be read."""
    return f"{verb} {named(record)} {how}".rstrip()


def counting(trailers: Sequence[tuple[str, str]], source: str, rules: Rules) -> Sequence[tuple[str, str]]:
    """The trailers of a source's commits, as far as they approve anything: none where changes are approved on the source's forge, whose
    authors write the commits that a merge brings, and none where nothing goes that nobody reviewed."""
    return () if source in rules.forges or rules.unreviewed == "Hold" else trailers


def speaks(trailers: Iterable[tuple[str, str]]) -> bool:
    """Whether these trailers approve anything."""
    return any(key.lower() == TRAILER for key, _ in trailers)


def approved(
    consent: Consent,
    requests: Sequence[Request],
    trailers: Iterable[tuple[str, str]],
    now: float,
    clusters: Collection[str],
    source: str,
) -> bool:
    """Whether the set is empty, named by a trailer, or within what an unexpired request approved (`consent.approved`)."""
    if not consent.items or any(key.lower() == TRAILER and value.strip() == consent.digest for key, value in trailers):
        return True
    return consents.approved(consent, requests, now, clusters, source)
