"""The border against bugs: one failure stays one, is told with its place and without foreign words, and is counted."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.controller.sources import Ports, Source
from reconciler.controller.wake import Woken
from reconciler.model import Limits, Rollout, Snapshot, SourceReport
from reconciler.source.mirror import Mirror
from tests.spec_cases import FILES, POLICY
from tests.test_source_mirror import Work, config

BORDER = pytest.mark.xfail(strict=True, reason="whatever is no error of ours ends the whole process")


def broken(snapshot: Snapshot, forced: bool) -> Rollout:
    raise TypeError("an admission that nobody expected to fail")


@BORDER
def test_a_bug_of_an_admission_is_a_failed_sync(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    work = Work(tmp_path / "work")
    work.commit(FILES)
    told: list[SourceReport] = []
    nothing = Ports(
        broken, lambda source: None, lambda source, trigger: None, told.append, lambda source: {}, lambda: {}
    )
    mirror = Mirror.open(config(work), tmp_path / "mirror", limits=Limits())
    source = Source(config(work), mirror, POLICY, Limits(), nothing)
    try:
        source.step(Woken("poll", 1.0, False, False))
        assert told[-1].error.startswith("Bug: ")
        good = Source(
            config(work),
            mirror,
            POLICY,
            Limits(),
            replace(nothing, revise=lambda snapshot, forced: Rollout({}, {}, {})),
        )
        good.step(Woken("poll", 2.0, False, False))
        assert told[-1].error == ""
    finally:
        mirror.close()
    line = next(one for one in map(json.loads, capsys.readouterr().err.splitlines()) if one["event"] == "Bug")
    assert (line["error"], line["where"], line["subject"]) == ("TypeError", "sync", "s")
    assert any("in broken" in frame or frame.endswith(" broken") for frame in line["traceback"])
