"""Cuts the process that calls it off from the network, for good: a network namespace of its own, and a system-call filter (H4).

Called in a render worker before Helm's library is loaded, while the process has one thread: the filter is inherited by all later ones.
Sockets that are already open stay; new ones are of AF_UNIX or none. What reaches the network by another way (io_uring, another
process's sockets) is refused too. Rules: unshare(2), seccomp(2), linux/audit.h, linux/filter.h.
"""

import ctypes
import os
import struct
import sys

from msgspec import Struct

NAMESPACE = "network namespace"
FILTER = "system-call filter"
NAMES = (NAMESPACE, FILTER)

_NEW_USER, _NEW_NET = 0x10000000, 0x40000000
_NO_NEW_PRIVILEGES, _SECCOMP, _BY_FILTER = 38, 22, 2
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050000 | 13, 0x80000000  # 13 is EACCES
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data; the low half of the argument
_FOREIGN_CALLS = 0x40000000  # x86-64 has a second table of calls (x32) from here on


class _Calls(Struct, frozen=True):
    """An architecture's audit number, and the numbers of the calls: those that make sockets, those that are refused."""

    audit: int
    sockets: tuple[int, ...]
    refused: tuple[int, ...]


_MACHINES = {
    # socket, socketpair; ptrace, process_vm_readv, process_vm_writev, io_uring_setup, pidfd_getfd
    "x86_64": _Calls(0xC000003E, (41, 53), (101, 310, 311, 425, 438)),
    "aarch64": _Calls(0xC00000B7, (198, 199), (117, 270, 271, 425, 438)),
}


class _Program(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def leave_network() -> tuple[str, ...]:
    """What holds now, of NAMESPACE and FILTER; () where the kernel allows neither, and on other systems than
    Linux. Little-endian machines only."""
    if sys.platform != "linux":
        return ()
    library = ctypes.CDLL(None, use_errno=True)
    held = (NAMESPACE, _own_namespace(library)), (FILTER, _filtered(library))
    return tuple(name for name, holds in held if holds)


def _own_namespace(library: ctypes.CDLL) -> bool:
    """A namespace without an interface that is up. Without privileges it needs a user namespace around it."""
    return any(library.unshare(ctypes.c_int(flags)) == 0 for flags in (_NEW_NET, _NEW_USER | _NEW_NET))


def _filtered(library: ctypes.CDLL) -> bool:
    calls = _MACHINES.get(os.uname().machine)
    if calls is None:
        return False
    code = program(calls.audit, calls.sockets, calls.refused)
    bound = _Program(len(code) // 8, code)
    nothing = ctypes.c_ulong(0)
    if library.prctl(_NO_NEW_PRIVILEGES, ctypes.c_ulong(1), nothing, nothing, nothing):
        return False
    return bool(library.prctl(_SECCOMP, ctypes.c_ulong(_BY_FILTER), ctypes.byref(bound), nothing, nothing) == 0)


def program(audit: int, sockets: tuple[int, ...], refused: tuple[int, ...]) -> bytes:
    """The filter as instructions of struct sock_filter: kill on another architecture, EACCES for what is not allowed."""
    unix = [_step(_LOAD, _FIRST_ARGUMENT), _step(_EQUAL, 1, 1, 0), _step(_RETURN, _REFUSE), _step(_RETURN, _ALLOW)]
    checks = [_step(_AT_LEAST, _FOREIGN_CALLS, 0, 1), _step(_RETURN, _REFUSE)]
    for number in refused:
        checks += [_step(_EQUAL, number, 0, 1), _step(_RETURN, _REFUSE)]
    for number in sockets:
        checks += [_step(_EQUAL, number, 0, len(unix)), *unix]
    head = [_step(_LOAD, _ARCHITECTURE), _step(_EQUAL, audit, 1, 0), _step(_RETURN, _KILL), _step(_LOAD, _NUMBER)]
    return b"".join([*head, *checks, _step(_RETURN, _ALLOW)])


def _step(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
    """One instruction; `yes` and `no` are how many instructions a comparison skips."""
    return struct.pack("<HBBI", code, yes, no, value)
