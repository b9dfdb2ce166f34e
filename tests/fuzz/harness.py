"""Tries one number after another on a surface, each as a case of its own, in child processes that the kernel watches.

A surface gives a function of `random.Random`: it makes one hostile input and lets the product work on it. It fails where another
exception than one of the product's own comes out, where one case takes longer than LONGEST of processor time (the kernel ends the
child, also one that is held inside a regular expression), and where the memory grows. A failing case is one number:
`NIDUS_FUZZ=answers:4711 pytest tests/fuzz` runs it again, alone and in this process.
"""

import gc
import multiprocessing
import os
import resource
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

Case = Callable[[Random], None]
LONGEST = 2.0  # seconds of processor time for one case: the slowest take some hundredths
GROWTH = 48 << 20  # bytes that a process may keep after all its cases; what is made on first use comes before
PEAK = 400 << 20  # bytes that a process may have held at once, above what it began with
WARM = 200  # cases before the memory is measured
PAGE = resource.getpagesize()
SHARED = "/dev/shm"  # where files of cases cost no disk


@dataclass(frozen=True, slots=True)
class Share:
    """What one process came to: cases done, seconds of processor time, the slowest case, bytes that were kept, bytes at most; `error` names
    the case."""

    cases: int
    seconds: float
    slowest: float = 0.0
    grown: int = 0
    peak: int = 0
    error: str = ""


def run(
    make: Callable[[], Case], name: str, numbers: range, processes: int = 2, longest: float = LONGEST
) -> list[Share]:
    """Try all `numbers` on the surface `make`, spread over processes; each case in `longest` seconds of processor time."""
    go = "helm_python" in sys.modules  # a library in Go lacks its threads in a process that was forked
    context: Any = multiprocessing.get_context("spawn" if go else "fork")
    started = []
    for one in range(processes):
        at, (ours, theirs) = context.RawValue("q", -1), context.Pipe(duplex=False)
        process = context.Process(target=_child, args=(make, numbers[one::processes], longest, at, theirs), daemon=True)
        process.start()
        theirs.close()
        started.append((process, at, ours))
    return [_result(name, *one) for one in started]


def _result(name: str, process: Any, at: Any, ours: Any) -> Share:
    try:
        found: Share = ours.recv()
    except EOFError:  # the kernel ended it
        process.join()
        found = Share(0, 0.0, error=f"ended by signal {-process.exitcode}: too long for one case?")
    process.join()
    return found if not found.error else Share(found.cases, found.seconds, error=f"{name}:{at.value}: {found.error}")


def _child(make: Callable[[], Case], numbers: range, longest: float, at: Any, told: Any) -> None:
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    tempfile.tempdir = SHARED if os.access(SHARED, os.W_OK) else None
    gc.freeze()  # a collection would copy every page of the parent, at the cost of one case
    try:
        told.send(_tried(make(), numbers, longest, at))
    except BaseException:
        told.send(Share(0, 0.0, error=traceback.format_exc()))


def _tried(case: Case, numbers: range, longest: float, at: Any) -> Share:
    slowest, began, warm, lowest = 0.0, used(), 0, 0
    for done, number in enumerate(numbers):
        if done == min(WARM, len(numbers) // 2):
            gc.collect()
            warm = lowest = memory("VmRSS")
        at.value = number
        signal.setitimer(signal.ITIMER_PROF, longest)
        before = used()
        case(Random(number))
        slowest = max(slowest, used() - before)
    signal.setitimer(signal.ITIMER_PROF, 0)
    gc.collect()
    return Share(len(numbers), used() - began, slowest, memory("VmRSS") - warm, memory("VmHWM") - lowest)


def used() -> float:
    """Seconds of processor time of this process, its own and the kernel's for it."""
    found = resource.getrusage(resource.RUSAGE_SELF)
    return found.ru_utime + found.ru_stime


def memory(what: str) -> int:
    """VmRSS (held now) or VmHWM (held at most), in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(what))


def wrong(shares: list[Share]) -> list[str]:
    """What is wrong with the shares of a surface: failed cases, and memory that was kept or too much at once."""
    told = [one.error for one in shares if one.error]
    told += [f"{one.grown >> 20} MiB more after {one.cases} cases" for one in shares if one.grown > GROWTH]
    return told + [f"{one.peak >> 20} MiB more at once" for one in shares if one.peak > PEAK]


Surfaces = Mapping[str, tuple[Callable[[], Case], int]]
"""Name -> (what makes it, how many cases the long test tries)."""
