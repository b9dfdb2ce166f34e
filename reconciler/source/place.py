"""A mirror's folder, address and limits, and how git is run in it."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from reconciler.model import SourceConfig
from reconciler.source import environment, runner, trees
from reconciler.source.address import Address


@dataclass(frozen=True, slots=True)
class Place:
    """What every command of a mirror needs to know. `deadline` in seconds, for each command; `halt`, once set, ends the one under
    way and every later one."""

    folder: Path
    config: SourceConfig
    address: Address
    deadline: float
    bounds: trees.Bounds
    halt: threading.Event = field(default_factory=threading.Event, compare=False)

    @property
    def ref(self) -> str:
        """Our ref for the branch, named by address: another URL or branch in the configuration never finds this one's commits."""
        name = f"{self.address.url}\n{self.address.branch}"
        return "refs/source/" + sha256(name.encode()).hexdigest()[:16]

    @property
    def refspec(self) -> str:
        """What a fetch of the branch asks for."""
        return f"+refs/heads/{self.address.branch}:{self.ref}"


def git(
    place: Place,
    arguments: Sequence[str],
    *,
    network: bool = False,
    stdin: bytes = b"",
    extra: Mapping[str, str] | None = None,
) -> runner.Answer:
    """One command; with `network` it may talk to the remote, with `extra` it has more variables.

    Raises Unavailable("Timeout") at the deadline.
    """
    if network:
        env = environment.network(place.folder, place.address, place.config.credentials)
    else:
        env = environment.reading(place.folder)
    output = 1024 * (place.bounds.files + 64)  # a line of a listing is shorter than that
    return runner.run(
        place.folder,
        arguments,
        {**env, **(extra or {})},
        deadline=place.deadline,
        written=place.bounds.pack,
        output=output,
        stdin=stdin,
        halt=place.halt,
    )
