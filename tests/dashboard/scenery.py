"""A fleet as a platform team may have one: for the pages of tests, and for the pictures of the README."""

from typing import Any

from dashboard.pages import Came
from reconciler.model import Authored, Held, LayerStatus, Prices, Violation
from reconciler.report.life import stamp
from reconciler.report.view import PlanView, RunningView, SourceView
from reconciler.report.workloads import Workload
from reconciler.usage import days
from reconciler.usage.days import Account, Day
from tests.dashboard.scene import COMMIT, NOW, Known, view

MINUTE, HOUR = 60.0, 3600.0
TODAY = int(NOW // 86400)
CORES, GIBS = 1000 * 3_600_000, (1 << 30) * 3_600_000
TEAMS = {
    "shop": ("payments", "checkout", "catalogue"),
    "data": ("warehouse", "features"),
    "web": ("landing", "docs", "search"),
}
PRICES = Prices("EUR", cpu="0.031611", memory="0.004237", storage="0.0000548", control_plane="0.1027")
PLAN = """\
1 cluster changes, 1 object is deleted
payments
  ~ configure Deployment web/checkout  web-stack/web
      spec.replicas  2 -> 4
  - delete ConfigMap web/old-flags  web-stack/web: no longer in Git
"""


def fill(known: Known) -> Known:
    """Give it clusters, a source with a mistake, an open change request, a history and a bill."""
    by = Authored("Ada Lovelace <ada@example.com>", "Remove the old flags of the shop", NOW - 5 * MINUTE)
    names = [name for team in TEAMS.values() for name in team]
    known.clusters = {
        name: view(name, layers=layers(name), file=f"clusters/{name}.yaml", authored=by, **marks(name))
        for name in names
    }
    since = {"since": stamp(NOW - 4 * MINUTE), "file": "clusters/payments.yaml", "authored": by}
    plan = PlanView(
        held=("delete ConfigMap web/old-flags: no longer in Git", "delete Service web/old-flags: no longer in Git")
    )
    hold = Held("ObjectBudget", "2 deletions over the budget of 1 object", "3f9c2ab1d0e45b7f" * 4, plan.held)
    known.clusters["payments"] = view(
        "payments", "Held", held=hold, plan=plan, layers=layers("payments", "Held"), **since, **marks("payments")
    )
    told = "Deployment web/search 0/1: pod search-6f9 CrashLoopBackOff (5 restarts), image ghcr.io/acme/search:7.1"
    known.clusters["search"] = view(
        "search", "Degraded", told, layers=layers("search", "Failed", told), **since, **marks("search")
    )
    known.clusters["features"] = view(
        "features", "Progressing", layers=layers("features", "InProgress"), **since, **marks("features")
    )
    wrong = Violation("clusters/landing.yaml", 12, 5, "NID101", "unknown field quotas", hint="did you mean quota?")
    stages = (("seen", NOW - 300), ("fetched", NOW - 299.6), ("validated", NOW - 299.4), ("admitted", NOW - 299.1))
    known.sources = {
        "platform": SourceView(
            "platform", url="https://git.example.com/acme/platform.git", branch="main", path="clusters", revision=COMMIT, accepted=8,
            violations=(wrong,), violation_count=1, stages=stages, fetched=NOW - 20, authored=by, changing=("payments", "search"),
        )
    }  # fmt: skip
    known.webhooks = [webhook()]
    known.changes = [
        {
            "source": "platform", "number": 42, "author": "grace", "head": "89abcdef" * 5, "state": "pending", "consent": "c" * 64,
            "verdict": "1 cluster changes, 1 object is deleted", "planned": stamp(NOW - 120), "clusters": ["payments"],
            "signer": "ada@example.com", "unsigned": "",
        }
    ]  # fmt: skip
    known.plans = {("platform", 42): {"text": PLAN}}
    known.histories = {"payments": [came(number) for number in range(6)]}
    images, since = ("ghcr.io/acme/checkout:7.2",), stamp(NOW - 26 * HOUR)
    known.workloads["payments"] = [
        Workload("Deployment", "web", "checkout", "2/2", "Current", 0, 500, 512 << 20, images, since),
        Workload("Pod", "web", "checkout-6f9", "1/1", "Running", 3, 250, 256 << 20, images, since, "restarted"),
        Workload("Service", "web", "checkout", status="Current", made=since, detail="ClusterIP 80/TCP"),
    ]
    known.days = [day(TODAY - back) for back in range(days_of_month())]
    return known


def marks(name: str) -> dict[str, Any]:
    """Its team, its host and what it runs."""
    team = next(team for team, names in TEAMS.items() if name in names)
    return {
        "labels": {"team": team},
        "host": "local",
        "versions": RunningView("0.36.1", "v1.36.0"),
        "profiles": ("web-stack@1.4.2",),
    }


def layers(name: str, state: str = "Current", told: str = "") -> tuple[LayerStatus, ...]:
    """A cluster with four packs, of which `web` is in this state."""
    inside, since = f"local/{name}", stamp(NOW - 26 * HOUR)
    after: dict[str, tuple[str, ...]] = {
        "host": (), "engine": ("host",), "namespaces": ("engine",), "web-stack/base": ("namespaces",),
        "web-stack/ingress": ("web-stack/base",), "web-stack/web": ("web-stack/base",),
        "web-stack/smoke": ("web-stack/ingress", "web-stack/web"),
    }  # fmt: skip
    found = []
    for one, needs in after.items():
        word = {"web-stack/web": state, "web-stack/smoke": "Current" if state == "Current" else "Waiting"}.get(
            one, "Current"
        )
        target = "local" if one in ("host", "engine") else inside
        message = told if one == "web-stack/web" else ("web-stack/web is not Current" if word == "Waiting" else "")
        found.append(LayerStatus(one, target, word, message, 4, since=since, depends_on=needs))
    return tuple(found)


def webhook() -> dict[str, Any]:
    entry = {"kind": "push", "verdict": "marked", "refs": ("refs/heads/main",), "number": 0, "revision": COMMIT}
    delivered = [entry | {"at": stamp(NOW - 300 - 3600 * back)} for back in range(5)]
    refused = {"count": 3, "last": stamp(NOW - 9000)}
    return {
        "source": "platform", "path": "/webhook/platform", "provider": "github", "problem": "", "refused": refused,
        "deliveries": delivered[::-1],
    }  # fmt: skip


def came(number: int) -> Came:
    at = NOW - 300 - number * 9 * HOUR
    subject = ("Remove the old flags of the shop", "Scale checkout to 4", "web-stack 1.4.2", "Ingress for the shop")[
        number % 4
    ]
    revision = f"main@sha1:{number:x}f3c2ab1{'0' * 32}"
    return Came(revision, at, at + 6.4, 0.0 if number == 0 else at + 21.5, "Ada Lovelace", subject, 41 - number)


def days_of_month() -> int:
    return TODAY - days.span(days.month(days.name_of(TODAY)))[0] + 1


def day(number: int) -> Day:
    accounts = {}
    for size, (team, names) in enumerate(TEAMS.items(), 2):
        for each, name in enumerate(names, 1):
            busy = 24 * (size + each) * (7 + number % 5)
            uses = {
                "web": {"cpu": busy * CORES // 10, "memory": busy * GIBS // 5},
                "": {"controlPlane": 24 * 3_600_000},
            }
            if name == "landing":  # it sleeps at night
                uses[""] |= {"saved/cpu": 10 * size * CORES, "saved/controlPlane": 10 * 3_600_000}
            accounts[name] = Account({"team": team}, uses)
    return Day(days.name_of(number), 86_400_000, PRICES, accounts)
