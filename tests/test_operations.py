"""The tables of operations: what has steps on the host is an operation, and has a step for each of its phases."""

from typing import get_args

import pytest
from msgspec.structs import fields

from reconciler.apply.after import MACHINES
from reconciler.model import BackupRun, Restore
from reconciler.operations import OPERATIONS

RUNS = {"backup": BackupRun, "restore": Restore}


@pytest.mark.parametrize("name", MACHINES)
def test_every_phase_has_a_step(name: str) -> None:
    phases = get_args(next(one.type for one in fields(RUNS[name]) if one.name == "phase"))
    assert name in OPERATIONS and set(MACHINES[name].phases) == set(phases)
