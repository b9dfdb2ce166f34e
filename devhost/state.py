"""The state file: what runs in a folder, written whole by the supervisor at every change, read by everybody else."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from devhost import layout


@dataclass(frozen=True, slots=True)
class Wish:
    """What `up` was asked for.

    `nested` is own, shared or none; `node` is `real` for a real node besides, or empty; `audit` are user names, or
    system:serviceaccount:* or system:serviceaccount:NS:*; `extra_flags` are added to a component's command line, by its name.
    """

    nodes: int = 3
    nested: str = "own"
    node: str = ""
    audit: tuple[str, ...] = ()
    extra_flags: Mapping[str, tuple[str, ...]] = msgspec.field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Host:
    """A host: where it is and how to reach it."""

    folder: Path
    server: str
    wish: Wish
    kubernetes: str
    supervisor: int
    ports: Mapping[str, int]
    tools: Mapping[str, Path]

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return layout.kubeconfig(self.folder)

    @property
    def pki(self) -> Path:
        """The folder of keys and certificates."""
        return layout.pki(self.folder)


@dataclass(frozen=True, slots=True)
class Process:
    """A child of the supervisor; `born` is its start in clock ticks since boot, so that a reused pid is not taken for it."""

    name: str
    pid: int
    born: int
    address: str
    version: str


@dataclass(frozen=True, slots=True)
class State:
    """The content of the state file."""

    host: Host
    processes: tuple[Process, ...]
    ready: bool


def read(folder: Path) -> State | None:
    """Return the state of `folder`; None when there is none or it cannot be read as one."""
    try:
        return msgspec.json.decode(layout.state(folder).read_bytes(), type=State, dec_hook=_decode)
    except (OSError, msgspec.MsgspecError):
        return None


def write(state: State) -> None:
    """Write `state` into its host's folder, whole or not at all."""
    replace(layout.state(state.host.folder), msgspec.json.format(msgspec.json.encode(state, enc_hook=str), indent=1))


def replace(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Write `data` to `path` under another name and move it into place."""
    half = path.with_name(f".{path.name}.{os.getpid()}")
    with half.open("wb") as file:
        half.chmod(mode)
        file.write(data)
    half.replace(path)


def _decode(kind: type, value: object) -> object:
    if kind is Path:
        return Path(str(value))
    raise TypeError(f"no {kind.__name__} in a state file")
