"""Whatever comes from outside: no exception but our own, no case over its processor time, and no memory kept (H2, A8, V1, W3)."""

import os
from collections.abc import Callable
from random import Random

import pytest

from tests.fuzz import (
    answers,
    configurations,
    content,
    credentials,
    deliveries,
    encrypted,
    harness,
    hooked,
    kept,
    kustomizations,
    objects,
    pages,
    repositories,
    stored,
)
from tests.fuzz.harness import Surfaces

SURFACES: Surfaces = {
    "answers": (answers.answers, 30_000),
    "discovery": (answers.discovery, 15_000),
    "secrets": (answers.secrets, 10_000),
    "objects": (objects.planned, 20_000),
    "host": (objects.on_the_host, 10_000),
    "nested": (objects.inside, 10_000),
    "stored": (stored.stored, 12_000),
    "repositories": (repositories.repositories, 10_000),
    "deliveries": (deliveries.deliveries, 10_000),
    "configurations": (configurations.configurations, 10_000),
    "indexes": (content.indexes, 10_000),
    "registries": (content.registries, 10_000),
    "archives": (content.packed, 10_000),
    "signatures": (content.signatures, 10_000),
    "identities": (content.identities, 10_000),
    "stores": (content.stores, 10_000),
    "kustomizations": (kustomizations.kustomizations, 10_000),
    "provenances": (content.provenances, 10_000),
    "encrypted": (encrypted.files, 10_000),
    "hooks": (hooked.hooked, 10_000),
    "usages": (kept.usages, 12_000),
    "snapshots": (kept.snapshots, 12_000),
    "pages": (pages.pages, 10_000),
    "tokens": (credentials.answers, 10_000),
    "locks": (credentials.locks, 10_000),
    "remembered": (credentials.remembered, 10_000),
}
SHORT = 400  # cases of a surface in an ordinary run
FEWEST, TOGETHER = 10_000, 200_000  # cases that the long test promises: of each surface, and of all
REPLAYED = os.environ.get("NIDUS_FUZZ", "")


@pytest.mark.parametrize("name", SURFACES)
def test_a_surface_holds(name: str) -> None:
    assert not harness.wrong(harness.run(SURFACES[name][0], name, range(SHORT), 1))


@pytest.mark.long
@pytest.mark.parametrize("name", SURFACES)
def test_a_surface_holds_for_longer(name: str, record_property: Callable[[str, object], None]) -> None:
    make, cases = SURFACES[name]
    shares = harness.run(make, name, range(SHORT, SHORT + cases))
    seconds, slowest = sum(one.seconds for one in shares), max(one.slowest for one in shares)
    print(f"{name}: {cases} cases, {seconds:.1f} s of processor time, the slowest {slowest:.3f} s")
    record_property("fuzz", (cases, seconds))
    assert not harness.wrong(shares)


def test_the_long_test_tries_enough() -> None:
    cases = [each for _, each in SURFACES.values()]
    assert min(cases) >= FEWEST and sum(cases) >= TOGETHER


if REPLAYED:

    def test_one_case_again() -> None:
        name, _, number = REPLAYED.partition(":")
        SURFACES[name][0]()(Random(int(number)))
