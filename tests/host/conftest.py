"""`field`: the controller on the host of the test (shared_host unless the test asks for host), as the shipped account."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from devhost.account import Account
from devhost.hosting import TestHost
from tests.host.field import Field, opened


@pytest.fixture
def shared_field(shared_host: TestHost, account: Account, tmp_path: Path) -> Iterator[Field]:
    """A field whose nested clusters share one control plane: quick to make."""
    made = opened(account, tmp_path / "stage")
    yield made
    made.end()


@pytest.fixture
def own_field(host: TestHost, account: Account, tmp_path: Path) -> Iterator[Field]:
    """A field whose nested clusters have a control plane each."""
    made = opened(account, tmp_path / "stage")
    yield made
    made.end()
