"""The two ports (W4): the internal one, and the webhook's, which only stores sync requests (W3)."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from msgspec import Struct

from reconciler.controller import http, sync_requests
from reconciler.controller.lookups import READS, Lookups
from reconciler.controller.sync_requests import Marker
from reconciler.errors import NidusError, UsageError
from reconciler.kube.client import Client
from reconciler.model import ControllerSpec, SourceConfig, SourceReport, replace
from reconciler.report import log
from reconciler.report.life import stamp
from webhook.app import MarkFailed, Route, create_app
from webhook.deliveries import Deliveries, Told
from webhook.forges import Delivery
from webhook.secrets import Secrets
from webhook.server import Served, serve


def internal(views: http.Views, config: ControllerSpec, client: Client) -> Served:
    """Serve health, metrics and reports; `client` is one without the Lease's fence. Raises UsageError for an address that cannot be
    used."""
    kept = Lookups(client.within(READS), config.namespace)
    views = replace(views, written=lambda: (kept.fleet().clusters, kept.fleet().sources))
    app = http.create_app(views, http.names(config.namespace, config.server.hosts))
    try:
        return serve(app, config.server.internal, probes=http.PROBES)
    except OSError as error:
        raise UsageError(
            f"cannot listen on {config.server.internal}: {error.strerror}", hint="spec.server.internal"
        ) from error


class Hook(Struct, frozen=True):
    """The webhook of one source; `reviews` where it has a forge that can be asked about change requests."""

    path: str
    provider: str
    branch: str
    reviews: bool
    secrets: Secrets


class Webhooks(Struct, frozen=True):
    """The webhooks of all sources: `hooks` by source, and the log of their deliveries."""

    hooks: Mapping[str, Hook]
    log: Deliveries

    def told(self) -> list[dict[str, Any]]:
        """Each webhook with its log, as JSON."""
        logs = self.log.told()
        return [_hook(name, self.hooks[name], logs[name]) for name in sorted(self.hooks)]

    def synced(self, report: SourceReport) -> None:
        """A sync ended well: deliveries before it get its revision."""
        self.log.synced(report.source, report.generation, str(report.revision or ""))


def webhooks(sources: Iterable[SourceConfig]) -> Webhooks:
    """The webhooks of the sources that have one. Secrets that are not good are told at once. Raises UsageError where two sources would
    have one route."""
    found: dict[str, Hook] = {}
    for one in sources:
        if one.webhook is not None:
            path = one.name + one.webhook.suffix
            if other := next((name for name, hook in found.items() if hook.path == path), ""):
                told = f"sources {other} and {one.name} have the same route /webhook/{path}"
                raise UsageError(told, hint="another webhook.suffix for one of them")
            secrets = Secrets([Path(name) for name in one.webhook.secret_files], partial(_say, one.name))
            secrets()
            found[one.name] = Hook(path, one.webhook.provider, one.branch, one.forge is not None, secrets)
    return Webhooks(found, Deliveries(found))


def webhook(
    config: ControllerSpec,
    client: Client,
    woken: Callable[[str, int], None],
    moved: Callable[[str, int], None],
    joined: Callable[[str], int],
    webhooks: Webhooks,
) -> Served | None:
    """Serve the webhooks of all sources that have one; None where none has.

    `client` is one without the Lease's fence: any replica may store a sync request. `woken` is called with (source,
    generation) for each stored one of a push, `moved` for each of a change request; `joined` gives the stored one of a push that no
    sync of a source has begun for, 0 where none waits.
    """
    if not webhooks.hooks:
        return None
    markers = {
        name: Marker(client, config.namespace, name, partial(woken, name), joined=partial(joined, name))
        for name in webhooks.hooks
    }
    changes = {
        name: Marker(client, config.namespace, name, partial(moved, name), sync_requests.CHANGES)
        for name, one in webhooks.hooks.items()
        if one.reviews
    }

    def mark(source: str, delivery: Delivery) -> int:
        pushed = f"refs/heads/{webhooks.hooks[source].branch}" in delivery.refs
        marker = (markers if pushed else {}) if delivery.kind == "push" else changes
        if source not in marker:
            return 0
        try:
            return marker[source].mark()
        except NidusError as error:
            raise MarkFailed(error.reason) from error

    routes = {one.path: Route(name, one.provider, one.secrets) for name, one in webhooks.hooks.items()}
    try:
        return serve(create_app(routes, mark, log=webhooks.log), config.server.webhook)
    except OSError as error:
        raise UsageError(
            f"cannot listen on {config.server.webhook}: {error.strerror}", hint="spec.server.webhook"
        ) from error


def _say(source: str, problem: str) -> None:
    """Each change of what is wrong with the secrets of a webhook; never more than that for what strangers send."""
    told, level = (problem, "warning") if problem else ("its secrets are good again", "info")
    log.line("WebhookSecret", source=source, message=told, level=level)


def _hook(name: str, hook: Hook, told: Told) -> dict[str, Any]:
    return {
        "source": name,
        "path": f"/webhook/{hook.path}",
        "provider": hook.provider,
        "problem": hook.secrets.problem,
        "refused": {"count": told.refused, "last": stamp(told.refused_at) if told.refused else ""},
        "deliveries": [asdict(one) | {"at": stamp(one.at)} for one in told.entries],
        "syncs": [asdict(one) for one in told.syncs],
    }
