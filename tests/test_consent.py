"""plan.consent: which approval of a forge counts, by who brought what it is used for (B5, B7)."""

import pytest

from reconciler.model import Consent, Merge, Request, Reviewed
from reconciler.plan import consent

ADA, BOB, CARL, DORA = range(1, 5)
SET = Consent(("one",), "d")


def merge(number: int, author: int, needed: int = 1) -> Merge:
    return Merge(number, author, needed, f"c{number}", Reviewed(number, f"t{number}", SET))


def given(change: int, *approvers: int) -> Request:
    return Request("approve", "platform", "", "x", 1.0, 9.0, SET.digest, SET.items, change=change, approvers=approvers)


@pytest.mark.parametrize(
    ("request_", "brought", "counts"),
    [
        (given(0), [None], True),  # an operator's
        (given(1, BOB), [merge(1, ADA)], True),
        (given(1, BOB), [], False),  # nothing was brought, or it is not known
        (given(1, BOB), [merge(1, ADA), None], False),
        (given(1, BOB), [merge(2, ADA)], False),  # given elsewhere
        (given(1, BOB), [merge(1, ADA), merge(2, CARL)], True),
        (given(1, BOB), [merge(1, ADA), merge(2, BOB)], False),
        (given(1), [merge(1, ADA)], False),
        (given(1), [merge(1, ADA, 0)], False),  # what needs none where it destroys nothing needs one where it does
        (given(1, BOB), [merge(1, ADA), merge(2, CARL, 2)], False),
        (given(1, BOB, DORA), [merge(1, ADA), merge(2, CARL, 2)], True),
        (given(1, BOB, CARL), [merge(1, ADA), merge(2, CARL, 2)], False),
        (given(1, BOB, BOB), [merge(1, ADA, 2)], False),
    ],
)
def test_who_counts(request_: Request, brought: list[Merge | None], counts: bool) -> None:
    assert consent.counts(request_, brought) is counts
    found = consent.counted([request_], brought)
    assert consent.approved(SET, found, 2.0, ["a"], "platform") is counts


def test_nothing_of_a_forge_counts_where_nobody_asked_what_it_is_used_for() -> None:
    assert not consent.approved(SET, [given(1, BOB)], 2.0, ["a"], "platform")
    assert consent.approved(SET, [given(0)], 2.0, ["a"], "platform")
