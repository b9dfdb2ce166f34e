"""The two ports (W4): the internal one, and the webhook's, which only stores sync requests (W3)."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

from reconciler.controller import http, sync_requests
from reconciler.controller.sync_requests import Marker
from reconciler.errors import NidusError, UsageError
from reconciler.kube.client import Client
from reconciler.model import ControllerSpec, SourceConfig
from webhook.app import MarkFailed, Route, create_app
from webhook.forges import Delivery
from webhook.server import Served, serve


def internal(views: http.Views, config: ControllerSpec) -> Served:
    """Serve health, metrics and reports. Raises UsageError for an address that cannot be used."""
    app = http.create_app(views, http.names(config.namespace, config.server.hosts))
    try:
        return serve(app, config.server.internal, probes=http.PROBES)
    except OSError as error:
        raise UsageError(
            f"cannot listen on {config.server.internal}: {error.strerror}", hint="spec.server.internal"
        ) from error


def webhook(
    config: ControllerSpec, client: Client, woken: Callable[[str, int], None], moved: Callable[[str, int], None]
) -> Served | None:
    """Serve the webhooks of all sources that have one; None where none has.

    `client` is one without the Lease's fence: any replica may store a sync request. `woken` is called with (source,
    generation) for each stored one of a push, `moved` for each of a change request.
    """
    sources = {one.name: one for one in config.sources if one.webhook is not None}
    if not sources:
        return None
    markers = {name: Marker(client, config.namespace, name, partial(woken, name)) for name in sources}

    changes = {
        name: Marker(client, config.namespace, name, partial(moved, name), sync_requests.CHANGES)
        for name, one in sources.items()
        if one.forge is not None
    }

    def mark(source: str, delivery: Delivery) -> bool:
        pushed = f"refs/heads/{sources[source].branch}" in delivery.refs
        marker = (markers if pushed else {}) if delivery.kind == "push" else changes
        if source not in marker:
            return False
        try:
            marker[source].mark()
        except NidusError as error:
            raise MarkFailed(error.reason) from error
        return True

    try:
        return serve(create_app(_routes(sources.values()), mark), config.server.webhook)
    except OSError as error:
        raise UsageError(
            f"cannot listen on {config.server.webhook}: {error.strerror}", hint="spec.server.webhook"
        ) from error


def _routes(sources: Iterable[SourceConfig]) -> dict[str, Route]:
    routes = {}
    for one in sources:
        if one.webhook is not None:
            secrets = partial(_secrets, [Path(name) for name in one.webhook.secret_files])
            routes[one.name + one.webhook.suffix] = Route(one.name, one.webhook.provider, secrets)
    return routes


def _secrets(files: Sequence[Path]) -> tuple[bytes, ...]:
    """The secrets valid now; a file that is missing or unreadable is no secret (rotation)."""
    found = []
    for file in files:
        try:
            found.append(file.read_bytes().strip())
        except OSError:
            continue
    return tuple(found)
