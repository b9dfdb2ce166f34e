"""The secrets of one route, read from their files at every delivery: so they are rotated without a restart, by two files that are valid
at once."""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from webhook.forges import signing

SIZE = 64 << 10  # bytes of a file that are read


class Secrets:
    """Calling it gives the secrets that are valid now. A file that is missing or empty is no secret, one that is too short is
    refused; where none is left, the route answers 404. `say` is called with each change of `problem`, "" where there is none."""

    def __init__(self, files: Sequence[Path], say: Callable[[str], None] = lambda problem: None) -> None:
        self._files, self._say = tuple(files), say
        self._lock = threading.Lock()
        self.problem = ""

    def __call__(self) -> tuple[bytes, ...]:
        found = {file: read(file) for file in self._files}
        valid = tuple(secret for secret, fault in found.values() if not fault)
        short = any(secret and fault for secret, fault in found.values())
        faults = [f"{file} {fault}" for file, (_, fault) in found.items() if fault]
        self._tell("; ".join(faults) if short or not valid else "", bool(valid))
        return valid

    def _tell(self, faults: str, is_open: bool) -> None:
        closed = "" if is_open else "; the route is closed, deliveries are answered 404"
        problem = f"no good secret: {faults}{closed}" if faults else ""
        with self._lock:
            changed, self.problem = problem != self.problem, problem
        if changed:
            self._say(problem)


def read(file: Path) -> tuple[bytes, str]:
    """The secret in a file, without the space around it, and what is wrong with it, "" where nothing is."""
    try:
        with file.open("rb") as stream:
            secret = stream.read(SIZE).strip()
    except OSError as error:
        return b"", f"cannot be read ({error.strerror or error})"
    return secret, signing.fault(secret)
