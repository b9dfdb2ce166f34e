"""The benchmarks run and say what they measured, at a tiny size; no figure is ever judged here."""

import json
from pathlib import Path

import pytest

from bench import __main__ as command
from bench import dashboard, deliveries, documents, load, looping, report, start
from bench.report import Outcome, Row, Size
from reconciler.model import Limits, Tree
from reconciler.source.folder import read
from reconciler.spec import config
from reconciler.spec import load as spec
from tests.waiting import until
from webhook.app import Route, create_app
from webhook.forges import Delivery
from webhook.server import serve

TINY = Size(clusters=2, running=2, pushes=2, objects=4, specs=20, rounds=1, idle=1.0)


def test_the_documents_are_sound(tmp_path: Path) -> None:
    documents.fill(tmp_path, 3, 2, running=2)
    revision, tree, blobs = read(tmp_path, ".", Limits())
    assert isinstance(tree, Tree)
    known = blobs(spec.wanted(tree, spec.NOTHING))
    found, _ = spec.load("bench", revision, tree, known, spec.NOTHING, config.anything(), config.NOWHERE, Limits())
    assert found.violations == ()
    suspended = [name for name, one in found.specs.clusters.items() if one.cluster.spec.suspend]
    assert (len(found.specs.clusters), suspended) == (3, [documents.name_of(2)])


def test_the_hostile_documents_are_sound_for_whoever_reads_them(tmp_path: Path) -> None:
    """A refused document would be no attack."""
    content = looping.fill(tmp_path, range(50_000, 50_002), range(60_000, 60_001))
    (content / documents.path_of(50_000)).write_text(looping.cluster(50_000, "7", looping.ROUNDS))
    revision, tree, blobs = read(content, ".", Limits())
    assert isinstance(tree, Tree)
    known = blobs(spec.wanted(tree, spec.NOTHING))
    found, _ = spec.load("bench", revision, tree, known, spec.NOTHING, config.anything(), config.NOWHERE, Limits())
    assert found.violations == () and len(found.specs.clusters) == 3


def test_deliveries_come_at_their_rate_and_are_what_they_say(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("known")
    marked: list[str] = []

    def mark(source: str, delivery: Delivery) -> int:
        marked.append(source)
        return 1

    routes = {name: Route(name, "github", lambda: (b"known",)) for name in ("healthy", "hostile")}
    served = serve(create_app(routes, mark), "127.0.0.1:0")
    flood = deliveries.Flood(served.port, 100, "/webhook/healthy", 20, "/webhook/hostile", str(secret))
    with deliveries.flooding(flood) as answered:
        assert until(lambda: len(marked) >= 10)
    served.stop()
    assert answered["forged 401"] and answered["signed 202"] >= 10
    assert set(answered) <= {"forged 401", "forged 429", "signed 202"} and set(marked) == {"hostile"}
    due = [next(times) for times in [deliveries._schedule(flood)] for _ in range(120)]
    assert [kind for _, kind in due].count("signed") == 20
    assert due[-1][0] - due[0][0] == pytest.approx(119 / 120)


def test_load_measures_both_sides() -> None:
    figures = {row.what: row.value for row in load.run(TINY).rows}
    assert figures["wall, beside whatever else runs"] > 0
    assert "rival / ours" in figures


def test_start_measures_every_command() -> None:
    figures = {row.what: row.value for row in start.run(TINY).rows}
    assert min(figures.values()) > 0
    assert {"python -c pass", "nidus --help", "nidus validate (empty folder)", "nidus plan (start)"} <= figures.keys()


def test_the_dashboard_is_measured_with_viewers_who_look() -> None:
    figures = {row.what: row.value for row in dashboard.run(TINY).rows}
    assert 0 < figures["overview"] < dashboard.PAGE
    assert figures["pages that 300 viewers got meanwhile"] > 0 < figures["webhook p99, 300 viewers"]


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [([3.0, 1.0, 2.0], 0.5, 2.0), ([1.0], 0.99, 1.0), ([float(n) for n in range(1, 101)], 0.99, 99.0)],
)
def test_percentiles_are_values_that_were_measured(values: list[float], share: float, expected: float) -> None:
    assert report.percentile(values, share) == expected


def test_a_missed_goal_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results")
    outcome = Outcome("x", "G0", [Row("a", 2.0, "s", 1.0), Row("b", 2.0, "x", 1.0, at_least=True)], ["why"])
    report.show(outcome)
    shown = capsys.readouterr().out
    assert "MISSED" in shown.splitlines()[2] and "met" in shown.splitlines()[3]
    kept = json.loads(report.keep(outcome, TINY).read_text())
    assert [row["verdict"] for row in kept["rows"]] == ["<= 1: MISSED", ">= 1: met"]
    assert kept["machine"]["commit"]


def test_an_unknown_benchmark_is_wrong_usage() -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(["fastest"])
    assert ended.value.code == 2


@pytest.mark.long
@pytest.mark.host
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ["plan", "push", "throughput", "rollout", "noop", "hostile", "elsewhere", "webhook"])
def test_benchmarks_of_the_whole_product(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results")
    words = [f"--{one}={getattr(TINY, one)}" for one in ("clusters", "running", "pushes", "idle")]
    assert command.main([name, *words, "--objects=40"]) == 0
    assert json.loads((tmp_path / "results" / f"{name}.json").read_text())["rows"]


@pytest.mark.long
@pytest.mark.timeout(600)
def test_the_benchmark_of_comments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results")
    assert command.main(["comment", "--clusters=3", "--rounds=1"]) == 0
    assert json.loads((tmp_path / "results" / "comment.json").read_text())["rows"]
