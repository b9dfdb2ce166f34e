"""One host with the controller installed, for all tests of this folder; it ends with the last of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from devhost import lifecycle
from devhost.hosting import TestHost
from tests.devhost import real_node
from tests.devhost.product import installation


@pytest.fixture(scope="package")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestHost]:
    """A host with a fake node, for engines, and a real one, on which the controller is installed."""
    real_node.skip_unless_possible()
    hosted = installation.installed_in(tmp_path_factory.mktemp("product"))
    yield hosted
    lifecycle.down(hosted.folder)
