"""The configuration file while the controller runs. An edit is checked as at a start; then the rules for authors and for deletion, and
the versions on offer, are taken at once. Everything else waits for a restart, and is told."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from reconciler.errors import NidusError
from reconciler.model import ControllerSpec, replace
from reconciler.settings import Settings, content

EVERY = 10.0  # seconds between two looks at the file
TAKEN = (
    "policy",
    "ceilings",
    "deletion",
    "defaults",
    "engine",
    "content",
)  # what needs no restart, by its name in the file


class Verdict(Struct, frozen=True):
    """What became of the file. `reason` is that of the Event, `problem` what a human should know, "" where the file is in force as a
    whole."""

    reason: str
    told: str
    problem: str = ""


class Configuration:
    """The settings in force. For one thread at a time."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._digest = b""
        self._last = ""  # the problem that was told last
        self._refused = False  # what made it unusable may end without an edit, such as a missing chart

    def look(self) -> Verdict | None:
        """Read the file again if it changed or was refused; None where there is nothing new to tell. `settings` are then those in force."""
        again = self.settings.again
        if again is None:
            return None
        digest = _digest(again.file)
        if digest == self._digest and not self._refused:
            return None
        self._digest, self._refused = digest, False
        try:
            found = again.load()
        except NidusError as error:
            self._refused = True
            problem = f"the configuration is refused, what was read before stays in force: {error.told}"
            return self._new(Verdict("ConfigurationRefused", problem, problem))
        changed = _changed(self.settings.config, found.config)
        taken = [name for name in changed if name in TAKEN]
        waiting = [name for name in changed if name not in TAKEN]
        charts = found.engines != self.settings.engines
        if taken or charts:
            self._take(found)
        return self._new(_verdict(taken or (["engine"] if charts else []), waiting))

    def _take(self, found: Settings) -> None:
        """Charts that left the list are kept until the restart: passes under way may name their files."""
        parts = {name: getattr(found.config, name) for name in TAKEN}
        spec = msgspec.structs.replace(self.settings.config, **parts)
        charts = {**self.settings.charts, **found.charts}
        self.settings = replace(self.settings, config=spec, engines=found.engines, charts=charts)

    def _new(self, verdict: Verdict) -> Verdict | None:
        """The verdict, unless it says only what was told before."""
        known, self._last = self._last, verdict.problem
        return None if verdict.problem == known and verdict.reason != "ConfigurationTaken" else verdict


def _verdict(taken: Sequence[str], waiting: Sequence[str]) -> Verdict:
    told = f"in force: {', '.join(f'spec.{name}' for name in taken)}"
    if not waiting:
        return Verdict("ConfigurationTaken" if taken else "ConfigurationAsBefore", told if taken else "nothing changed")
    names = ", ".join(f"spec.{name}" for name in waiting)
    problem = f"the configuration waits for a restart of the controller: {names}"
    return Verdict(
        "ConfigurationTaken" if taken else "ConfigurationWaits", f"{told}; {problem}" if taken else problem, problem
    )


def _changed(before: ControllerSpec, after: ControllerSpec) -> list[str]:
    """The fields that differ, by their names in the file."""
    fields = msgspec.structs.fields(ControllerSpec)
    return [one.encode_name for one in fields if getattr(before, one.name) != getattr(after, one.name)]


def _digest(file: str) -> bytes:
    try:
        return hashlib.sha256(content(Path(file))).digest()
    except OSError as error:
        return repr(error.errno).encode()
