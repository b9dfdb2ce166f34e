"""Traces of pushes, to a collector on a real socket: one trace a commit, and nothing where nobody asked for it."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.errors import UsageError
from reconciler.model import Condition, Outward, Plan, Report, Revision, SourceReport, TracesConfig
from reconciler.report import Reporter, traces
from reconciler.report.view import Place
from tests.collecting import Collector, about, collecting
from tests.shell import client, installed

FIRST, SECOND, THIRD = (Revision("main", one * 40) for one in "abc")
AT = 1_795_000_000.0


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as one:
        yield one


def told(collector: Collector, **more: str) -> Reporter:
    return Reporter(
        client(installed("nidus-system")),
        "nidus-system",
        "one",
        outward=Outward(traces=TracesConfig(endpoint=collector.url, **more)),
    )


def push(made: Reporter, revision: Revision, at: float, changing: tuple[str, ...] = ("a",)) -> None:
    stages = (("seen", at), ("fetched", at + 0.3), ("validated", at + 0.4), ("admitted", at + 0.5))
    made.source(
        SourceReport("platform", revision, (), accepted=1, stages=stages, trigger="webhook", changing=changing), {}
    )


def look(made: Reporter, revision: Revision, word: str = "Ready", name: str = "a") -> None:
    ready = Condition("Ready", "True" if word == "Ready" else "False", word, "")
    made.cluster(
        Report(name, revision, Plan(name, revision, ()), (), (), (ready,), word),
        Place("platform", f"{name}.yaml"),
        0.25,
    )


def test_a_push_is_one_trace_of_its_stages_and_passes(collector: Collector, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("t0ken\n")
    made = told(collector, token_file=str(token))
    push(made, FIRST, AT)
    look(made, FIRST, "Progressing")
    look(made, FIRST)
    look(made, FIRST, name="other")  # which this commit did not change
    made.stage("platform", "ready", AT + 4.0)
    look(made, FIRST)  # later, of no push
    made.close()
    ((path, headers, _),) = collector.got
    assert path == "/v1/traces" and headers["authorization"] == "Bearer t0ken"
    spans = {one.name: one for one in collector.spans()}
    assert (
        spans.keys() == {"push", "fetched", "validated", "admitted", "ready", "pass a"} and len(collector.spans()) == 7
    )
    root = spans["push"]
    assert {one.trace_id for one in collector.spans()} == {root.trace_id} and root.parent_span_id == b""
    assert {one.parent_span_id for one in collector.spans() if one.name != "push"} == {root.span_id}
    assert about(root) == {"nidus.source": "platform", "nidus.revision": str(FIRST), "nidus.trigger": "webhook"}
    times = {
        name: (one.start_time_unix_nano / 1e9 - AT, one.end_time_unix_nano / 1e9 - AT) for name, one in spans.items()
    }
    assert times["fetched"] == pytest.approx((0.0, 0.3), abs=1e-3) and times["ready"] == pytest.approx(
        (0.5, 4.0), abs=1e-3
    )
    assert {about(one)["nidus.status"] for one in collector.spans() if one.name == "pass a"} == {"Progressing", "Ready"}


def test_a_push_that_is_applied_before_it_is_told_to_be_read_is_a_trace_too(collector: Collector) -> None:
    made = told(collector)
    push(made, FIRST, AT)
    made.stage("platform", "ready", AT + 1, str(FIRST))
    look(made, FIRST, name="other")
    look(made, SECOND)
    look(made, FIRST, name="other")
    made.stage("platform", "ready", AT + 60.6, str(SECOND))
    push(made, SECOND, AT + 60, changing=())
    assert dict(made.sources["platform"].stages)["ready"] == AT + 60.6
    made.close()
    (root,) = [one for one in collector.spans() if about(one).get("nidus.revision") == str(SECOND)]
    assert root.status.code == 0
    names = [one.name for one in collector.spans() if one.trace_id == root.trace_id]
    assert sorted(names) == ["admitted", "fetched", "pass a", "push", "ready", "validated"]


def test_a_push_that_another_one_overtakes_ends_as_failed(collector: Collector) -> None:
    made = told(collector)
    push(made, FIRST, AT)
    push(made, SECOND, AT + 60)
    made.stage("platform", "ready", AT + 61)
    made.close()
    roots = {about(one)["nidus.revision"]: one.status.code for one in collector.spans() if one.name == "push"}
    assert roots == {str(FIRST): 2, str(SECOND): 0}


def test_what_changes_nothing_and_what_was_ready_before_a_restart_is_no_push(collector: Collector) -> None:
    made = told(collector)
    push(made, FIRST, AT, changing=())
    made.stage("platform", "ready", AT + 1)
    made.close()
    assert collector.got == []


def test_no_trace_is_led_elsewhere_and_a_collector_that_fails_holds_nobody(
    collector: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    collector.status, collector.headers = 302, {"Location": f"{collector.url}/elsewhere"}
    made = told(collector)
    push(made, FIRST, AT)
    made.stage("platform", "ready", AT + 1)
    made.close()
    assert {path for path, _, _ in collector.got} == {"/v1/traces"}


def test_a_collector_that_hangs_holds_neither_a_report_nor_a_stop(collector: Collector) -> None:
    collector.over.clear()
    made = told(collector)
    for number in range(20):
        push(made, Revision("main", f"{number:040x}"), AT + number)
        made.stage("platform", "ready", AT + number + 0.9)
    made.close()
    assert not collector.over.is_set() and len(collector.got) <= 1


def test_an_answer_without_an_end_is_not_read(collector: Collector) -> None:
    collector.endless = True
    made = told(collector)
    push(made, FIRST, AT)
    made.stage("platform", "ready", AT + 1)
    made.close()
    try:
        assert collector.left.wait(60)
    finally:
        collector.endless = False


def test_passes_of_one_push_are_bounded(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traces, "PASSES", 3)
    made = told(collector)
    push(made, FIRST, AT)
    for _ in range(9):
        look(made, FIRST, "Progressing")
    made.stage("platform", "ready", AT + 1)
    made.close()
    assert len([one for one in collector.spans() if one.name == "pass a"]) == 3


def test_so_are_those_before_it_is_told_and_none_is_of_the_next_push(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traces, "PASSES", 3)
    made = told(collector)
    push(made, FIRST, AT, changing=())
    for number in range(9):
        look(made, SECOND, name=f"b{number}")
    push(made, SECOND, AT + 10, changing=("c",))
    for _ in range(9):
        look(made, SECOND, "Progressing", name="c")
    look(made, FIRST, name="late")
    push(made, THIRD, AT + 20)
    look(made, THIRD)
    made.stage("platform", "ready", AT + 21)
    made.close()
    passes = {
        about(root)["nidus.revision"]: [
            one.name for one in collector.spans() if one.trace_id == root.trace_id and one.name.startswith("pass")
        ]
        for root in collector.spans()
        if root.name == "push"
    }
    assert passes == {str(SECOND): ["pass b6", "pass b7", "pass b8"], str(THIRD): ["pass a"]}


def test_a_commit_that_changes_nothing_leaves_no_pass_to_the_next(collector: Collector) -> None:
    made = told(collector)
    push(made, FIRST, AT, changing=())
    look(made, SECOND, name="b")
    push(made, SECOND, AT + 10, changing=())  # and it is not told to be Ready
    push(made, THIRD, AT + 20)
    look(made, THIRD)
    made.stage("platform", "ready", AT + 21)
    made.close()
    assert {one.name for one in collector.spans() if one.name.startswith("pass")} == {"pass a"}


def test_a_stage_before_its_revision_is_told_counts_like_any_other() -> None:
    made = Reporter(client(installed("nidus-system")), "nidus-system", "one")
    push(made, FIRST, AT)
    made.stage("platform", "ready", AT + 12.0, str(SECOND))
    made.stage("platform", "ready", AT + 13.0, str(FIRST))
    made.stage("platform", "ready", AT + 14.0, str(THIRD))
    made.stage("platform", "ready", AT + 15.0, str(SECOND))  # of an older one, late
    push(made, THIRD, AT + 10.0)
    made.stage("platform", "ready", AT + 16.0, str(THIRD))
    assert dict(made.sources["platform"].stages)["ready"] == AT + 14.0
    push(made, SECOND, AT + 20.0)  # pushed back: what was early then is no stage of now
    assert "ready" not in dict(made.sources["platform"].stages)
    made.close()
    lines = made.metrics.text().decode().splitlines()
    assert (
        'nidus_stage_seconds_count{stage="ready"} 2.0' in lines
        and 'nidus_stage_seconds_sum{stage="ready"} 17.0' in lines
    )


def test_a_token_that_is_none_is_told_at_the_start(collector: Collector, tmp_path: Path) -> None:
    (tmp_path / "two").write_text("a b")
    for file in (tmp_path / "missing", tmp_path / "two"):
        with pytest.raises(UsageError, match="the token of traces"):
            traces.opened(TracesConfig(endpoint=collector.url, token_file=str(file)), "one")


def test_nothing_of_it_is_loaded_where_nobody_asked() -> None:
    program = (
        "import sys; import reconciler.controller.service; print(sorted({one.split('.')[0] for one in sys.modules}))"
    )
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert "msgspec" in loaded and "opentelemetry" not in loaded and "requests" not in loaded
    assert traces.opened(None, "one") is None
