"""A few render workers for many threads: replaced after a number of jobs, killed when they do not answer."""

import contextlib
import queue
import threading

from reconciler.errors import Retry
from reconciler.packs.process import Worker
from reconciler.packs.wire import Answer, Job

WAIT = 30.0  # seconds for a free worker; as long as one render may take


class Pool:
    """`size` workers, started at once where that is possible. Thread-safe: `ask` waits for a free one for a limited
    time.

    A worker is replaced after `recycle` jobs, or when its resident memory passes `memory` bytes. One that cannot be started
    (no process, no memory, no open file left) is started when it is asked for.
    """

    def __init__(self, size: int, recycle: int, memory: int, *, strict: bool = False) -> None:
        self._strict = strict
        self._recycle = recycle
        self._memory = memory
        self._size = size
        self._lock = threading.Lock()
        self._closed = False
        self._waiting = 0
        self._workers: set[Worker] = set()
        self._idle: queue.LifoQueue[Worker | None] = queue.LifoQueue()
        for _ in range(size):
            self._idle.put(self._started())

    def ask(self, job: Job, seconds: float, wait: float = WAIT) -> Answer:
        """One job's answer. Raises TimeoutError after `seconds`, Ended, and Retry: RenderersBusy after `wait` seconds without a free
        worker, WorkerNotStarted, Stopping once the pool is closed."""
        worker, fit = self._take(wait), False
        try:
            if self._closed:
                raise Retry("rendering has been stopped", reason="Stopping")
            if worker is None or not worker.alive:
                worker = self._renew(worker)
            answer = worker.ask(job, seconds)
            fit = worker.jobs < self._recycle and worker.rss < self._memory
            return answer
        finally:
            self._idle.put(worker if fit and not self._closed else self._replaced(worker))

    def confinement(self) -> tuple[str, ...]:
        """What keeps the workers from the network, of `packs.confine`'s names; () where nothing does. Waits for a worker's start.

        Raises Retry and Ended where none starts.
        """
        worker = self._take(WAIT)
        try:
            if self._closed:
                raise Retry("rendering has been stopped", reason="Stopping")
            if worker is None or not worker.alive:
                worker = self._renew(worker)
            worker.await_start()
            return worker.confined
        finally:
            self._idle.put(self._replaced(worker) if self._closed else worker)

    def idle(self) -> int:
        """How many workers are free now."""
        return self._idle.qsize()

    def processes(self) -> tuple[int, ...]:
        """The process ids of the workers that were started."""
        with self._lock:
            return tuple(sorted(worker.process for worker in self._workers))

    def close(self) -> None:
        """Ends all workers, busy ones too; their renders raise Retry."""
        with self._lock:
            self._closed = True
            for worker in self._workers:
                worker.kill()
        with contextlib.suppress(queue.Empty):
            while True:
                idle = self._idle.get_nowait()
                if idle is not None:
                    idle.close()
        for _ in range(self._size):
            self._idle.put(None)  # wakes the waiting threads

    def _take(self, wait: float) -> Worker | None:
        with self._lock:
            self._waiting += 1
        try:
            return self._idle.get(timeout=wait)
        except queue.Empty:
            message = f"no render worker became free within {wait:g} s, {self._waiting} renders wait"
            raise Retry(message, reason="RenderersBusy") from None
        finally:
            with self._lock:
                self._waiting -= 1

    def _replaced(self, worker: Worker | None) -> Worker | None:
        """A new worker for a used one; None where it cannot be started now."""
        self._drop(worker)
        return None if self._closed else self._started()

    def _started(self) -> Worker | None:
        try:
            return self._renew(None)
        except Retry:
            return None

    def _renew(self, worker: Worker | None) -> Worker:
        """A new worker. Raises Retry where it cannot be started."""
        self._drop(worker)
        try:
            fresh = Worker(strict=self._strict)
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
