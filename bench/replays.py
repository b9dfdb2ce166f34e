"""`replays` (G12): what a healthy source pays beside each attack that once got through, from its push to its value inside, and what whoever
is attacked shows of it.

One attack after another on one scene, each between two calm phases; what came out is the ratio to the calm phases beside it. Slow
API servers, looping charts and deliveries in numbers (6, 11) are `hostile`. What is installed (17) is no attack on a running controller.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from bench import attackers, attacks, documents, hostile, scene
from bench.attacks import ATTACKS, OWN
from bench.hostile import NAME, Attack, Phase, Run
from bench.report import Outcome, Row, Size, percentile
from bench.stamps import watched
from devhost import account
from devhost import stage as staging

HEALTHY: Final = 3
PUSHES: Final = 16
"""Of the healthy source in each phase; the slowest of so few is what is compared."""
SHOWN: Final = 20.0
"""Seconds within which an attack has to be shown."""


def run(size: Size) -> Outcome:
    """Every attack, each with the calm before and after it."""
    healthy = min(size.running, HEALTHY)
    with scene.opened(healthy, 1) as made:
        made.running += 1
        other = staging.join(made.stage, NAME, _content(made), {"interval": "10m"})
        made.start()
        made.await_ready()
        one = Run(made, healthy, other, None, range(0), range(0), min(size.pushes, PUSHES))
        one.heard = watched(made)
        attackers.operator(one)
        calm, rows, told = [hostile.measured(one, ())], [], []
        for name, (attack, word) in ATTACKS.items():
            phase = hostile.measured(one, (_seen(attack, word),))
            attackers.commit(one, {}, "over")
            calm.append(hostile.measured(one, ()))
            rows += _rows(name, phase, calm[-2].taken + calm[-1].taken)
            told.append(f"{name}: {phase.shown or ('NOT SHOWN' if word else 'nothing is said')}")
            print(f"  {name}: {rows[-1].value:.1f} x; {told[-1]}", flush=True)
        made.controller.stop()
    said = f"{healthy} healthy nested clusters; {one.pushes} pushes a phase; the attacker tries again every {attackers.AGAIN:g} s"
    compared = "slowest push in the attack / slowest in the calm phases before and after it"
    return Outcome("replays", "G12", rows, [said, compared, *told])


def _content(made: scene.Scene) -> Any:
    """The repository of the hostile source: a chart, and a cluster that stands."""
    content = made.stage.folder / "evil-content"
    documents.fill(content, 0, 1)
    (content / documents.path_of(attacks.STOOD)).write_text(documents.cluster(attacks.STOOD, "0"))
    chart = content / "chart"
    chart.mkdir(parents=True)
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: evil\nversion: 1.0.0\n")
    (chart / "values.schema.json").write_text(json.dumps({"$ref": "http://169.254.169.254/latest/meta-data"}))
    return content


def _seen(attack: Attack, word: str) -> Attack:
    """The attack, until what is attacked has shown it."""

    @contextmanager
    def shown(one: Run, phase: Phase) -> Iterator[None]:
        with attack(one, phase):
            yield
            ends = time.monotonic() + SHOWN
            while word and not phase.shown and time.monotonic() < ends:
                phase.shown = next((text for text in _texts(one, phase) if word in text), "")[:300]
                time.sleep(0.2)

    return shown


def _texts(one: Run, phase: Phase) -> Iterator[str]:
    """What was answered to the attacker, and all that the hostile source and its clusters say."""
    yield from phase.refusals
    source = one.made.admin.get(documents.API, "Source", NAME, account.SYSTEM) or {}
    yield from _words(source.get("status") or {})
    for name in (OWN, "evil"):
        yield from _words(
            (one.made.admin.get(documents.API, "NestedCluster", name, account.SYSTEM) or {}).get("status")
        )


def _words(value: Any) -> Iterator[str]:
    """Every message in a status."""
    for one in value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ():
        yield from [one] if isinstance(one, str) else _words(one)


def _rows(name: str, phase: Phase, calm: list[float]) -> list[Row]:
    return [
        Row(f"{name}: slowest push of the calm before and after", max(calm), "s"),
        Row(f"{name}: median beside it", percentile(phase.taken, 0.5), "s"),
        *(Row(f"{name}: tries {what}", count, "") for what, count in sorted(phase.answered.items())),
        Row(f"{name}: slowest beside it / calm", max(phase.taken) / max(calm), "x", goal=2.0),
    ]
