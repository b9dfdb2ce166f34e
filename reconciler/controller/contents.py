"""The controller's content from elsewhere: what the operator allows, the store below the data folder, the threads that fetch (K1-K3); and
the folders of keys that decrypt what a source holds (K12)."""

from collections.abc import Callable

from reconciler.packs import keys
from reconciler.packs.content import Content
from reconciler.packs.content.access import Access
from reconciler.packs.content.background import Background
from reconciler.packs.content.client import Client
from reconciler.packs.content.fetch import Means
from reconciler.packs.content.store import Store
from reconciler.packs.render import Renderer
from reconciler.report import bugs
from reconciler.settings import CONTENT, Settings
from reconciler.spec import units


def means(settings: Settings) -> Means:
    """What content is fetched with. Of several sources one may use a half of the store."""
    config = settings.config.content
    limit = units.size(config.store)
    share = limit // 2 if len(settings.config.sources) > 1 else 0
    return Means(Store(settings.data / CONTENT, limit), Access(config.allow), Client(), share)


def opened(settings: Settings, wake: Callable[[str], None]) -> Background:
    """Content for passes and reviews. `wake` is called with a cluster whose content is here, or cannot come."""
    return Background(means(settings), wake, lambda what, error: bugs.tell("content", error, what))


def folders(settings: Settings) -> dict[str, str]:
    """The folder of age keys of each source that has one."""
    return {one.name: one.decryption.keys_folder for one in settings.config.sources if one.decryption}


def renderer(settings: Settings, content: Content | None) -> Renderer:
    """Renders for passes."""
    return Renderer(workers=2, content=content, keys=keys.of(folders(settings)))


def review_renderer(settings: Settings, content: Content | None) -> Renderer:
    """Renders for change requests, which nobody has accepted yet."""
    return Renderer(workers=1, content=content, keys=keys.of_reviews(folders(settings)))
