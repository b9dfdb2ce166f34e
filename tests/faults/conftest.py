"""`lab`: the controller on the shared host behind a proxy; `lone_lab`: on a host of its own, to be broken."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from devhost.account import Account, open_account
from devhost.hosting import AUDITED, TestHost
from tests.faults.lab import Lab, close, opened_lab


@pytest.fixture
def lab(shared_host: TestHost, account: Account, tmp_path: Path) -> Iterator[Lab]:
    made = opened_lab(account, tmp_path / "stage")
    yield made
    close(made)


@pytest.fixture
def lone_lab(fresh_host: Callable[..., TestHost], rbac_manifests: Path, tmp_path: Path) -> Iterator[Lab]:
    account = open_account(fresh_host(nested="shared", audit=AUDITED), rbac_manifests)
    made = opened_lab(account, tmp_path / "stage", {"lease": {"duration": "60s"}})
    yield made
    close(made)
