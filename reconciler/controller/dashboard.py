"""The dashboard's listener (U7, U8), and what its pages ask of the controller. A replica that does not lead serves it too."""

from collections.abc import Callable, Iterable
from functools import cache, partial
from typing import Final

from dashboard.app import SIGN_IN, create_app
from dashboard.door import Access, Door, Proxy
from dashboard.feed import Feed
from dashboard.views import Views
from reconciler.controller import http
from reconciler.controller.actions import Actions
from reconciler.controller.insides import Insides
from reconciler.controller.lookups import READS, Lookups
from reconciler.controller.rights import Rights
from reconciler.errors import Unavailable, UsageError
from reconciler.inventory.salt import salt
from reconciler.kube.client import Client
from reconciler.model import ControllerSpec, DashboardConfig, Request, UserInfo, replace
from reconciler.settings import Settings
from webhook.attempts import Attempts
from webhook.bounds import Bounds
from webhook.server import Served, serve

FAILURES: Final = (
    30  # tokens of nobody from one address, at once; behind a server in front, all people have one address
)
EVERY: Final = 0.5  # seconds for one more
BOUNDS: Final = Bounds(threads=2)
"""Two threads, of which each holds the interpreter for a few milliseconds: readers wait for each other, and nobody waits for them."""
APART: Final = {SIGN_IN: 4}
"""Threads of those who sign in, who wait for the API server's word about their tokens: tokens of nobody hold up other sign-ins alone, by
the time of their own answers."""


def served(
    views: http.Views, settings: Settings, client: Client, standing: Callable[[], Iterable[Request]]
) -> Served | None:
    """Serve the dashboard, where it is configured. `client` is one without the Lease's fence, `standing` the requests that stand.
    Raises UsageError for an address that cannot be used."""
    config = settings.config
    wanted = config.server.dashboard
    if wanted is None:
        return None
    client = client.within(READS)
    inside = Insides(client, config.namespace, direct=settings.inside)
    shown = replace(_views(views, client, config.namespace, standing), inside=inside.workloads)
    try:
        return serve(create_app(shown, _door(wanted, config, client)), wanted.address, bounds=BOUNDS, apart=APART)
    except OSError as error:
        told = f"cannot listen on {wanted.address}: {error.strerror}"
        raise UsageError(told, hint="spec.server.dashboard.address") from error


def address(config: ControllerSpec, port: int | None) -> str:
    """Where this process serves the dashboard, "" where it does not."""
    wanted = config.server.dashboard
    return f"http://{wanted.address.rpartition(':')[0]}:{port}" if wanted and port else ""


def _views(views: http.Views, client: Client, namespace: str, standing: Callable[[], Iterable[Request]]) -> Views:
    """What the pages show: of a replica that leads what it knows, of another one what that wrote."""
    reporter, kept, feed = views.reporter, Lookups(client, namespace), Feed()
    reporter.heard = feed.changed

    def leads() -> bool:
        return views.process().leader

    actions = Actions(client, namespace, lambda: standing() if leads() else kept.fleet().requests)
    return Views(
        clusters=lambda: reporter.known()[0] if leads() else kept.fleet().clusters,
        sources=lambda: reporter.known()[1] if leads() else kept.fleet().sources,
        waits=lambda: views.process().waits,
        ask=actions.ask,
        asked=actions.asked,
        feed=feed,
        number=lambda: feed.newest() if leads() else kept.fleet().number,
        live=leads,
        webhooks=views.webhooks,
        changes=views.changes,
        change=views.change,
        hosts=views.hosts,
        history=kept.history,
        spent=kept.spent,
    )


def _door(wanted: DashboardConfig, config: ControllerSpec, client: Client) -> Door:
    names = http.names(config.namespace, config.server.hosts)
    return Door(lambda host: http.ours(host, names), wanted.url.lower(), _access(wanted, config.namespace, client))


def _access(wanted: DashboardConfig, namespace: str, client: Client) -> Access:
    if wanted.auth == "none":
        return Access()
    rights, proxy = Rights(client, namespace), Proxy()
    if wanted.proxy is not None:
        proxy = Proxy(wanted.proxy.addresses, wanted.proxy.user_header, wanted.proxy.groups_header)
    return access(wanted.auth, rights, cache(partial(salt, client, namespace)), proxy)


def access(auth: str, rights: Rights, key: Callable[[], bytes], proxy: Proxy) -> Access:
    """How people sign in, with what an API server says of them."""
    enter = partial(_entered, rights, Attempts(FAILURES, EVERY))
    return Access(auth, rights.holder, rights.may, rights.seen, key, proxy, enter)


def _entered(rights: Rights, failures: Attempts, token: str, address: str) -> UserInfo | None:
    """Whose token it is. Only the answer says, so a token of somebody is never refused for those of others. Raises Unavailable for one of
    nobody, where too many from this address were nobody's."""
    found = rights.enter(token)
    if found is None and failures.failed(address):
        raise Unavailable("too many tokens from your address were nobody's")
    return found
