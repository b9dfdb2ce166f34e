"""The dashboard's listener (U7, U8), and what its pages ask of the controller. A replica that does not lead serves it too."""

from collections.abc import Callable, Iterable
from functools import cache, partial
from typing import Final

from dashboard.app import create_app
from dashboard.door import Access, Door, Proxy
from dashboard.feed import Feed
from dashboard.site import Views
from reconciler.controller import http
from reconciler.controller.actions import Actions
from reconciler.controller.lookups import Lookups
from reconciler.controller.rights import Rights
from reconciler.errors import UsageError
from reconciler.inventory.salt import salt
from reconciler.kube.client import Client
from reconciler.model import ControllerSpec, DashboardConfig, Request
from webhook.bounds import Bounds
from webhook.server import Served, serve

BOUNDS: Final = Bounds(threads=2)
"""Two threads, of which each holds the interpreter for a few milliseconds: readers wait for each other, and nobody waits for them."""


def served(
    views: http.Views, config: ControllerSpec, client: Client, standing: Callable[[], Iterable[Request]]
) -> Served | None:
    """Serve the dashboard, where it is configured. `client` is one without the Lease's fence, `standing` the requests that stand.
    Raises UsageError for an address that cannot be used."""
    wanted = config.server.dashboard
    if wanted is None:
        return None
    reporter = views.reporter
    actions, waits = Actions(client, config.namespace, standing), lambda: views.process().waits
    feed = Feed()
    reporter.heard = feed.changed
    kept = Lookups(client, config.namespace)
    shown = Views(
        reporter.clusters.copy, reporter.sources.copy, waits, actions.ask, actions.asked, feed, views.webhooks, views.changes,
        views.change, kept.history, kept.spent,
    )  # fmt: skip
    try:
        return serve(create_app(shown, _door(wanted, config, client)), wanted.address, bounds=BOUNDS)
    except OSError as error:
        told = f"cannot listen on {wanted.address}: {error.strerror}"
        raise UsageError(told, hint="spec.server.dashboard.address") from error


def _door(wanted: DashboardConfig, config: ControllerSpec, client: Client) -> Door:
    names = http.names(config.namespace, config.server.hosts)
    return Door(lambda host: http.ours(host, names), wanted.url.lower(), _access(wanted, config.namespace, client))


def _access(wanted: DashboardConfig, namespace: str, client: Client) -> Access:
    if wanted.auth == "none":
        return Access()
    rights, proxy = Rights(client, namespace), Proxy()
    if wanted.proxy is not None:
        proxy = Proxy(wanted.proxy.addresses, wanted.proxy.user_header, wanted.proxy.groups_header)
    return Access(wanted.auth, rights.holder, rights.may, rights.seen, cache(partial(salt, client, namespace)), proxy)
