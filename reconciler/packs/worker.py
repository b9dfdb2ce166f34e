"""The render worker: jobs in, objects out, over the socket that is its standard input, until that is closed (H4).

Started by `packs.process` with an empty environment. Limits are set here, inside the child, before any chart is read.
An exception that is not one of our errors ends the process, and the controller starts another.
"""

import gc
import importlib
import resource
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Mapping

import msgspec

from reconciler.errors import NidusError, Stalled
from reconciler.packs import KINDS, confine
from reconciler.packs.objects import Sourced, collect, without
from reconciler.packs.wire import Answer, Job, TooBig, receive, send

ADDRESS_SPACE = 3 << 30
"""Bytes. Helm's library is a Go runtime, which reserves far more than it uses: it aborts at 512 MiB."""
_DATA = 1 << 30
_FILE = 64 << 20
_OPEN_FILES = 128
_PAGE = resource.getpagesize()

Render = Callable[[Job], list[Sourced]]


class Kinds(dict[str, Render]):
    """What renders each kind, loaded when the first job of it comes: Helm's library is half of a worker's start."""

    def __missing__(self, kind: str) -> Render:
        found: Render = importlib.import_module(KINDS[kind]).render
        self[kind] = found
        return found


def main(folder: str, ahead: str = "") -> None:
    """Serves jobs until the controller closes the socket. Files are written to `folder`, which is deleted at the
    end. `ahead`: the kinds that are loaded before the first job, separated by commas."""
    _limit()
    tempfile.tempdir = folder
    confined = confine.leave_network()  # before Helm's library and its threads
    kinds = Kinds()
    for kind in filter(None, ahead.split(",")):
        kinds[kind]
    gc.enable()
    try:
        _serve(socket.socket(fileno=0), kinds, confined)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _serve(link: socket.socket, kinds: Mapping[str, Render], confined: tuple[str, ...]) -> None:
    send(link, Answer(rss=_resident(), confined=confined))
    while True:
        try:
            job = receive(link, Job)
        except (EOFError, ConnectionError):
            return
        _allow(job.cpu)
        try:
            send(link, answer(job, kinds))
        except TooBig:
            send(link, Answer(reason="RenderFailed", message="the rendered objects are too large", rss=_resident()))


def answer(job: Job, kinds: Mapping[str, Render]) -> Answer:
    """Renders one job; our own errors become an answer with their reason."""
    began = _used()
    try:
        objects = without(collect(kinds[job.kind](job), job.namespace), job.spec.get("exclude", ()))
        return Answer(objects=msgspec.Raw(msgspec.json.encode(objects)), rss=_resident(), cpu=_used() - began)
    except MemoryError:
        failed: NidusError = Stalled("the render needs too much memory", reason="RenderFailed")
    except NidusError as error:
        failed = error
    spent = _used() - began
    return Answer(reason=failed.reason, message=failed.message, hint=failed.hint, rss=_resident(), cpu=spent)


def _used() -> float:
    """Seconds of processor time so far, those of processes that it started and that ended with them."""
    below = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + below.ru_utime + below.ru_stime


def _limit() -> None:
    for limit, value in (
        (resource.RLIMIT_AS, ADDRESS_SPACE),
        (resource.RLIMIT_DATA, _DATA),
        (resource.RLIMIT_FSIZE, _FILE),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(limit)
        lowest = value if hard == resource.RLIM_INFINITY else min(value, hard)
        try:
            resource.setrlimit(limit, (lowest, lowest))
        except (ValueError, OSError):  # macOS has no limit of the address space; there only people's own renders run
            if sys.platform == "linux":
                raise


def _allow(seconds: int) -> None:
    """Lets this job use `seconds` more of processor time; the kernel ends the process after that."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + 1 + seconds, hard))


def _resident() -> int:
    """Bytes of memory in use; where the system does not tell, the most there ever were."""
    if sys.platform != "linux":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    with open("/proc/self/statm") as told:  # noqa: PTH123 (as in schemas)
        return int(told.read().split()[1]) * _PAGE
