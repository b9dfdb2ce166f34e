"""Every case of the field, played from its first commit to its last on servers in memory: what is wrong with it, its word, what is
held, and that the second look sends nothing. What is done by hand between the commits, tests/host/test_field_cases.py does.

The repositories lie outside this one (`NIDUS_SHARED_DATA`, else ../shared/data); without them these tests say why they skip.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.memory import actors
from tests.passes import Fleet, cluster, pack, profile
from tests.spec_cases import snapshot

CASES = Path(os.environ.get("NIDUS_SHARED_DATA", "../shared/data")) / "field"
pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason=f"the field cases are not here ({CASES})")

Answer = tuple[str, str]
"""The codes of the mistakes that are told before the push, and the word with the reasons of what is held, refused or awaited."""

ANSWERS: dict[str, tuple[Answer, ...]] = {
    "01-octal-mode": (("NID114 NID143", "Invalid"),),
    "02-anchors": (("NID112 NID143", "Invalid"),),
    "03-yaml11": (("NID114 NID143", "Invalid"),),
    "04-crlf-bom": (("", "Ready"),),
    "05-empty-docs": (("NID143 NID157", "Invalid"),),
    "06-exported-list": (("", "Ready"),),
    "07-ns-on-cluster-scoped": (("NID143 NID156", "Invalid"),),
    "08-generatename": (("NID143 NID157", "Invalid"),),
    "09-secrets": (("NID143 NID154", "Invalid"),),
    "10-cluster-scoped-cr": (("", "Ready"),),
    "12-unreadable-prunes": (("", "Ready"),),
    "13-charts/alias": (("", "Ready"),),
    "13-charts/cap": (("", "Ready"),),
    "13-charts/glued": (("", "Ready"),),
    "13-charts/keep": (("", "Ready"),),
    "13-charts/notes": (("", "Ready"),),
    "13-charts/nulls": (("", "Ready"),),
    "13-charts/testrand": (("", "Ready"),),
    "13-charts/v1": (("", "Degraded"),),
    "14-wffc": (("", "Ready"),),
    "15-ds-ondelete": (("", "Provisioning"),),
    "16-aggregated": (("", "Ready"),),
    "17-dup-env": (("", "Degraded Refused"),),
    "18-job": (("", "Provisioning"),),
    "20-good-ones": (("", "Ready"),),
    "21-approve-words": (("", "Degraded VersionNotServed"),),
    "22-qos": (("", "Ready"),),
    "50-vcluster-yaml-keys": (("NID120 NID122 NID123 NID124 NID125", "Invalid"),),
    "60-version-steps": (("", "Ready"), ("NID161", "Invalid")),
    "61-crd-and-cr-one-chart": (("", "Ready"), ("", "Ready")),
    "62-scaled-by-hand": (("", "Ready"), ("", "Ready")),
    "63-release-renamed": (("", "Ready"), ("", "Ready")),
    "64-edited-ports": (("", "Ready"), ("", "Ready")),
    "65-hand-added-key": (("", "Ready"), ("", "Ready"), ("", "Ready")),
    "66-capabilities": (("", "Ready"),),
    "67-changes-in-place": (("", "Provisioning"), ("", "Held ImmutableField")),
    "68-owner-references": (("NID143 NID180", "Invalid"), ("", "Ready")),
    "69-default-serviceaccount": (
        ("", "Held Awaited NotOwner"),
        ("", "Held Awaited NotOwner"),
        ("", "Held Awaited NotOwner"),
    ),
    "70-monorepo": (("", "Ready"),),
    "71-hpa-handover": (("", "Ready"), ("", "Ready")),
    "72-generate-name": (("NID143 NID157", "Invalid"),),
    "73-scopes": (("", "Degraded VersionNotServed"), ("", "Held ImmutableField VersionNotServed")),
    "74-crd-versions": (("", "Ready"), ("", "Ready"), ("", "Ready")),
}
GONE = {("61-crd-and-cr-one-chart", 2): ("chart/templates/w.yaml",)}
"""Files that leave with a commit."""


def files(folder: Path, below: str = "") -> dict[str, str]:
    found = (one for one in sorted(folder.rglob("*")) if one.is_file() and one.name not in ("make.sh", "README"))
    return {f"{below}{one.relative_to(folder)}": one.read_bytes().decode("utf-8", "surrogateescape") for one in found}


def commits(case: str) -> Iterator[dict[str, str]]:
    """The files of each commit."""
    folder, whole = CASES / case, dict[str, str]()
    if case.startswith("13-charts/"):
        app = {"name": "app", "namespace": "web", "helm": {"chart": {"path": "chart"}}}
        yield files(folder, "chart/") | {"p.yaml": profile(pack("first"), app), "a.yaml": cluster("a")}
        return
    numbers = [number for number in (1, 2, 3) if (folder / str(number)).is_dir()]
    for number in numbers:
        whole = {path: text for path, text in whole.items() if path not in GONE.get((case, number), ())}
        whole |= files(folder / str(number))
        yield whole
    if not numbers:
        yield files(folder)


def played(fleet: Fleet) -> str:
    """Run until nothing moves, with the controllers of Kubernetes inside; the word of the one cluster, and the reasons in its plan."""
    fleet.run()
    for inside in fleet.nested.values():
        actors.roll_out(inside)
    fleet._ask_anew()
    for name in fleet.nested:
        fleet.queue.add(name)
    fleet.run()
    (name,) = fleet.reporter.clusters
    plans = fleet.plans().values()
    reasons = sorted({one.reason for plan in plans for one in plan.changes if one.action != "unchanged"})
    return " ".join([fleet.word(name), *reasons])


def sent(fleet: Fleet) -> list[tuple[str, str, str]]:
    """What another look writes into the cluster."""
    for name, inside in fleet.nested.items():
        inside.log.clear()
        fleet.queue.add(name)
    fleet._ask_anew()
    fleet.run()
    return [
        (one.verb, one.kind, one.name)
        for inside in fleet.nested.values()
        for one in inside.log
        if one.writes and not one.dry_run and one.status < 400
    ]


@pytest.mark.parametrize("case", ANSWERS)
def test_each_commit_has_its_answer_and_the_second_look_writes_nothing(case: str) -> None:
    fleet = Fleet()
    answers = []
    for body in commits(case):
        found, _ = snapshot(body)
        codes = " ".join(sorted({one.code.value for one in found.violations}))
        fleet.push(body)
        answers.append((codes, played(fleet)))
        assert sent(fleet) == []
    assert tuple(answers) == ANSWERS[case]


def test_every_case_is_played() -> None:
    there = {one.name for one in CASES.iterdir() if one.is_dir()} - {"13-charts"}
    assert set(ANSWERS) == there | {f"13-charts/{one.name}" for one in (CASES / "13-charts").iterdir()}
