"""Days of usage in ConfigMaps: whatever happens to a write, the stored day is what was measured; and `nidus cost` over them."""

import argparse
import csv
import io
import json
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import ApiError, Stalled
from reconciler.inventory import usage as kept
from reconciler.inventory.packing import deflated
from reconciler.inventory.usage import KeptDay
from reconciler.model import Prices
from reconciler.usage import days, items
from reconciler.usage.days import Account, Day
from reconciler.usage.meter import DAY
from reconciler.verbs import connection, cost
from tests.memory.failures import LOST, REFUSED, Failure, answer, on
from tests.memory.server import Server
from tests.shell import client

NAMESPACE = "nidus-system"
TODAY = "2026-11-26"
HOUR = items.HOUR
PRICES = Prices(cpu="1", control_plane="0.5")


@pytest.fixture
def server() -> Server:
    made = Server()
    made.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    return made


def measured(cores: int = 1, cluster: str = "x", day: str = TODAY, team: str = "a") -> Day:
    account = Account({"team": team}, {"web": {"cpu": cores * 1000 * HOUR}})
    return Day(day, HOUR, accounts={cluster: account})


def begun(server: Server, session: str = "s1") -> KeptDay:
    return KeptDay(client(server), NAMESPACE, TODAY, session)


def read(server: Server) -> kept.Read:
    return kept.read(client(server), NAMESPACE, lambda day: True, ["2026-11"])


def cores(server: Server, cluster: str = "x") -> float:
    """Core-hours of a cluster, over all that is stored."""
    rows = [day.accounts[cluster].uses["web"] for day in read(server).days if cluster in day.accounts]
    return sum(row["cpu"] for row in rows) / 1000 / HOUR


def test_what_was_measured_adds_up_over_restarts(server: Server) -> None:
    first = begun(server)
    for _ in range(3):
        first.add(measured())
        first.write(PRICES, over=False)
    second = begun(server, "s2")
    second.add(measured(2))
    second.write(PRICES, over=False)
    (day,) = read(server).days
    assert cores(server) == 5 and day.seen == 4 * HOUR
    first.add(measured(9))  # lost: this process ended before it was written
    third = begun(server, "s3")
    third.add(measured())
    third.write(PRICES, over=False)
    assert cores(server) == 6


@pytest.mark.parametrize("verb", ["create", "replace"])
@pytest.mark.parametrize("failure", [LOST, REFUSED, answer(409), answer(500)])
def test_a_write_that_fails_or_whose_answer_is_lost_counts_once(server: Server, verb: str, failure: Failure) -> None:
    day = begun(server)
    if verb == "replace":
        day.add(measured())
        day.write(PRICES, over=False)
    before = cores(server)
    server.fail(failure, on(verb, kind="ConfigMap"))
    for _ in range(2):
        day.add(measured())
        try:
            day.write(PRICES, over=False)
        except ApiError:
            day.write(PRICES, over=False)
    assert cores(server) == before + 2


def test_what_another_process_wrote_meanwhile_stays(server: Server) -> None:
    ours, theirs = begun(server), begun(server, "s2")
    for day, many in ((ours, 1), (theirs, 2)):
        day.add(measured(many))
        day.write(PRICES, over=False)
    ours.add(measured(4))
    ours.write(PRICES, over=False)
    assert cores(server) == 3 + 1 + 4  # the other took what stood, ours stands upon it


def test_a_deleted_day_is_written_again(server: Server) -> None:
    day = begun(server)
    day.add(measured())
    day.write(PRICES, over=False)
    server.delete("", "ConfigMap", NAMESPACE, kept.name_of(TODAY))
    day.add(measured())
    day.write(PRICES, over=False)
    assert cores(server) == 2


@pytest.mark.parametrize(
    "damage",
    [
        {"day": "AAAA"},
        {"format": "2"},
        {"parts": "-1"},
        {"parts": "many"},
        {"day": deflated(b'{"day":"2026-11-26","prices":{"cpu":"1/0"}}')},
        {"day": deflated(b'{"day":"2026-11-26","prices":{"currency":"\\u001b[2J"}}')},
        {"day": deflated(b'{"day":"2026-11-26","seen":-1}')},
        None,
    ],
)
def test_a_day_that_cannot_be_read_is_left_as_it_is_and_stops_no_other(
    server: Server, damage: dict[str, str] | None
) -> None:
    day = begun(server)
    day.add(measured())
    day.write(PRICES, over=False)
    name = kept.name_of(TODAY)
    damaged = dict(server.get("", "ConfigMap", NAMESPACE, name) or {})
    damaged["data"] = {**damaged["data"], **damage} if damage else {}
    server.put(damaged)
    again = begun(server, "s2")
    again.add(measured())
    with pytest.raises(Stalled, match=name):
        again.write(PRICES, over=False)
    assert (server.get("", "ConfigMap", NAMESPACE, name) or {}).get("data", {}) == damaged["data"]
    other = KeptDay(client(server), NAMESPACE, "2026-11-27", "s2")
    other.add(measured(day="2026-11-27"))
    other.write(PRICES, over=False)
    found = read(server)
    assert [one.day for one in found.days] == ["2026-11-27"] and name in found.unread[0] and len(found.unread) == 1


def test_many_clusters_are_kept_in_parts_and_each_stays_in_its_own(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "EACH", 3)
    day = begun(server)
    for number in range(8):
        day.add(measured(cluster=f"x{number}"))
        day.write(PRICES, over=False)
    again = begun(server, "s2")
    for number in range(9):
        again.add(measured(cluster=f"x{number}"))
    again.write(PRICES, over=False)
    found = read(server)
    assert [len(one.accounts) for one in found.days] == [3, 3, 3] and found.unread == ()
    assert [cores(server, f"x{number}") for number in range(9)] == [2] * 8 + [1]
    assert sum(one.seen for one in found.days) == 17 * HOUR
    server.delete("", "ConfigMap", NAMESPACE, kept.name_of(TODAY, 1))
    assert read(server).unread == (f"ConfigMap {kept.name_of(TODAY, 1)} is missing",)


def test_a_day_that_is_over_keeps_its_prices(server: Server) -> None:
    day = begun(server)
    day.add(measured())
    day.write(PRICES, over=False)
    day.write(Prices(cpu="2"), over=False)
    late = begun(server, "s2")
    late.add(measured())
    late.write(Prices(cpu="7"), over=True)
    assert [one.prices.cpu for one in read(server).days] == ["2"]


def test_old_days_are_deleted_and_nothing_else(server: Server) -> None:
    for name in ("2025-10-01", "2026-11-25", TODAY):
        day = KeptDay(client(server), NAMESPACE, name, "s1")
        day.add(measured(day=name))
        day.write(PRICES, over=False)
    server.put(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "nidus-record-a", "namespace": NAMESPACE}}
    )
    kept.sweep(client(server), NAMESPACE, "2026-11-01")
    names = {str(one["metadata"]["name"]) for one in client(server).list("", "ConfigMap", namespace=NAMESPACE)[0]}
    assert names == {kept.name_of("2026-11-25"), kept.name_of(TODAY), "nidus-record-a"}


# The verb


@pytest.fixture
def asked(server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    monkeypatch.setattr(connection, "connect", lambda args: client(server))
    monkeypatch.setattr(time, "time", lambda: (days.number_of(TODAY) * DAY + 12 * HOUR) / 1000)

    def run(*words: str) -> str:
        parser = argparse.ArgumentParser()
        cost.add_arguments(parser)
        assert cost.run(parser.parse_args(words)) == 0
        return capsys.readouterr().out

    return run


@pytest.fixture
def month(server: Server) -> None:
    for day, cluster, team, many in (
        ("2026-11-25", "x", "a", 3),
        (TODAY, "x", "a", 1),
        (TODAY, "y", "b", 2),
        ("2026-10-31", "x", "a", 9),
    ):
        one = KeptDay(client(server), NAMESPACE, day, f"s-{day}-{cluster}")
        one.add(measured(many, cluster, day, team))
        one.write(PRICES, over=False)


def test_a_table(month: None, asked: Callable[..., str]) -> None:
    assert asked("--by", "team").splitlines() == [
        "TEAM    CPU        TOTAL EUR",
        "a       4.000000   4.000000",
        "b       2.000000   2.000000",
        "TOTAL   6.000000   6.000000",
        "forecast of the month: 1440.000000 EUR, if it goes on like what was measured",
        "measured: 3h00m of 612h00m",
        "  in 609h00m nothing was measured and nothing is charged: no controller ran, or it did not see the host",
    ]
    assert "9.000000" in asked("--month", "2026-10") and "forecast" not in asked("--month", "2026-10")
    assert "a       1.000000" in asked("--by", "label", "team", "--since", "1d")
    assert "x/web" in asked("--by", "namespace")


def test_for_programs(month: None, asked: Callable[..., str]) -> None:
    body: dict[str, Any] = json.loads(asked("-o", "json"))
    assert (body["from"], body["to"], body["measuredSeconds"]) == ("2026-11-01", "2026-11-30", 3 * 3600)
    assert [row["name"] for row in body["reports"][0]["rows"]] == ["x", "y"]
    head, *rows = asked("-o", "csv").splitlines()
    assert head.endswith("currency,saved,host,label:team") and len(rows) == 3
    assert rows[0] == "2026-11-25,x,web,cpu,3.000000000000,Core-Hours,1,3.000000,EUR,0.000000,,a"
    head, *rows = asked("-o", "focus").splitlines()
    assert head.startswith("BilledCost,BillingAccountId") and len(rows) == 3


def test_nothing_was_measured(asked: Callable[..., str]) -> None:
    with pytest.raises(Stalled, match=r"spec\.prices"):
        asked()


@pytest.fixture
def hosts(monkeypatch: pytest.MonkeyPatch) -> dict[str, Server]:
    """Two hosts with a cluster of one name each, which sleeps on the second; of that one less was measured."""
    made = {"fra": Server(), "ams": Server()}
    for name, one in made.items():
        one.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        day = begun(one)
        day.add(measured(6, "x"))
        if name == "ams":
            slept = {"": {"saved/cpu": 1000 * HOUR, "saved/controlPlane": HOUR}}
            day.add(Day(TODAY, HOUR, accounts={"x": Account({"team": "a"}, slept)}))
        day.write(Prices(cpu="1", control_plane="0.5"), over=False)
    monkeypatch.setattr(connection, "connect", lambda args: client(made[args.context]))
    return made


def test_several_hosts_are_told_apart(asked: Callable[..., str], hosts: dict[str, Server]) -> None:
    chosen = ("--since", "1d", "--hosts", "fra", "ams")
    assert asked(*chosen, "--by", "host").splitlines() == [
        "HOST    CPU         TOTAL EUR   SLEEP SAVED",
        "ams     6.000000    6.000000    1.500000",
        "fra     6.000000    6.000000    0.000000",
        "TOTAL   12.000000   12.000000   1.500000",
        "measured on fra: 1h00m of 12h00m",
        "  in 11h00m nothing was measured and nothing is charged: no controller ran, or it did not see the host",
        "measured on ams: 2h00m of 12h00m",
        "  in 10h00m nothing was measured and nothing is charged: no controller ran, or it did not see the host",
    ]
    assert [row.split()[0] for row in asked(*chosen).splitlines()[1:3]] == ["ams/x", "fra/x"]
    (only, *_) = asked("--context", "ams", "--by", "host", "--since", "1d").splitlines()[1:]
    assert only.startswith("ams ")
    likely = "forecast of the month: 6480.000000 EUR"  # 720 hours as the one of fra, and 360 as the two of ams
    assert likely in asked("--hosts", "fra", "ams")


def test_several_hosts_for_programs(asked: Callable[..., str], hosts: dict[str, Server]) -> None:
    chosen = ("--since", "1d", "--hosts", "fra", "ams")
    body: dict[str, Any] = json.loads(asked(*chosen, "-o", "json"))
    assert body["reports"][0]["total"] == {
        "name": "TOTAL", "costs": {"cpu": "12.000000"}, "total": "12.000000", "saved": "1.500000"
    }  # fmt: skip
    assert [(one["name"], one["measuredSeconds"]) for one in body["hosts"]] == [("fra", 3600), ("ams", 7200)]
    assert body["measuredSeconds"] == 3 * 3600
    rows = [*csv.DictReader(io.StringIO(asked(*chosen, "-o", "csv")))]
    assert [(row["host"], row["item"], row["cost"], row["saved"]) for row in rows] == [
        ("fra", "cpu", "6.000000", "0.000000"),
        ("ams", "saved/controlPlane", "0.000000", "0.500000"),
        ("ams", "saved/cpu", "0.000000", "1.000000"),
        ("ams", "cpu", "6.000000", "0.000000"),
    ]
    charges = [*csv.DictReader(io.StringIO(asked(*chosen, "-o", "focus")))]
    assert [(row["ResourceId"], row["BilledCost"]) for row in charges] == [
        ("fra/x/web", "6.000000"),
        ("ams/x/web", "6.000000"),
    ]
    assert json.loads(charges[1]["Tags"]) == {"nidus.dev/cluster": "x", "nidus.dev/host": "ams", "team": "a"}


def test_a_bill_without_one_of_its_hosts_is_none(asked: Callable[..., str], hosts: dict[str, Server]) -> None:
    hosts["ams"].fail(answer(500), on("list", kind="ConfigMap"), times=None)
    with pytest.raises(ApiError):
        asked("--hosts", "fra", "ams")


@pytest.mark.parametrize(
    "words",
    [
        ["--by", "label"],
        ["--by", "label", "a", "b"],
        ["--hosts", "fra", "--context", "ams"],
        ["--by", "colour"],
        ["--month", "2026-13"],
        ["--since", "0s"],
        ["--since", "401d"],
    ],
)
def test_wrong_words_say_what_is_right(asked: Callable[..., str], words: list[str]) -> None:
    with pytest.raises(Stalled) as told:
        asked(*words)
    assert told.value.hint.startswith("--")


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("add"), st.sampled_from("xy"), st.integers(1, 9)),
            st.tuples(st.just("write"), st.sampled_from((None, LOST, REFUSED, answer(409), answer(500), answer(403)))),
            st.tuples(st.just("restart")),
        ),
        max_size=20,
    )
)
def test_whatever_fails_and_restarts_what_is_stored_is_what_was_written(steps: list[tuple[Any, ...]]) -> None:
    """Of a process that ends only what it had not written is missing, and the time of that too: `seen` tells how much was measured."""
    server = Server()
    server.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    stored, unwritten, session = Counter[str](), Counter[str](), 0
    day = begun(server, "s0")
    for what, *given_ in [*steps, ("write", None)]:
        if what == "add":
            cluster, many = given_
            day.add(measured(many, cluster))
            unwritten[cluster] += many
            unwritten["seen"] += 1
        elif what == "restart":
            session += 1
            day, unwritten = begun(server, f"s{session}"), Counter[str]()
        else:
            server.heal()
            if given_[0]:
                server.fail(given_[0], on("create", "replace", kind="ConfigMap"))
            try:
                day.write(PRICES, over=False)
            except ApiError:
                continue
            stored, unwritten = stored + unwritten, Counter[str]()
    server.heal()
    assert Counter({name: int(cores(server, name)) for name in "xy"}) == Counter({name: stored[name] for name in "xy"})
    assert sum(one.seen for one in read(server).days) == stored["seen"] * HOUR


def test_labels_of_one_cluster_take_no_room_from_others(server: Server) -> None:
    day = begun(server)
    large = {f"key-{number}": "x" * 60 for number in range(6000)}  # more than the schema lets through
    accounts = {name: Account(large if name < "d" else {}, {"web": {"cpu": 1}}) for name in "abcxyz"}
    day.add(Day(TODAY, 1, accounts=accounts))
    day.write(Prices(), over=False)
    parts = [one for one in server.objects("", "ConfigMap") if one["metadata"]["name"].startswith(kept.PREFIX)]
    assert len(parts) == 4
    assert {name for part in read(server).days for name in part.accounts} == accounts.keys()
