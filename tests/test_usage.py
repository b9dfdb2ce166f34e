"""What clusters ask for over time: integrals against a sum made slot by slot, days, lines, and rows of FOCUS."""

import csv
import io
import json
import re
from collections.abc import Callable
from datetime import datetime
from fractions import Fraction
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model import Prices
from reconciler.usage import days, focus, items, report, uses
from reconciler.usage.days import Account, Charged, Day
from reconciler.usage.meter import DAY, OTHERS, OWNERS, Measured, Meter, Moment
from reconciler.usage.uses import Use
from tests.examples import examples

HOUR = items.HOUR
GI = 1 << 30
START = 20_783 * DAY  # 2026-11-26
PRICES = Prices(
    cpu="0.031611", memory="0.004237", storage="0.0000548", storage_classes={"fast": "0.0002"}, load_balancer="0.025",
    control_plane="0.1027",
)  # fmt: skip

# Histories: changes at whole hours, so that a sum slot by slot is exact

Names = st.sampled_from(("a", "b", "c"))
Places = st.sampled_from(("vcluster-x", "vcluster-y"))
Owners = st.sampled_from(("", "web", "shop"))
Engines = st.builds(Use, st.just(""), st.fixed_dictionaries({"cpu": st.integers(1, 900), "engine": st.just(1)}))
Quotas = st.builds(
    Use, st.just(""), st.fixed_dictionaries({"quotaCpu": st.integers(1, 5000), "quotaMemory": st.just(GI)})
)
Pods = st.builds(
    Use, Owners, st.fixed_dictionaries({"cpu": st.integers(1, 4000), "memory": st.integers(1, 4 * GI)}, optional={})
)
Claims = st.builds(Use, Owners, st.fixed_dictionaries({"storage/fast": st.integers(1, GI)}))
Steps = st.one_of(
    st.tuples(st.just("sleep"), st.frozensets(Places)),
    st.tuples(st.just("set"), Names, Places, st.one_of(Engines, Quotas, Pods, Claims)),
    st.tuples(st.just("set"), Names, Places, st.one_of(Engines, Quotas, Pods, Claims)),
    st.tuples(st.just("delete"), Names),
    st.tuples(st.sampled_from(("stop", "go", "settle", "restart"))),
    st.tuples(st.just("step"), st.integers(-30, 30)),
)
Histories = st.lists(st.tuples(st.integers(0, 30), Steps), min_size=4, max_size=25)
Found = dict[int, Measured]


class Slots:
    """The same history, added up hour by hour: nothing here knows of intervals."""

    def __init__(self) -> None:
        self.wall, self.runs = START, False
        self.objects: dict[str, tuple[str, Use]] = {}
        self.sums: dict[tuple[int, str, str, str], int] = {}
        self.seen: dict[int, int] = {}
        self.asleep: frozenset[str] = frozenset()
        self.awake: dict[str, dict[str, int]] = {}

    def hour(self) -> None:
        day = self.wall // DAY
        self.wall += HOUR
        if not self.runs:
            return
        self.seen[day] = self.seen.get(day, 0) + HOUR
        for place in {where for where, _ in self.objects.values()}:
            here = [use for where, use in self.objects.values() if where == place]
            for use in here:
                for name, amount in use.amounts.items():
                    if name in items.ITEMS or name == "storage/fast":
                        self.count(day, place, use.owner, name, amount)
            if any("engine" in use.amounts for use in here):
                self.count(day, place, "", "controlPlane", 1)
                for quota, name, idle in (("quotaCpu", "cpu", "idleCpu"), ("quotaMemory", "memory", "idleMemory")):
                    left = sum(use.amounts.get(quota, 0) - use.amounts.get(name, 0) for use in here)
                    self.count(day, place, "", idle, max(0, left))
        self.sleeps(day)

    def sleeps(self, day: int) -> None:
        """What sleep saves in one hour."""
        for place in self.asleep:
            here = [use for where, use in self.objects.values() if where == place]
            if not any("engine" in use.amounts for use in here):
                for name, amount in self.awake.get(place, self.wanted(here)).items():
                    left = amount - sum(use.amounts.get(name, 0) for use in here)
                    self.count(day, place, "", f"saved/{name}", max(0, left))

    def wanted(self, here: list[Use]) -> dict[str, int]:
        """What a place is charged for while it is awake, as it is now."""

        def most(name: str, quota: str) -> int:
            return max(sum(use.amounts.get(one, 0) for use in here) for one in (name, quota))

        return {"cpu": most("cpu", "quotaCpu"), "memory": most("memory", "quotaMemory"), "controlPlane": 1}

    def sleep(self, places: frozenset[str]) -> None:
        for place in {where for where, _ in self.objects.values()} - places:
            here = [use for where, use in self.objects.values() if where == place]
            if any("engine" in use.amounts for use in here):
                self.awake[place] = self.wanted(here)
        kept = {where for where, _ in self.objects.values()} | places
        self.awake = {place: one for place, one in self.awake.items() if place in kept}
        self.asleep = places

    def count(self, day: int, place: str, owner: str, name: str, amount: int) -> None:
        key = (day, place, owner, name)
        self.sums[key] = self.sums.get(key, 0) + amount * HOUR


class Play:
    """A meter and the sum slot by slot, side by side. A restart begins with what is there, after a gap. `settled`: intervals are
    closed before a step of the wall clock, as the sampler does within a minute."""

    def __init__(self, settled: bool) -> None:
        self.meter, self.slots, self.steady, self.settled = Meter(), Slots(), 7 * HOUR, settled
        self.taken: Found = {}

    def now(self) -> Moment:
        return Moment(self.steady, self.slots.wall)

    def set(self, name: str, place: str, use: Use) -> None:
        self.meter.change(name, place, use, self.now())
        self.slots.objects[name] = (place, use)

    def delete(self, name: str) -> None:
        known = self.slots.objects.pop(name, None)
        self.meter.change(name, known[0] if known else "", None, self.now())

    def stop(self) -> None:
        self.meter.stop(self.now())
        self.slots.runs = False

    def go(self) -> None:
        self.meter.go(self.now())
        self.slots.runs = True

    def sleep(self, places: frozenset[str]) -> None:
        self.meter.sleep(places, self.now())
        self.slots.sleep(places)

    def step(self, hours: int) -> None:
        if self.settled:
            self.meter.settle(self.now())
        self.slots.wall = max(0, self.slots.wall + hours * HOUR)

    def settle(self) -> None:
        self.meter.settle(self.now())
        merge(self.taken, self.meter.take())

    def restart(self) -> None:
        self.settle()
        self.meter, self.slots.runs = Meter(), False
        self.slots.asleep, self.slots.awake = frozenset(), {}
        for name, (place, use) in self.slots.objects.items():
            self.meter.change(name, place, use, self.now())


def played(history: list[tuple[int, Any]], *, settled: bool = True) -> tuple[Found, Slots]:
    """What a meter measured of a history, by days, and the sum slot by slot."""
    play = Play(settled)
    play.go()
    for hours, (what, *words) in [*history, (0, ("settle",))]:
        for _ in range(hours):
            play.slots.hour()
            play.steady += HOUR
        getattr(play, what)(*words)
    return play.taken, play.slots


def merge(into: Found, more: Found) -> None:
    for day, one in more.items():
        kept = into.setdefault(day, Measured())
        kept.seen += one.seen
        for place, rows in one.places.items():
            here = kept.places.setdefault(place, {})
            for row, integral in rows.items():
                here[row] = here.get(row, 0) + integral


def flat(found: Found) -> dict[tuple[int, str, str, str], int]:
    rows = {(d, p, *row): n for d, one in found.items() for p, here in one.places.items() for row, n in here.items()}
    return {key: integral for key, integral in rows.items() if integral}


@given(Histories)
def test_integrals_equal_the_sum_slot_by_slot(history: list[tuple[int, Any]]) -> None:
    found, slots = played(history)
    assert flat(found) == {key: integral for key, integral in slots.sums.items() if integral}
    assert {day: one.seen for day, one in found.items() if one.seen} == slots.seen


@given(Histories)
def test_a_step_of_the_wall_clock_changes_no_length(history: list[tuple[int, Any]]) -> None:
    found, slots = played(history, settled=False)
    assert sum(one.seen for one in found.values()) == sum(slots.seen.values())
    whole: dict[tuple[str, ...], list[int]] = {}
    for one, sums in ((0, flat(found)), (1, slots.sums)):
        for (_, *row), integral in sums.items():
            whole.setdefault(tuple(row), [0, 0])[one] += integral
    assert all(measured == expected for measured, expected in whole.values())


def test_a_day_tells_some_namespaces_apart_and_the_others_together() -> None:
    meter = Meter()
    meter.go(Moment(0, START))
    for number in range(OWNERS + 5):
        meter.change(number, "x", Use(f"n{number}", {"cpu": 1}), Moment(0, START))
    meter.settle(Moment(HOUR, START + HOUR))
    (one,) = meter.take().values()
    rows = one.places["x"]
    assert len(rows) == OWNERS + 1 and rows[OTHERS, "cpu"] == 5 * HOUR


def test_a_sleeping_cluster_costs_its_volumes_and_addresses_only() -> None:
    meter = Meter()
    meter.go(Moment(0, START))
    at = Moment(0, START)
    meter.change("quota", "x", Use("", {"quotaCpu": 4000}), at)
    meter.change("claim", "x", Use("", {"storage": GI}), at)
    meter.change("address", "x", Use("web", {"loadBalancer": 1}), at)
    meter.change("pod", "x", Use("", {"cpu": 200, "engine": 1}), at)
    meter.change("pod", "x", None, Moment(HOUR, START + HOUR))
    meter.settle(Moment(3 * HOUR, START + 3 * HOUR))
    (one,) = meter.take().values()
    assert one.places["x"] == {
        ("", "cpu"): 200 * HOUR,
        ("", "controlPlane"): HOUR,
        ("", "idleCpu"): 3800 * HOUR,
        ("", "storage"): 3 * GI * HOUR,
        ("web", "loadBalancer"): 3 * HOUR,
    }


def test_sleep_saves_what_was_asked_for_before_it() -> None:
    meter, at = Meter(), [Moment(hour * HOUR, START + hour * HOUR) for hour in range(6)]
    meter.go(at[0])
    meter.change("quota", "x", Use("", {"quotaCpu": 1000}), at[0])
    meter.change("engine", "x", Use("", {"cpu": 200, "engine": 1}), at[0])
    meter.change("shop", "x", Use("web", {"cpu": 2000, "memory": GI}), at[0])
    meter.sleep((), at[0])
    meter.sleep(("x",), at[1])  # meant to, but its pods still run
    meter.change("shop", "x", None, at[2])
    meter.change("engine", "x", None, at[2])
    meter.change("engine", "x", Use("", {"cpu": 200, "engine": 1}), at[4])
    meter.change("engine", "x", None, at[5])  # it broke while it was on its way up
    meter.sleep((), at[5])
    meter.settle(Moment(7 * HOUR, START + 7 * HOUR))
    (one,) = meter.take().values()
    assert {name: many for (_, name), many in one.places["x"].items() if name.startswith("saved/")} == {
        "saved/cpu": 2200 * 2 * HOUR,
        "saved/memory": GI * 2 * HOUR,
        "saved/controlPlane": 2 * HOUR,
    }


def test_of_a_cluster_never_seen_awake_the_quota_and_the_control_plane_are_saved() -> None:
    meter = Meter()
    meter.go(Moment(0, START))
    meter.change("quota", "x", Use("", {"quotaCpu": 1000}), Moment(0, START))
    meter.sleep(("x", "without-anything"), Moment(0, START))
    meter.settle(Moment(HOUR, START + HOUR))
    (one,) = meter.take().values()
    assert one.places == {
        "x": {("", "saved/cpu"): 1000 * HOUR, ("", "saved/controlPlane"): HOUR},
        "without-anything": {("", "saved/controlPlane"): HOUR},
    }


def test_what_sleep_saved_is_in_no_sum_and_no_charge() -> None:
    account = Account(
        {"team": "a"}, {"": {"saved/cpu": 1000 * HOUR, "saved/storage": HOUR}, "web": {"cpu": 2000 * HOUR}}
    )
    lines = [*report.lines(Day("2026-11-26", DAY, PRICES, {"x": account}))]
    assert [(line.item.name, report.money(line.cost), report.money(line.saved)) for line in lines] == [
        ("saved/cpu", "0.000000", "0.031611"),
        ("cpu", "0.063222", "0.000000"),
    ]
    (one,) = report.reports(lines, report.by("cluster"))
    assert (report.money(one.total.total), report.money(one.total.saved)) == ("0.063222", "0.031611")
    assert [row["ResourceId"] for row in focus.rows(lines, "n")] == ["x/web"]


# Objects


def pod(**spec: Any) -> bytes:
    labels = {uses.NAMESPACE: "web"}
    return msgspec.json.encode({"metadata": {"name": "p", "labels": labels}, "spec": {"nodeName": "n", **spec}})


def asks(cpu: str, **more: Any) -> dict[str, Any]:
    return {"resources": {"requests": {"cpu": cpu}}, **more}


@pytest.mark.parametrize(
    ("spec", "cpu"),
    [
        ({"containers": [asks("100m"), asks("0.2")]}, 300),
        ({"containers": [asks("100m")], "initContainers": [asks("1")]}, 1000),
        ({"containers": [asks("1")], "initContainers": [asks("250m", restartPolicy="Always"), asks("1")]}, 1250),
        ({"containers": [asks("1")], "initContainers": [asks("2"), asks("250m", restartPolicy="Always")]}, 2000),
        ({"containers": [asks("100m")], "overhead": {"cpu": "50m"}}, 150),
        ({"containers": [asks("100m")], "resources": {"requests": {"cpu": "3"}}}, 3000),
        ({"containers": [asks("1u")]}, 1),
    ],
)
def test_a_pod_asks_for_what_the_scheduler_reserves(spec: dict[str, Any], cpu: int) -> None:
    assert uses.of_pod(pod(**spec), False) == Use("web", {"cpu": cpu})


def test_what_asks_for_nothing() -> None:
    assert uses.of_pod(pod(nodeName=None, containers=[asks("1")]), False) is None
    ended = {"spec": {"nodeName": "n", "containers": [asks("1")]}, "status": {"phase": "Succeeded"}}
    assert uses.of_pod(msgspec.json.encode(ended), False) is None
    assert uses.of_service(b'{"spec": {"type": "ClusterIP"}}', False) is None
    assert uses.of_claim(b'{"spec": {}, "status": {"phase": "Pending"}}', False, ()) is None
    with pytest.raises(ValueError):
        uses.of_pod(pod(containers=[asks("a lot")]), False)


def test_claims_by_class_gpus_and_quotas() -> None:
    claim = b'{"spec": {"storageClassName": "%s"}, "status": {"phase": "Bound", "capacity": {"storage": "1Gi"}}}'
    assert uses.of_claim(claim % b"fast", True, {"fast"}) == Use("", {"storage/fast": GI})
    assert uses.of_claim(claim % b"slow", True, {"fast"}) == Use("", {"storage": GI})
    gpu = {"resources": {"requests": {"nvidia.com/gpu": "2", "memory": "1Gi"}}}
    assert uses.of_pod(pod(containers=[gpu]), False) == Use("web", {"gpu": 2, "memory": GI})
    assert uses.of_quota(b'{"spec": {"hard": {"requests.cpu": "2500m", "pods": "4"}}}') == Use("", {"quotaCpu": 2500})


# Days and lines

Uses = st.dictionaries(
    st.sampled_from(("", "web", "shop")),
    st.dictionaries(
        st.sampled_from((*items.ITEMS, "storage/fast", "of-a-later-version")), st.integers(1, 1 << 60), max_size=4
    ),
    max_size=3,
)
Accounts = st.builds(Account, st.dictionaries(st.sampled_from(("team", "stage")), st.sampled_from(("a", "b"))), Uses)
Days = st.builds(
    Day,
    st.integers(20_750, 20_790).map(days.name_of),
    st.integers(0, DAY),
    st.just(PRICES),
    st.dictionaries(st.sampled_from(("x", "y", "z")), Accounts, max_size=3),
)


@given(
    st.lists(Days, max_size=6, unique_by=lambda one: one.day),
    st.sampled_from((("cluster",), ("namespace",), ("host",), ("label", "team"), ("label", "cluster"))),
)
def test_every_sum_equals_its_lines_to_the_last_digit(found: list[Day], what: tuple[str, ...]) -> None:
    lines = [line for day in found for line in report.lines(day)]
    whole = sum(line.cost for line in lines)
    for one in report.reports(lines, report.by(*what)):
        assert one.total.total == whole == sum(row.total for row in one.rows)
        assert sum(Fraction(report.money(row.total)) for row in one.rows) == Fraction(report.money(one.total.total))
    by_month: dict[str, int] = {}
    for day in found:
        cost = sum(line.cost for line in report.lines(day))
        by_month[days.month(day.day)] = by_month.get(days.month(day.day), 0) + cost
    assert sum(by_month.values()) == whole


@given(Histories, st.data())
def test_a_day_in_parts_is_the_day(history: list[tuple[int, Any]], data: st.DataObject) -> None:
    """As after restarts: what is written in parts adds up to what is measured at once."""
    places = {
        place: Charged(place.removeprefix("vcluster-"), {"team": place}) for place in ("vcluster-x", "vcluster-y")
    }
    cut = data.draw(st.integers(0, len(history)))
    whole, _ = played(history)
    split, _ = played([*history[:cut], (0, ("settle",)), *history[cut:]])
    for number, one in split.items():
        first, second = days.of(number, one, places), days.of(number, whole[number], places)
        assert first == second
        doubled = days.added(first, second)
        assert doubled.seen == 2 * first.seen
        assert all(
            doubled.accounts[cluster].uses[owner][name] == 2 * integral
            for cluster, account in first.accounts.items()
            for owner, rows in account.uses.items()
            for name, integral in rows.items()
        )


def test_a_line_is_its_hours_times_its_price() -> None:
    account = Account(
        {"team": "a"}, {"": {"controlPlane": 24 * HOUR}, "web": {"cpu": 1500 * 24 * HOUR, "storage/fast": GI * HOUR}}
    )
    found = {line.item.name: line for line in report.lines(Day("2026-11-26", DAY, PRICES, {"x": account}))}
    assert found["cpu"].hours == 36 and report.money(found["cpu"].cost) == "1.137996"
    assert report.money(found["controlPlane"].cost) == "2.464800"
    assert report.money(found["storage/fast"].cost) == "0.000200"


def test_currencies_are_never_added_and_a_month_is_forecast_from_what_was_measured() -> None:
    account = Account(uses={"": {"controlPlane": 24 * HOUR}})
    found = [
        Day("2026-11-01", DAY, Prices(currency="EUR", control_plane="1"), {"x": account}),
        Day("2026-11-02", DAY, Prices(currency="USD", control_plane="1"), {"x": account}),
    ]
    lines = [line for day in found for line in report.lines(day)]
    eur, usd = report.reports(lines, report.by("cluster"), 30 * DAY, {"": 2 * DAY})
    assert (eur.currency, usd.currency, report.money(eur.total.total)) == ("EUR", "USD", "24.000000")
    assert eur.forecast == 15 * eur.total.total
    assert report.reports(lines, report.by("cluster"), 30 * DAY, {"": HOUR - 1})[0].forecast is None


def test_months() -> None:
    assert [days.name_of(one) for one in days.span("2024-02")] == ["2024-02-01", "2024-03-01"]
    assert days.month(days.name_of(days.span("2026-12")[1])) == "2027-01"
    for wrong in ("2026-13", "26-1", "2026-11-01", "٢٠٢٦-11"):
        with pytest.raises(ValueError):
            days.span(wrong)


# FOCUS 1.2: (data type, whether null is allowed) of the columns that must be there, then of further ones

STRING, DECIMAL, TIME = re.compile(r".+"), re.compile(r"-?[0-9]+(\.[0-9]+)?"), re.compile(r"[0-9-]{10}T[0-9:]{8}Z")
ONE_OF: Callable[..., re.Pattern[str]] = lambda *values: re.compile("|".join(map(re.escape, values)))  # noqa: E731
MANDATORY = {
    "BilledCost": (DECIMAL, False), "BillingAccountId": (STRING, False), "BillingAccountName": (STRING, True),
    "BillingCurrency": (re.compile("[A-Z]{3}"), False), "BillingPeriodEnd": (TIME, False), "BillingPeriodStart": (TIME, False),
    "ChargeCategory": (ONE_OF("Usage", "Purchase", "Tax", "Credit", "Adjustment"), False),
    "ChargeClass": (ONE_OF("Correction"), True), "ChargeDescription": (STRING, True),
    "ChargePeriodEnd": (TIME, False), "ChargePeriodStart": (TIME, False), "ContractedCost": (DECIMAL, False),
    "EffectiveCost": (DECIMAL, False), "InvoiceIssuerName": (STRING, False), "ListCost": (DECIMAL, False),
    "PricingQuantity": (DECIMAL, True), "PricingUnit": (STRING, True), "ProviderName": (STRING, False),
    "PublisherName": (STRING, False),
    "ServiceCategory": (ONE_OF("Compute", "Storage", "Networking"), False), "ServiceName": (STRING, False),
}  # fmt: skip
FURTHER = {
    "ChargeFrequency": (ONE_OF("One-Time", "Recurring", "Usage-Based"), False), "ConsumedQuantity": (DECIMAL, True),
    "ConsumedUnit": (STRING, True), "ResourceId": (STRING, True), "ResourceName": (STRING, True), "ResourceType": (STRING, True),
    "SubAccountId": (STRING, True), "SubAccountName": (STRING, True), "Tags": (STRING, True),
}  # fmt: skip


@examples(8)
@given(st.lists(Days, max_size=4, unique_by=lambda one: one.day))
def test_rows_of_focus_follow_the_rules_of_their_columns(found: list[Day]) -> None:
    assert {*focus.COLUMNS} == {*MANDATORY, *FURTHER}
    assert [*focus.COLUMNS] == sorted(focus.COLUMNS)
    lines = [line for day in found for line in report.lines(day)]
    rows = [*focus.rows(lines, "nidus-system")]
    assert len(rows) == len(lines)
    for row, line in zip(rows, lines, strict=True):
        for column, (form, null) in {**MANDATORY, **FURTHER}.items():
            assert (null and row[column] == "") or form.fullmatch(row[column]), (column, row[column])
        # of a charge of category Usage that corrects nothing:
        assert row["ChargeClass"] == "" and row["ChargeCategory"] == "Usage"
        for quantity, unit in (("PricingQuantity", "PricingUnit"), ("ConsumedQuantity", "ConsumedUnit")):
            assert Fraction(row[quantity]) > 0 and row[unit]
        times = [datetime.fromisoformat(row[name]) for name in (
            "BillingPeriodStart", "ChargePeriodStart", "ChargePeriodEnd", "BillingPeriodEnd")]  # fmt: skip
        assert times == sorted(times) and times[1] < times[2]
        tags = json.loads(row["Tags"])
        assert tags["nidus.dev/cluster"] == line.cluster and all(isinstance(one, str) for one in tags.values())
    assert sum(Fraction(row["BilledCost"]) for row in rows) * report.MILLION == sum(line.cost for line in lines)


def test_a_file_of_focus_is_read_by_any_reader_of_csv() -> None:
    account = Account({"team": "a"}, {"web": {"cpu": HOUR}})
    text = io.StringIO()
    writer = csv.DictWriter(text, focus.COLUMNS)
    writer.writeheader()
    writer.writerows(focus.rows(report.lines(Day("2026-11-26", DAY, PRICES, {"x": account})), "n"))
    (row,) = csv.DictReader(io.StringIO(text.getvalue()))
    assert (row["ResourceId"], row["SubAccountId"], row["PricingUnit"]) == ("x/web", "a", "Core-Hours")
