"""Views as a controller has them, and the application over them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flask import Flask

from dashboard import costs
from dashboard.app import create_app
from dashboard.door import Door, Proxy
from dashboard.feed import Feed
from dashboard.pages import Came
from dashboard.views import Views
from reconciler.controller.actions import Actions
from reconciler.controller.dashboard import access
from reconciler.controller.rights import Rights
from reconciler.model import Authored, Held, LayerStatus, Violation, replace
from reconciler.report.view import ClusterView, ConditionView, PlanView, SourceView
from reconciler.report.workloads import Inside, Workload
from reconciler.usage import days
from reconciler.usage.days import Day
from tests.memory.server import Server
from tests.shell import client, installed
from webhook.server import serve

NOW = 1_795_000_000.0
SINCE = "2026-11-18T10:00:00.000Z"
COMMIT = "main@sha1:0123456789abcdef0123456789abcdef01234567"
HOSTS = frozenset({"localhost", "127.0.0.1"})


def view(name: str, word: str = "Ready", message: str = "", **more: object) -> ClusterView:
    ready = ConditionView("Ready", "True" if word == "Ready" else "False", word, message, SINCE)
    layers = (LayerStatus("engine", "local", "Current", "", 5), LayerStatus("web", f"local/{name}", "Current", "", 2))
    fields = {
        "layers": layers,
        "source": "platform",
        "file": f"{name}.yaml",
        "attempted": COMMIT,
        "applied": COMMIT,
        "since": SINCE,
    }
    return ClusterView(name, word, conditions=(ready,), **{**fields, **more})  # type: ignore[arg-type]


def held(name: str) -> ClusterView:
    plan = PlanView(held=("- delete ConfigMap web/b  web/base: no longer in Git",))
    by = Authored("Ada <ada@example.com>", "remove <b>", 1.0)
    return view(name, "Held", held=Held("ObjectBudget", "1 object over the budget", "d" * 64), plan=plan, authored=by)


class Known:
    """What the controller knows; a test changes it."""

    def __init__(self) -> None:
        clusters = (view("calm"), held("stuck"), view("broken", "Degraded", "Deployment web/shop 0/1"))
        self.clusters = {one.cluster: one for one in clusters}
        wrong = Violation("clusters/x.yaml", 3, 1, "NID101", "unknown field")
        self.sources = {"platform": SourceView("platform", violations=(wrong,), violation_count=1)}
        self.waits = ""
        self.now = NOW
        self.actions: Actions | None = None
        self.feed = Feed()
        self.webhooks: list[dict[str, Any]] = []
        self.changes: list[dict[str, Any]] = []
        self.plans: dict[tuple[str, int], dict[str, Any]] = {}
        self.histories: dict[str, list[Came]] = {}
        self.days: list[Day] = []
        self.workloads: dict[str, list[Workload]] = {}

    def put(self, one: ClusterView) -> None:
        """Change a cluster, and say so."""
        self.clusters[one.cluster] = one
        self.feed.changed(f"clusters/{one.cluster}")

    def app(self, door: Door | None = None) -> Flask:
        views = Views(
            clusters=lambda: self.clusters,
            sources=lambda: self.sources,
            waits=lambda: self.waits,
            hosts=lambda: {"local": "v1.36.0"},
            feed=self.feed,
            webhooks=lambda: self.webhooks,
            changes=lambda: self.changes,
            change=lambda source, number: self.plans.get((source, number)),
            history=lambda name: self.history(name),
            spent=lambda month: self.spent(month),
            inside=lambda name, kind: self.inside(name, kind),
        )
        if self.actions is not None:
            views = replace(views, ask=self.actions.ask, asked=self.actions.asked)
        return create_app(views, door or Door(trusted), lambda: self.now)

    def history(self, name: str) -> list[Came]:
        return self.histories.get(name, [])

    def spent(self, month: str) -> costs.Spent:
        days.span(month)
        return costs.spent(month, [one for one in self.days if days.month(one.day) == month])

    def inside(self, name: str, kind: str) -> Inside:
        return Inside(tuple(one for one in self.workloads.get(name, ()) if kind in ("", one.kind)))

    @contextmanager
    def served(self, door: Door | None = None) -> Iterator[str]:
        one = serve(self.app(door), "127.0.0.1:0")
        try:
            yield f"http://127.0.0.1:{one.port}"
        finally:
            one.stop()


def trusted(host: str) -> bool:
    return host.rpartition(":")[0] in HOSTS or host in HOSTS


TOKENS = {name: f"{name}-token-0123456789abcdef" for name in ("ada", "tom", "eve")}
"""ada may do everything, tom gets one cluster, eve nothing."""
VERBS = ("get", "approve", "suspend", "resume", "sync", "sleep", "wake", "extend", "backup")


def home() -> Server:
    """A server that knows them."""
    made = installed("nidus-system")
    made.tokens = {token: {"username": name, "groups": ["people"]} for name, token in TOKENS.items()}
    made.rights = {*(("ada", verb, "") for verb in VERBS), ("tom", "get", "calm"), ("ada", "workloads", "")}
    return made


def door(server: Server, auth: str = "kubernetes", url: str = "", proxy: Proxy | None = None) -> Door:
    """A door whose people the API server knows."""
    rights = Rights(client(server), "nidus-system")
    key = lambda: b"k" * 32  # noqa: E731
    return Door(trusted, url, access(auth, rights, key, proxy or Proxy()))


def sign_in(page: Any, token: str = TOKENS["ada"]) -> None:
    """Fill in and send the form of the page that a browser is asked to sign in on."""
    page.fill("input[name=token]", token)
    page.click("button:text('Sign in')")
