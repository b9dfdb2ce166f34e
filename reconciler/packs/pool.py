"""A few render workers shared by many threads: replaced when they are used up, killed when they misbehave."""

import threading
import time
from collections.abc import Callable, Collection

from reconciler.errors import Retry
from reconciler.packs import KINDS
from reconciler.packs.process import Ended, Worker
from reconciler.packs.queue import Line, Owner
from reconciler.packs.wire import Answer, Job

WAIT = 30.0  # seconds for a free worker; as long as one render may take on a machine that has room
NOBODY = Owner()


class Pool:
    """`size` workers, started at once where that is possible. Thread-safe: `ask` waits for a free one, but not for ever.

    A worker is replaced after `recycle` jobs, when its resident memory passes `memory` bytes, or when a long job lowered its
    priority. One that cannot be started (no process, no memory, no open file left) is started when it is asked for. Who comes next
    is `packs.queue`'s to say, and the last free worker of several is for `trusted` owners only. With `strict` nothing is rendered
    that could reach the network. `yields`: whether long jobs give way to others. `ahead`: the kinds that a worker loads before its
    first job.
    """

    def __init__(
        self,
        size: int,
        recycle: int,
        memory: int,
        *,
        strict: bool = False,
        yields: bool = True,
        ahead: Collection[str] = KINDS,
        trusted: Callable[[Owner], bool] = lambda owner: True,
    ) -> None:
        self._strict, self._yields = strict, yields
        self._ahead = ahead
        self._recycle = recycle
        self._memory = memory
        self._lock = threading.Lock()
        self._moved = threading.Condition()
        self._line = Line(min(1, size - 1), trusted)
        self._closed = False
        self._workers: set[Worker] = set()
        self._idle: list[Worker | None] = [self._started() for _ in range(size)]

    def ask(self, job: Job, seconds: float, wait: float = WAIT, owner: Owner = NOBODY) -> Answer:
        """One job's answer. Raises TimeoutError after `seconds`, Ended, Stalled(RenderNotConfined), and Retry: RenderersBusy after `wait`
        seconds without a free worker, or at once where an owner is not trusted and another such of its source waits;
        WorkerNotStarted, Stopping once the pool is closed."""
        worker, fit = self._take(wait, owner), False
        try:
            if worker is None or not worker.alive:
                worker = self._renew(worker)
            answer = worker.ask(job, seconds)
            fit = worker.jobs < self._recycle and worker.rss < self._memory and not worker.lowered
            return answer
        finally:
            self._give_back(worker, fit, owner)

    def confinement(self) -> tuple[str, ...]:
        """What keeps the workers from the network, of `packs.confine`'s names; () where nothing does. Waits for a worker's start.

        Raises Retry and Ended where none starts.
        """
        worker, fit = self._take(WAIT, NOBODY), False
        try:
            if worker is None or not worker.alive:
                worker = self._renew(worker)
            worker.await_start()
            fit = True
            return worker.confined
        finally:
            self._give_back(worker, fit, NOBODY)

    def idle(self) -> int:
        """How many workers are free now."""
        with self._moved:
            return len(self._idle)

    def processes(self) -> tuple[int, ...]:
        """The process ids of the workers that were started."""
        with self._lock:
            return tuple(sorted(worker.process for worker in self._workers))

    def close(self) -> None:
        """Ends all workers, busy ones too; their renders raise Retry, and so do those that wait."""
        with self._lock:
            self._closed = True
            for worker in self._workers:
                worker.kill()
        with self._moved:
            idle, self._idle = self._idle, []
            self._moved.notify_all()
        for one in idle:
            self._drop(one)

    def _take(self, wait: float, owner: Owner) -> Worker | None:
        """A free worker, None where one has to be started, once it is the owner's turn."""
        ends = time.monotonic() + wait
        with self._moved:
            ticket = self._line.join(owner)
            try:
                while not self._line.first(ticket, len(self._idle)):
                    self._raise_hopeless(ends - time.monotonic(), wait, self._line.superfluous(ticket))
                    self._moved.wait(ends - time.monotonic())
                self._raise_closed()
                self._line.serve(ticket)
                return self._idle.pop()
            finally:
                self._line.leave(ticket)
                self._moved.notify_all()

    def _raise_hopeless(self, left: float, wait: float, superfluous: bool) -> None:
        self._raise_closed()
        waiting = len(self._line)
        if superfluous:
            raise Retry(f"its source's renders hang, {waiting} renders wait", reason="RenderersBusy", after=5.0)
        if left <= 0:
            message = f"no render worker became free within {wait:g} s, {waiting} renders wait"
            raise Retry(message, reason="RenderersBusy")

    def _raise_closed(self) -> None:
        if self._closed:
            raise Retry("rendering has been stopped", reason="Stopping")

    def _give_back(self, worker: Worker | None, fit: bool, owner: Owner) -> None:
        """The worker, or a fresh one in its place, is free again. Whoever spent it waits for the start of the fresh one; one that
        cannot be started now is started when it is asked for."""
        if not fit or self._closed:
            self._drop(worker)
            worker = None if self._closed else self._replaced()
        with self._moved:
            self._line.over(owner)
            if not self._closed:
                self._idle.append(worker)
                worker = None
            self._moved.notify_all()
        self._drop(worker)

    def _replaced(self) -> Worker | None:
        """A worker that has started, None where none does."""
        fresh = self._started()
        try:
            if fresh is not None:
                fresh.await_start()
        except Ended:
            self._drop(fresh)
            return None
        return fresh

    def _started(self) -> Worker | None:
        try:
            return self._renew(None)
        except Retry:
            return None

    def _renew(self, worker: Worker | None) -> Worker:
        """A fresh worker. Raises Retry where it cannot be started."""
        self._drop(worker)
        try:
            fresh = Worker(strict=self._strict, yields=self._yields, ahead=self._ahead)
        except OSError as error:
            message = f"a render worker cannot be started: {error.strerror or type(error).__name__}"
            raise Retry(message, reason="WorkerNotStarted") from error
        with self._lock:
            self._workers.add(fresh)
            if self._closed:
                fresh.kill()
        return fresh

    def _drop(self, worker: Worker | None) -> None:
        if worker is not None:
            worker.close()
            with self._lock:
                self._workers.discard(worker)
