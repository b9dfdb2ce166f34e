"""A render that takes long gives way to everything else on the machine, and may take longer for it (H4): real workers, uid 65532."""

import json
from contextlib import closing

import msgspec
import pytest

from reconciler.packs import priority, process
from reconciler.packs.pool import Pool
from reconciler.packs.process import Worker
from tests.faults.test_confinement import as_stranger, root
from tests.test_packs_pool import PLAIN, SLOW

SCRIPT = """
import json, os, threading
from pathlib import Path
from reconciler.packs.process import Ended, Worker
from tests.test_packs_pool import SLOW
def ask():
    try:
        one.ask(SLOW, 60)
    except Ended:
        pass
one = Worker()
asking = threading.Thread(target=ask)
asking.start()
while not one.lowered and asking.is_alive():
    threading.Event().wait(0.02)
threads = [int(at) for at in os.listdir(f"/proc/{one.process}/task")]
group = Path(f"/proc/{one.process}/autogroup")
print(json.dumps([
    os.getuid(),
    sorted({os.getpriority(os.PRIO_PROCESS, at) for at in threads}),
    group.read_text().split()[2:] if group.exists() and group.read_text() else [],
]))
one.kill()
asking.join()
"""
"""What a worker's threads and its session have for a priority, once a job is long."""
ROUNDS = 6000
"""Squared, the steps of one template: more than a second of processor time."""


@root
def test_every_thread_of_a_long_render_gives_way_and_so_does_its_session() -> None:
    uid, threads, session = json.loads(as_stranger(SCRIPT))
    assert (uid, threads) == (65532, [priority.NICENESS])
    assert session in ([], [str(priority.NICENESS)])  # none where the kernel schedules no sessions


@pytest.mark.long
def test_no_other_render_gets_the_worker_of_a_long_one() -> None:
    chart = {**SLOW.files, "c/templates/a.yaml": SLOW.files["c/templates/a.yaml"].replace(b"100000", b"%d" % ROUNDS)}
    with closing(Pool(1, recycle=10, memory=1 << 40)) as pool:
        pool.ask(PLAIN, 30)
        (before,) = pool.processes()
        pool.ask(PLAIN, 30)
        assert pool.processes() == (before,)
        answer = pool.ask(msgspec.structs.replace(SLOW, files=chart), 60)
        assert answer.reason == "" and answer.cpu > process.LONG
        assert before not in pool.processes()
        assert pool.ask(PLAIN, 30).reason == ""


@pytest.mark.long
def test_a_long_render_that_somebody_waits_for_keeps_its_priority_and_its_deadline() -> None:
    with closing(Worker(yields=False)) as worker, pytest.raises(TimeoutError) as caught:
        worker.ask(SLOW, 3)
    assert str(caught.value) == "not rendered within 3 s" and not worker.lowered


@pytest.mark.long
def test_a_long_render_may_take_longer() -> None:
    """It would miss its deadline where others want the processor."""
    with closing(Worker()) as worker, pytest.raises(TimeoutError) as caught:
        worker.ask(SLOW, 8)  # on a busy machine a second of processor time takes some
    assert str(caught.value) == f"not rendered within {8 * process.PATIENCE} s"
