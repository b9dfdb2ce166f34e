"""The tables of operations: what has steps on the host is an operation, and has a step for each of its phases."""

from typing import get_args

import pytest
from msgspec.structs import fields

from reconciler.apply.after import MACHINES
from reconciler.model import BackupRun, Restore
from reconciler.operations import OPERATIONS

RUNS = {"backup": BackupRun, "restore": Restore}  # of the others nothing is under way between two passes


@pytest.mark.parametrize("name", MACHINES)
def test_every_phase_has_a_step(name: str) -> None:
    phases = get_args(next(one.type for one in fields(RUNS[name]) if one.name == "phase")) if name in RUNS else ()
    assert set(MACHINES[name].phases) == set(phases)


def test_what_is_under_way_is_of_an_operation() -> None:
    assert set(RUNS) <= set(MACHINES) & set(OPERATIONS)
