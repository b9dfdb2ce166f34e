"""The controller's content from elsewhere: what the operator allows, the store below the data folder, the threads that fetch (K1-K3)."""

from collections.abc import Callable

from reconciler.packs.content.access import Access
from reconciler.packs.content.background import Background
from reconciler.packs.content.client import Client
from reconciler.packs.content.fetch import Means
from reconciler.packs.content.store import Store
from reconciler.report import bugs
from reconciler.settings import CONTENT, Settings
from reconciler.spec import units


def opened(settings: Settings, wake: Callable[[str], None]) -> Background:
    """Content for passes and reviews. `wake` is called with a cluster whose content is here, or cannot come."""
    config = settings.config.content
    means = Means(Store(settings.data / CONTENT, units.size(config.store)), Access(config.allow), Client())
    return Background(means, wake, lambda what, error: bugs.tell("content", error, what))
