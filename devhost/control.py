"""Sends commands about its processes to a running supervisor: one JSON line each way over a socket in the folder."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from devhost import layout
from devhost.errors import HostError
from devhost.programs import Program, Programs

Request = dict[str, Any]
Answer = dict[str, Any]


def call(folder: Path, request: Request, timeout: float = 30.0) -> Answer:
    """Send `request` ({"verb": "signal", "name": "etcd", "signal": 9}) to the supervisor of `folder`; return its answer.

    Verbs: list, pid, signal, stop, restart (each by "name"), start ("program": the fields of Program).
    Raises HostError when no supervisor answers within `timeout` seconds, or with what it refuses.
    """
    try:
        with _near(layout.control(folder)) as address, socket.socket(socket.AF_UNIX) as line:
            line.settimeout(timeout)
            line.connect(address)
            line.sendall(json.dumps(request, default=str).encode() + b"\n")
            answer: Answer = json.loads(line.makefile("rb").readline())
    except (OSError, ValueError) as error:
        raise HostError(f"no host answers in {folder}: {error}") from error
    if "error" in answer:
        raise HostError(answer["error"])
    return answer


def obey(programs: Programs, request: Request) -> Answer:
    """Do what `request` asks for; return the answer. Raises HostError when it cannot be done."""
    match request:
        case {"verb": "list"}:
            return {"names": programs.names()}
        case {"verb": "pid", "name": str(name)}:
            return {"pid": programs.pid(name)}
        case {"verb": "signal", "name": str(name), "signal": int(number)}:
            programs.signal(name, number)
        case {"verb": "stop", "name": str(name)}:
            programs.stop(name)
        case {"verb": "restart", "name": str(name)}:
            return {"pid": programs.restart(name)}
        case {"verb": "start", "program": dict(fields)}:
            return {"pid": programs.start(_program(fields))}
        case _:
            raise HostError(f"not a request: {request}")
    return {}


def listen(folder: Path, programs: Programs) -> None:
    """Answer calls for `folder` in threads of their own, until the process ends."""
    path = layout.control(folder)
    path.unlink(missing_ok=True)
    server = socket.socket(socket.AF_UNIX)
    with _near(path) as address:
        server.bind(address)
    server.listen(16)
    threading.Thread(target=_accept, args=(server, programs), name="control", daemon=True).start()


def _accept(server: socket.socket, programs: Programs) -> None:
    while True:
        line, _ = server.accept()
        threading.Thread(target=_answer, args=(line, programs), name="control call", daemon=True).start()


def _answer(line: socket.socket, programs: Programs) -> None:
    with line, contextlib.suppress(OSError):
        line.settimeout(30)
        try:
            request: Request = json.loads(line.makefile("rb").readline())
            answer = obey(programs, request)
        except HostError as error:
            answer = {"error": str(error)}
        except (KeyError, ValueError, TypeError) as error:
            answer = {"error": f"not a request: {error!r}"}
        line.sendall(json.dumps(answer).encode() + b"\n")


@contextmanager
def _near(path: Path) -> Iterator[str]:
    """Yield a short name for `path`: a socket's name holds 107 bytes, and folders of tests are deep."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def _program(fields: Request) -> Program:
    return Program(**{**fields, "argv": tuple(fields["argv"]), "log": Path(fields["log"])})
