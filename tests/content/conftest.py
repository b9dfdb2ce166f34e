"""Servers of content, and what fetches from them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reconciler.model import ContentAllow
from reconciler.packs.content.access import Access
from reconciler.packs.content.client import Client, Timeouts
from reconciler.packs.content.fetch import Means
from reconciler.packs.content.store import Store
from tests.content.registry import Registry
from tests.content.server import Site, certified

Sites = Callable[..., Site]
Allowed = Callable[..., Means]


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certified(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def sites(tls: Path) -> Iterator[Sites]:
    """Makes servers: https, or with `plain` http."""
    made: list[Site] = []

    def site(*, plain: bool = False, certificate: Path | None = None) -> Site:
        made.append(Site(None if plain else certificate or tls))
        return made[-1]

    yield site
    for one in made:
        one.close()


@pytest.fixture
def allowed(tls: Path, tmp_path: Path) -> Allowed:
    """What fetches from servers that the operator allows."""

    def means(*sites: Site, limit: int = 64 << 20, timeouts: Timeouts | None = None, **more: object) -> Means:
        allow = tuple(
            ContentAllow(prefix=one.url, ca_file=str(tls.with_name("ca.pem")), plain_http=one.url[4] == ":", **more)  # type: ignore[arg-type]
            for one in sites
        )
        return Means(Store(tmp_path / "store", limit), Access(allow), Client(timeouts or Timeouts(10.0, 10.0, 120.0)))

    return means


@pytest.fixture(scope="session")
def open_one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry without a login, for all tests: each pushes under names of its own."""
    made = Registry(tmp_path_factory.mktemp("registry"))
    yield made
    made.close()
