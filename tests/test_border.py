"""Bugs are contained: each is the failure of one cluster, is logged with its place and without text of others, and is
counted."""

import json
from pathlib import Path

import pytest

from reconciler.controller import border
from reconciler.controller.source import Ports, Source
from reconciler.controller.trigger import Woken
from reconciler.errors import LeaseLost, Retry, Stalled
from reconciler.model import Limits, Rollout, Snapshot, SourceReport, replace
from reconciler.report import bugs
from reconciler.report.metrics import Metrics
from reconciler.source.mirror import Mirror
from tests.spec_cases import FACTS, FILES, RULES
from tests.test_source_mirror import Work, config


def broken(snapshot: Snapshot, forced: bool) -> Rollout:
    raise TypeError("an admission that nobody expected to fail")


def test_a_bug_of_an_admission_is_a_failed_sync(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    work = Work(tmp_path / "work")
    work.commit(FILES)
    told: list[SourceReport] = []
    nothing = Ports(
        broken,
        lambda source: None,
        lambda source, trigger: None,
        told.append,
        lambda source: {},
        lambda: {},
        lambda source: {},
    )
    mirror = Mirror.open(config(work), tmp_path / "mirror", limits=Limits())
    source = Source(config(work), mirror, RULES, FACTS, Limits(), nothing)
    try:
        source.step(Woken("poll", 1.0, False, False))
        assert told[-1].error.startswith("Bug: ")
        good = Source(
            config(work),
            mirror,
            RULES,
            FACTS,
            Limits(),
            replace(nothing, revise=lambda snapshot, forced: Rollout({}, {}, {})),
        )
        good.step(Woken("poll", 2.0, False, False))
        assert told[-1].error == ""
    finally:
        mirror.close()
    line = next(one for one in map(json.loads, capsys.readouterr().err.splitlines()) if one["event"] == "Bug")
    assert (line["error"], line["where"], line["subject"]) == ("TypeError", "sync", "s")
    assert any(frame.endswith(" broken") for frame in line["traceback"])


def test_words_of_the_outside_are_not_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Retry) as raised, border.contained("pass", "team-a"):
        raise ValueError("the password is hunter2")
    assert "hunter2" not in raised.value.message + capsys.readouterr().err
    assert raised.value.reason == "Bug"


def test_our_own_errors_pass_and_are_no_bugs(capsys: pytest.CaptureFixture[str]) -> None:
    for error in (LeaseLost("gone"), Retry("later"), Stalled("never")):
        with pytest.raises(type(error)), border.contained("pass"):
            raise error
        with pytest.raises(type(error)), border.dropped("listener"):
            raise error
    assert capsys.readouterr().err == ""


def test_bugs_are_counted_where_they_came_out() -> None:
    metrics = Metrics()
    before = _counted(metrics)
    with border.dropped("listener"):
        raise KeyError("x")
    assert _counted(metrics) == before + 1


def _counted(metrics: Metrics) -> float:
    lines = metrics.text().decode().splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith('nidus_bugs_total{where="listener"}'))


def test_a_recursion_without_end_is_told_in_a_few_frames(capsys: pytest.CaptureFixture[str]) -> None:
    def deeper() -> None:
        deeper()

    with border.dropped("pass"):
        deeper()
    line = json.loads(capsys.readouterr().err)
    assert line["error"] == "RecursionError"
    assert len(line["traceback"]) == bugs.FRAMES
