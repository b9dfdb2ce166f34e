"""A few render workers shared by many threads: replaced when they are used up, killed when they misbehave."""

import queue
import threading

from reconciler.errors import Retry
from reconciler.packs.process import Worker
from reconciler.packs.wire import Answer, Job


class Pool:
    """`size` workers, started at once. Thread-safe: `ask` waits for a free one.

    A worker is replaced after `recycle` jobs, or when its resident memory passes `memory` bytes.
    """

    def __init__(self, size: int, recycle: int, memory: int) -> None:
        self._recycle = recycle
        self._memory = memory
        self._lock = threading.Lock()
        self._closed = False
        self._workers = {Worker() for _ in range(size)}
        self._idle: queue.LifoQueue[Worker] = queue.LifoQueue()
        for worker in self._workers:
            self._idle.put(worker)

    def ask(self, job: Job, seconds: float) -> Answer:
        """One job's answer. Raises TimeoutError after `seconds`, Ended, and Retry once the pool is closed."""
        worker = self._idle.get()
        fit = False
        try:
            if self._closed:
                raise Retry("rendering has been stopped", reason="Stopping")
            if not worker.alive:
                worker = self._replace(worker)
            answer = worker.ask(job, seconds)
            fit = worker.jobs < self._recycle and worker.rss < self._memory
            return answer
        finally:
            self._idle.put(worker if fit and not self._closed else self._replace(worker))

    def close(self) -> None:
        """Ends all workers, busy ones too; their renders raise Retry."""
        with self._lock:
            self._closed = True
            for worker in self._workers:
                worker.kill()
        while idle := self._next_idle():
            idle.close()
        for worker in self._workers:
            self._idle.put(worker)

    def _next_idle(self) -> Worker | None:
        try:
            return self._idle.get_nowait()
        except queue.Empty:
            return None

    def _replace(self, worker: Worker) -> Worker:
        worker.close()
        with self._lock:
            if self._closed:
                return worker
            fresh = Worker()
            self._workers = self._workers - {worker} | {fresh}
            return fresh
