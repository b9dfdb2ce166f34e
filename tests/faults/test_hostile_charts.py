"""A hostile chart costs its own cluster and nothing else: it cannot hang, crash, exhaust or read the controller (H4, SEC-25)."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from reconciler.errors import NidusError, Retry, Stalled
from reconciler.model import Layer, Target
from reconciler.packs.process import Worker
from reconciler.packs.queue import Owner
from reconciler.packs.render import Renderer
from reconciler.packs.wire import Job
from reconciler.packs.worker import ADDRESS_SPACE

CHART = "apiVersion: v2\nname: web\nversion: 1.0.0\n"
CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"
SPIN = "{{ range until 10000000 }}{{ range until 1000000 }}{{ end }}{{ end }}"


@pytest.fixture
def renderer() -> Iterator[Renderer]:
    made = Renderer(2, seconds=150, cpu=4)
    yield made
    made.close()


@pytest.fixture
def hasty() -> Iterator[Renderer]:
    """One that ends what spins after a second of processor time."""
    made = Renderer(2, seconds=150, cpu=1)
    yield made
    made.close()


def read(oids: Collection[str]) -> dict[str, bytes]:
    return {oid: oid.encode() for oid in oids}


def layer(template: str, name: str = "a", spec: Mapping[str, Any] | None = None, **more: str) -> Layer:
    files = {"Chart.yaml": CHART, "templates/a.yaml": template, **more}
    pairs = tuple((f"c/{path}", text) for path, text in files.items())
    return Layer(
        f"p/{name}",
        Target("local", name),
        "helm",
        {"chart": "c", "release": name, **(spec or {})},
        repr((name, pairs, spec)),
        pairs,
    )


def outcome(renderer: Renderer, wanted: Layer) -> NidusError | None:
    try:
        renderer.render(wanted, read, host_version="v1.36.0")
    except NidusError as error:
        return error
    return None


def sound(renderer: Renderer) -> bool:
    return outcome(renderer, layer(CONFIG, f"sound-{time.monotonic_ns()}")) is None


DOUBLED = "{{ $s := `aaaa` }}{{ range until 40 }}{{ $s = print $s $s }}{{ end }}{{ $s }}"
GROWING = "\n".join(f"x{i}: &x{i} [{', '.join([f'*x{i - 1}'] * 10) if i else 'y'}]" for i in range(9))
MANY = "{{ range $i, $_ := until 300000 }}\n---\n" + CONFIG.replace("name: a", "name: a{{ $i }}") + "{{ end }}"
HOSTILE = {
    "gigabytes": ('{{ repeat 2000000000 "xxxxxxxx" }}', "RenderCrashed"),
    "text doubled forty times": (DOUBLED, "RenderCrashed"),
    "templates without end": ('{{ define "x" }}{{ include "x" . }}{{ end }}{{ include "x" . }}', "RenderFailed"),
    "deep YAML": ("a: " + "[" * 100_000, "RenderFailed"),
    "YAML that grows": (GROWING, "RenderFailed"),
    "nothing but objects": (MANY, "RenderFailed"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_chart_is_refused_and_others_go_on(renderer: Renderer, name: str) -> None:
    template, reason = HOSTILE[name]
    refused = outcome(renderer, layer(template))
    assert isinstance(refused, Stalled) and refused.reason == reason, refused
    assert len(refused.message) < 1000
    assert sound(renderer)


def test_a_regular_expression_bomb_costs_nothing(renderer: Renderer) -> None:
    template = CONFIG + 'data: {m: {{ regexMatch "(a+)+$" (repeat 30000 "a" | printf "%sb") | quote }}}\n'
    assert outcome(renderer, layer(template)) is None


def test_others_render_while_one_hangs() -> None:
    shared, results = Renderer(2, seconds=600, cpu=600), list[NidusError | None]()
    hanging = threading.Thread(target=lambda: results.append(outcome(shared, layer(SPIN))))
    try:
        assert sound(shared)
        workers = children()
        hanging.start()
        wait_until_busy(*workers)
        for _ in range(5):
            assert sound(shared)
        assert results == []
    finally:
        shared.close()
    hanging.join(60)
    assert isinstance(results[0], Retry)


def test_a_loop_without_end_is_refused_and_not_tried_again_at_once(hasty: Renderer) -> None:
    first, asked = outcome(hasty, layer(SPIN)), list[Collection[str]]()

    def asking(oids: Collection[str]) -> dict[str, bytes]:
        asked.append(oids)
        return read(oids)

    with pytest.raises(Stalled) as again:
        hasty.render(layer(SPIN), asking, host_version="v1.36.0")
    assert isinstance(first, Stalled) and first.message == again.value.message
    assert first.reason == "RenderCrashed" and len(first.message) < 1000
    assert asked == []
    assert sound(hasty)


def test_looping_charts_of_a_source_leave_other_clusters_alone() -> None:
    """Six clusters with six looping packs each, beside one that renders well: few are ever tried, and nobody else waits for them."""
    shared = Renderer(2, seconds=150, cpu=1, wait=150)  # the order is what counts, not how long a busy machine takes
    good, reasons = Owner("shared", "good"), list[str]()

    def render(owner: Owner, wanted: Layer) -> str:
        try:
            shared.render(wanted, read, host_version="v1.36.0", owner=owner)
        except NidusError as error:
            return error.reason
        return "Rendered"

    def hostile(number: int) -> None:
        for pack in range(6):
            reasons.append(render(Owner("shared", f"h{number}"), layer(SPIN, f"h{number}-{pack}")))

    try:
        assert render(good, layer(CONFIG, "good")) == "Rendered"
        passes = [threading.Thread(target=hostile, args=(number,)) for number in range(6)]
        for one in passes:
            one.start()
        while any(one.is_alive() for one in passes):
            name = f"good-{time.monotonic_ns()}"
            assert render(good, layer(CONFIG, name)) == "Rendered"
            assert render(Owner("other", "new"), layer(CONFIG, f"new-{name}")) == "Rendered"
            time.sleep(0.2)  # a cluster that renders without a pause would use up what the source may
        assert len(reasons) == 6 * 6
        assert reasons.count("RenderCrashed") <= 8
        assert set(reasons) <= {"RenderCrashed", "RenderQuarantined", "RenderersBusy"}
    finally:
        shared.close()


def test_the_wall_deadline_holds() -> None:
    strict = Renderer(1, seconds=1.0, cpu=60)
    try:
        refused = outcome(strict, layer(SPIN))
        assert isinstance(refused, Stalled) and refused.reason == "RenderTimeout"
        assert sound(strict)
    finally:
        strict.close()


def test_a_worker_killed_from_outside_is_replaced(renderer: Renderer) -> None:
    assert sound(renderer)
    before = children()
    for pid in before:
        os.kill(pid, signal.SIGKILL)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    for _ in range(4):
        assert sound(renderer)
    assert not set(before) & set(children())


def test_a_worker_killed_during_a_job_means_try_again() -> None:
    one = Renderer(1, cpu=20)
    try:
        assert sound(one)
        (pid,) = children()
        results: list[NidusError | None] = []
        running = threading.Thread(target=lambda: results.append(outcome(one, layer(SPIN))))
        running.start()
        wait_until_busy(pid)
        os.kill(pid, signal.SIGKILL)
        running.join(60)
        assert isinstance(results[0], Retry)
        assert sound(one)
    finally:
        one.close()


def test_closing_ends_a_render_under_way() -> None:
    one = Renderer(1, cpu=20)
    assert sound(one)
    (pid,) = children()
    results: list[NidusError | None] = []
    running = threading.Thread(target=lambda: results.append(outcome(one, layer(SPIN))))
    running.start()
    wait_until_busy(pid)
    one.close()
    running.join(60)
    assert isinstance(results[0], Retry)
    assert children() == []


def test_workers_are_recycled() -> None:
    one = Renderer(1, recycle=3)
    try:
        seen = set()
        for _ in range(7):
            assert sound(one)
            seen |= set(children())
        assert len(seen) == 3
    finally:
        one.close()


def test_a_chart_sees_nothing_of_its_surroundings(renderer: Renderer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIDUS_TEST_SECRET", "hunter2")
    template = CONFIG + "data:\n"
    for key, text in {
        "up": '.Files.Get "../../../../etc/hostname"',
        "absolute": '.Files.Get "/etc/hostname"',
        "glob": '(.Files.Glob "/etc/*").AsConfig',
        "lookup": 'lookup "v1" "Secret" "" "" | toJson',
        "dns": 'getHostByName "localhost"',
    }.items():
        template += f"  {key}: {{{{ {text} | quote }}}}\n"
    (found,) = renderer.render(layer(template), read, host_version="v1.36.0")
    assert found["data"] == {"up": "", "absolute": "", "glob": "{}", "lookup": "{}", "dns": ""}
    for call in ('env "NIDUS_TEST_SECRET"', 'expandenv "$NIDUS_TEST_SECRET"'):
        refused = outcome(renderer, layer(f"{{{{ {call} }}}}"))
        assert isinstance(refused, Stalled) and "not defined" in refused.message
    for pid in children():
        assert Path(f"/proc/{pid}/environ").read_bytes() == b""


@pytest.mark.parametrize("path", ["../../escape.yaml", "/tmp/escape.yaml", "templates/../../../escape.yaml"])
def test_files_stay_in_the_charts_folder(renderer: Renderer, path: str) -> None:
    refused = outcome(renderer, layer(CONFIG, **{path: "x"}))
    assert isinstance(refused, Stalled) and refused.reason == "ChartInvalid"


def test_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    one = Renderer(1, cpu=1)
    assert sound(one)
    assert outcome(one, layer("{{ fail }}")) is not None
    (folder,) = tmp_path.iterdir()
    assert [path.name for path in folder.iterdir()] == ["stderr"]
    assert outcome(one, layer(SPIN)) is not None
    assert not folder.exists()
    one.close()
    assert list(tmp_path.iterdir()) == []


def test_workers_end_with_a_controller_that_was_killed(tmp_path: Path) -> None:
    script = (
        "from reconciler.packs.process import Worker; from reconciler.packs.wire import Job; import time; w = Worker();"
        "w.ask(Job('manifests', '', {}, {}, {}, 'v1.36.0'), 20); print(w._process.pid, flush=True); time.sleep(60)"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment
    ) as controller:
        assert controller.stdout
        pid = int(controller.stdout.readline())
        assert len(list(tmp_path.iterdir())) == 1
        controller.kill()
    deadline = time.monotonic() + 60
    while running(pid) or list(tmp_path.iterdir()):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_worker_that_cannot_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho no such library >&2\nexit 1\n")
    broken.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(broken))
    one = Renderer(1)
    refused = outcome(one, layer(CONFIG))
    one.close()
    assert isinstance(refused, Retry) and refused.message == "the render worker does not start: no such library"


def test_the_worker_has_its_limits_and_no_file_of_ours(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.touch()
    kept = os.open(secret, os.O_RDONLY)
    os.set_inheritable(kept, True)
    worker = Worker()
    try:
        worker.ask(Job("manifests", "", {}, {}, {}, "v1.36.0", cpu=7), 20)
        (pid,) = children()
        assert str(secret) not in {str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()}
        rows = Path(f"/proc/{pid}/limits").read_text().splitlines()[1:]
        limits = {row[:25].strip(): row[25:].split()[0] for row in rows}
        assert limits["Max address space"] == str(ADDRESS_SPACE)
        assert limits["Max core file size"] == "0"
        assert 7 <= int(limits["Max cpu time"]) <= 12
    finally:
        worker.close()
        os.close(kept)


def children() -> list[int]:
    """Render workers of this process."""
    text = "".join(path.read_text() for path in Path("/proc/self/task").glob("*/children"))
    return [
        pid for pid in map(int, text.split()) if b"reconciler.packs.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]


def running(pid: int) -> bool:
    """Whether the process is there and not only waited for."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes() != b""
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until_busy(*pids: int) -> None:
    """Until one of the workers has used a third of a second more of processor time than now."""
    start, deadline = {pid: cpu(pid) for pid in pids}, time.monotonic() + 60
    while max(cpu(pid) - start[pid] for pid in pids) < 0.3:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
