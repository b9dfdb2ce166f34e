"""What stands in ConfigMaps and Secrets that others can write: days of usage, answers of an engine to a request for a snapshot."""

import base64
from random import Random
from typing import Any

import msgspec

from reconciler.errors import NidusError
from reconciler.inventory import usage
from reconciler.inventory.packing import deflated
from reconciler.model import Prices
from reconciler.operations import backup
from reconciler.usage import days, focus, items, report
from tests.fuzz import values
from tests.fuzz.harness import Case

DAY = "2026-11-27"
USES = {
    "web": {items.CPU: 3_600_000, items.MEMORY: 7_200_000},
    "": {items.CONTROL_PLANE: 3_600_000, f"{items.SAVED}{items.CPU}": 7_200_000},
}
ACCOUNTS = {"a": days.Account({"team": "shop"}, USES), "b": days.Account({}, USES)}
PRICES = Prices("EUR", "0.04", "0.005", "0.0001", {"fast": "0.1"}, "1", "0.02", "0.1")
STORED = msgspec.to_builtins(days.Day(DAY, 3_600_000, PRICES, ACCOUNTS))
ASKED: dict[str, Any] = {"spec": {"url": "s3://b/k"}, "status": {"phase": "Completed", "error": {"message": "m"}}}


def usages() -> Case:
    """A day as it may be stored, to the bill it makes."""
    own = days.Day(DAY, 1, Prices(), {"a": days.Account({}, {"web": {items.CPU: 1}})})

    def case(draw: Random) -> None:
        told = values.change(draw, STORED) if draw.random() < 0.9 else values.value(draw)
        data: Any = {"format": "1", "session": "s", "parts": "1", "day": deflated(values.encoded(told))}
        if draw.random() < 0.3:
            data = values.change(draw, data)
        try:
            found = usage.unpacked({"metadata": {"name": f"{usage.PREFIX}{DAY}-0"}, "data": data})
        except NidusError as error:
            assert error.message.isprintable()
            return
        for name in ("cluster", "namespace", "host", "label"):
            lines = [*report.lines(days.added(own, found.day), "fra")]
            for one in report.reports(lines, report.by(name, "team"), 86_400_000, {"fra": found.day.seen}):
                assert report.money(one.total.total) and report.money(one.total.saved)
            assert all(row["BilledCost"] for row in focus.rows(lines, "n"))

    return case


def snapshots() -> Case:
    """The engine's answer, and the Secret with the credentials of the object store."""

    def case(draw: Random) -> None:
        text = values.encoded(values.change(draw, ASKED) if draw.random() < 0.8 else values.value(draw))
        text = values.damage(draw, text) if draw.random() < 0.2 else text
        given = text.decode("utf-8", "replace") if draw.random() < 0.9 else values.value(draw)
        phase, message = backup.answer_of({"data": {"snapshotRequest": given}})
        assert phase.isprintable() and message.isprintable() and len(phase) <= 40 and len(message) <= 300
        secret = {name: base64.b64encode(draw.choice(values.TEXTS).encode("utf-8", "replace")).decode() for name in
                  (backup.ACCESS, backup.SECRET, backup.TOKEN)}  # fmt: skip
        found = backup.keys_of(
            {"data": values.change(draw, secret)} if draw.random() < 0.9 else {"data": values.value(draw)}
        )
        assert found is None or (found.access and found.secret)
        msgspec.json.encode(found)

    return case
