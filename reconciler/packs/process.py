"""One render worker, on the controller's side: started early, asked with a deadline, killed when it does not answer."""

import contextlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection
from pathlib import Path

from reconciler.errors import Stalled
from reconciler.packs import KINDS, priority
from reconciler.packs.wire import Answer, Job, TooBig, begins, receive, send

_ROOT = Path(__file__).resolve().parents[2]
_START = f"""
import gc, sys
gc.disable()
sys.path.append({str(_ROOT)!r})
from reconciler.packs.worker import main
main(*sys.argv[1:])
"""
"""`-I` leaves out everything but site-packages: what lies beside the product, as in its image, is added by its path before anything
else is imported. What modules make stays, so that nothing is collected before there is a job."""
_START_LIMIT = 30.0
LONG = 1.0
"""Seconds of processor time after which a job goes on with a lower priority: most sound ones take a tenth of it."""
PATIENCE = 2
"""How many times as long such a job may take: a sound one must not miss its deadline because others want the processor."""
_GLANCE = 0.25  # seconds between two looks at what a job has used
_TRACE = 65536
NOT_CONFINED = "the render workers cannot be kept from the network on this machine"
ALLOW = (
    "allow this process user namespaces (sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone) or seccomp "
    "filters (a profile that allows prctl(PR_SET_SECCOMP), x86-64 or arm64)"
)


def not_confined() -> Stalled:
    """Why nothing is rendered where nothing keeps the workers from the network."""
    return Stalled(NOT_CONFINED, reason="RenderNotConfined", hint=ALLOW)


class Ended(Exception):
    """The worker ended during a job. `ours`: by a crash or a limit of its own, not by a signal from outside."""

    def __init__(self, message: str, *, ours: bool) -> None:
        super().__init__(message)
        self.message = message
        self.ours = ours


class Worker:
    """A worker process, our end of its socket, and its folder for what it writes. Not thread-safe: one job at a time.

    `jobs` counts what it rendered, `rss` is its resident memory in bytes after the last job, `lowered` whether a long job took its
    usual priority, `confined` what keeps it from the network, once it has started. With `strict` it takes no job where nothing
    does. `yields`: whether a long job gives way to others. `ahead`: the kinds it loads before its first job.
    """

    def __init__(self, *, strict: bool = False, yields: bool = True, ahead: Collection[str] = KINDS) -> None:
        """Starts the process. Raises OSError where the machine has no process, memory or open file left; nothing stays then."""
        self._strict, self._yields = strict, yields
        self.confined: tuple[str, ...] = ()
        self.jobs = 0
        self.rss = 0
        self.lowered = False
        self._ready = False
        with contextlib.ExitStack() as undo:
            self._folder = Path(tempfile.mkdtemp(prefix="nidus-render-"))
            undo.callback(_discard, self._folder)
            self._link, theirs = socket.socketpair()
            undo.callback(self._link.close)
            with theirs, self._trace.open("wb") as trace:
                self._process = _launched(self._folder, ahead, theirs.fileno(), trace.fileno())
            undo.pop_all()

    @property
    def process(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def ask(self, job: Job, seconds: float) -> Answer:
        """The worker's answer to one job, which from LONG on gives way to everything else on the machine where this one `yields`.

        Raises TimeoutError after `seconds`, for a long job PATIENCE times as many, Ended when the process went away,
        Stalled(RenderNotConfined).
        """
        self.await_start()
        if self._strict and not self.confined:
            raise not_confined()
        began, allowed = time.monotonic(), seconds
        try:
            send(self._link, job, began + seconds)
            allowed = self._lowering(began, seconds)
            answer = receive(self._link, Answer, began + allowed)
        except TimeoutError:
            raise TimeoutError(f"not rendered within {allowed:g} s") from None
        except (EOFError, ConnectionError):
            raise self._ended() from None
        except TooBig:
            raise Ended("more bytes than a render may have", ours=True) from None
        self.jobs += 1
        self.rss = answer.rss
        return answer

    def _lowering(self, began: float, seconds: float) -> float:
        """Wait until the answer begins, with a lower priority once the job is long; returns how long it may take in all."""
        spent, left = priority.used(self.process), seconds
        while self._yields and not self.lowered and left > 0.0 and not begins(self._link, min(_GLANCE, left)):
            self.lowered = priority.used(self.process) - spent >= LONG and priority.lower(self.process)
            left = began + seconds - time.monotonic()
        return seconds * PATIENCE if self.lowered else seconds

    def kill(self) -> None:
        """Ends the process; an `ask` under way in another thread raises Ended."""
        self._process.kill()

    def close(self) -> None:
        """Ends the process, waits for it and frees what it held here. May be called again; not while `ask` runs."""
        self._process.kill()
        self._process.wait()
        self._link.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def _trace(self) -> Path:
        return self._folder / "stderr"

    def await_start(self) -> None:
        """The first frame says that the worker has its limits and libraries; its start is not the job's time. Raises Ended."""
        if self._ready:
            return
        try:
            first = receive(self._link, Answer, time.monotonic() + _START_LIMIT)
        except (EOFError, OSError):
            lines = self._lines() or ["no reason given"]
            raise Ended(f"the render worker does not start: {lines[-1][:200]}", ours=False) from None
        self.rss, self.confined, self._ready = first.rss, first.confined, True

    def _ended(self) -> Ended:
        status = self._process.wait()
        outside = status in (-signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT)
        return Ended(f"the render ended with {_spoken(status)}{self._cause()}", ours=not outside)

    def _cause(self) -> str:
        """The cause in the words of the Go runtime or Python, which contain no values."""
        for line in self._lines():
            if line.startswith(("fatal error: ", "runtime: out of memory", "MemoryError")):
                return f" ({line[:200]})"
        return ""

    def _lines(self) -> list[str]:
        if not self._trace.exists():
            return []
        with self._trace.open("rb") as trace:
            return trace.read(_TRACE).decode(errors="replace").splitlines()


def _discard(folder: Path) -> None:
    """Without opening a file: there may be none left."""
    (folder / "stderr").unlink(missing_ok=True)
    folder.rmdir()


def _launched(folder: Path, ahead: Collection[str], link: int, trace: int) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-I", "-X", "utf8", "-c", _START, str(folder), ",".join(ahead)],
        stdin=link,
        stdout=subprocess.DEVNULL,
        stderr=trace,
        env={},
        cwd=folder,
        start_new_session=True,
    )


def _spoken(status: int) -> str:
    if status == -signal.SIGXCPU:
        return "its processor time used up"
    return f"signal {signal.Signals(-status).name}" if status < 0 else f"exit code {status}"
