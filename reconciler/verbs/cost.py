"""`nidus cost`: what nested clusters ask for and what that costs, from the days that the controller keeps; needs no controller
running."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from reconciler.verbs import connection, known, table

if TYPE_CHECKING:
    from reconciler.inventory.usage import Read
    from reconciler.usage.report import Line, Name, Report, Row

EXAMPLES = (
    ("", "this month by cluster, with a forecast"),
    ("--by team --month 2026-11", "by the label team of each cluster"),
    ("--by label cost-centre --since 30d -o csv", "by another label, every line of 30 days"),
    ("--month 2026-11 -o focus", "for tools that read FOCUS 1.2"),
    ("--by host --hosts fra ams", "of two hosts, by their contexts in the kubeconfig"),
)
HEADS = {
    "cpu": "CPU",
    "memory": "MEMORY",
    "storage": "STORAGE",
    "gpu": "GPU",
    "addresses": "ADDRESSES",
    "controlPlane": "CONTROL PLANE",
    "idle": "IDLE",
}
LINE = ("day", "cluster", "namespace", "item", "quantity", "unit", "price", "cost", "currency", "saved", "host")
MOST = 400 * 86400.0  # seconds: what is kept
ALONE = "local"  # the host, where its context does not name it
NEVER = "nothing was measured: the controller measures where spec.prices of its configuration is set"


class Span(Struct, frozen=True):
    """The days that are asked for, since the epoch: from `first` to before `after`; `until` is where they end, or now (ms)."""

    first: int
    after: int
    until: int
    month: bool


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--by",
        nargs="+",
        default=["cluster"],
        metavar="WHAT",
        help="cluster (default), team, namespace, host, or label KEY: a label of the clusters in Git",
    )
    told = "contexts of several hosts, each with a controller of its own (default: one host, as --context says)"
    parser.add_argument("--hosts", nargs="+", default=[], metavar="CONTEXT", help=told)
    when = parser.add_mutually_exclusive_group()
    when.add_argument("--month", default="", metavar="YYYY-MM", help="one month, in UTC (default: this one)")
    when.add_argument(
        "--since", type=connection.seconds, metavar="TIME", help="the last days, such as 30d; whole days in UTC"
    )
    forms = ("table", "json", "csv", "focus")
    parser.add_argument("-o", "--output", choices=forms, default="table", help="how to print (default: table)")
    connection.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Exit code 0, also where some days cannot be read, which standard error tells; 1 where nothing was measured."""
    import sys

    from reconciler.errors import Stalled, printable
    from reconciler.usage import report

    name = _name(args)
    span = _span(args, time.time())
    found = _found(args, span)
    for told in _unread(found):
        print(printable(f"note: {told}"), file=sys.stderr)
    if not any(one.days for one in found.values()):
        raise Stalled(NEVER, hint="docs/tasks/cost.md")
    lines = [line for host, one in found.items() for day in one.days for line in report.lines(day, host)]
    if args.output in ("csv", "focus"):
        print(_csv(lines) if args.output == "csv" else _focus(lines, args.namespace), end="")
        return 0
    seen = {host: sum(day.seen for day in one.days) for host, one in found.items()}
    reports = report.reports(lines, name, _length(span) if span.month and _runs(span) else 0, seen)
    print(_json(reports, _unread(found), span, seen) if args.output == "json" else _table(reports, args.by, span, seen))
    return 0


def _name(args: argparse.Namespace) -> Name:
    """How lines are named. Raises UsageError."""
    from reconciler.errors import UsageError
    from reconciler.usage import report

    if args.hosts and args.context:
        raise UsageError("--hosts names contexts, so --context is one too many", hint="--hosts fra ams")
    match args.by:
        case ["cluster" | "namespace" | "host" as what]:
            return report.by(what, alone=args.context or ALONE)
        case ["team"]:
            return report.by("label", "team")
        case ["label", key]:
            return report.by("label", key)
    told = f"--by {' '.join(args.by)} is none of cluster, team, namespace, host and label KEY"
    raise UsageError(told, hint="--by label cost-centre")


def _found(args: argparse.Namespace, span: Span) -> dict[str, Read]:
    """What each host keeps of the days, by its context; "" where there is only one. Raises NidusError where one does not tell."""
    from reconciler.inventory import usage
    from reconciler.usage import days

    wanted = frozenset(map(days.name_of, range(span.first, span.after)))
    found = {}
    for context in dict.fromkeys(args.hosts or [""]):
        asked = argparse.Namespace(**{**vars(args), "context": context or args.context})
        client = connection.connect(asked)
        with known.installed():
            found[context] = usage.read(client, args.namespace, wanted.__contains__, map(days.month, wanted))
    return found


def _unread(found: Mapping[str, Read]) -> list[str]:
    return [f"{host}: {told}" if host else told for host, one in found.items() for told in one.unread]


def _span(args: argparse.Namespace, now: float) -> Span:
    """Raises UsageError."""
    from reconciler.errors import UsageError
    from reconciler.usage import days
    from reconciler.usage.meter import DAY

    at = round(now * 1000)
    today = at // DAY
    if args.since is not None:
        if not 0 < args.since <= MOST:
            raise UsageError("--since takes 1d to 400d", hint="--since 30d")
        return Span(max(0, today + 1 - max(1, round(args.since / 86400))), today + 1, at, False)
    try:
        first, after = days.span(args.month or days.month(days.name_of(today)))
    except ValueError:
        raise UsageError(f"--month {args.month[:20]} is no month", hint="--month 2026-11") from None
    return Span(first, after, min(at, after * DAY), True)


def _length(span: Span) -> int:
    from reconciler.usage.meter import DAY

    return (span.after - span.first) * DAY


def _runs(span: Span) -> bool:
    """Whether the month is not over."""
    from reconciler.usage.meter import DAY

    return span.first * DAY <= span.until < span.after * DAY


def _gap(span: Span, seen: int) -> int:
    """Milliseconds of what is asked for in which nothing was measured."""
    from reconciler.usage.meter import DAY

    return max(0, span.until - span.first * DAY - seen)


def _table(reports: Sequence[Report], by: Sequence[str], span: Span, seen: Mapping[str, int]) -> str:
    from reconciler.usage.report import money

    shown = []
    for one in reports:
        columns = [column for column in HEADS if one.total.costs.get(column)]
        more = ("SLEEP SAVED",) if one.total.saved else ()
        head = (by[-1].upper(), *(HEADS[column] for column in columns), f"TOTAL {one.currency}", *more)
        shown.append(table.render(head, [_cells(row, columns, bool(more)) for row in (*one.rows, one.total)]))
        if one.forecast is not None:
            shown.append(
                f"forecast of the month: {money(one.forecast)} {one.currency}, if it goes on like what was measured"
            )
    return "\n".join([*shown, *(line for host, length in seen.items() for line in _measured(host, span, length))])


def _cells(row: Row, columns: Sequence[str], saved: bool) -> tuple[str, ...]:
    from reconciler.usage.report import money

    told = (row.name, *(money(row.costs.get(column, 0)) for column in columns), money(row.total))
    return (*told, money(row.saved)) if saved else told


def _measured(host: str, span: Span, seen: int) -> list[str]:
    gap, where = _gap(span, seen), f" on {host}" if host else ""
    measured = f"measured{where}: {_hours(seen)} of {_hours(seen + gap)}"
    if gap < 60_000:
        return [measured]
    return [
        measured,
        f"  in {_hours(gap)} nothing was measured and nothing is charged: no controller ran, or it did not see the host",
    ]


def _hours(length: int) -> str:
    return f"{length // 3_600_000}h{length // 60_000 % 60:02}m"


def _json(reports: Sequence[Report], unread: Sequence[str], span: Span, seen: Mapping[str, int]) -> str:
    from reconciler.usage import days
    from reconciler.usage.report import money

    def row(one: Row) -> dict[str, Any]:
        return {
            "name": one.name,
            "costs": {key: money(cost) for key, cost in one.costs.items()},
            "total": money(one.total),
            "saved": money(one.saved),
        }

    body = {
        "from": days.name_of(span.first),
        "to": days.name_of(span.after - 1),
        "measuredSeconds": sum(seen.values()) // 1000,
        "unmeasuredSeconds": sum(_gap(span, length) for length in seen.values()) // 1000,
        "hosts": [
            {"name": host, "measuredSeconds": length // 1000, "unmeasuredSeconds": _gap(span, length) // 1000}
            for host, length in seen.items()
            if host
        ],
        "unread": list(unread),
        "reports": [
            {
                "currency": one.currency,
                "rows": [row(each) for each in one.rows],
                "total": row(one.total),
                "forecast": None if one.forecast is None else money(one.forecast),
            }
            for one in reports
        ],
    }
    return table.document(body, "json")


def _csv(lines: Iterable[Line]) -> str:
    """Every line, with the labels of its cluster that any has."""
    lines = list(lines)
    keys = sorted({key for line in lines for key in line.labels})
    rows = [(*_columns(line), *(line.labels.get(key, "") for key in keys)) for line in lines]
    return _written([*LINE, *(f"label:{key}" for key in keys)], rows)


def _columns(line: Line) -> tuple[str, ...]:
    """The fields of LINE."""
    from reconciler.usage.report import decimal, money

    what = (line.day, line.cluster, line.owner, line.item.name)
    cost = (decimal(line.hours, 12), line.item.unit, line.price, money(line.cost), line.currency)
    return (*what, *cost, money(line.saved), line.host)


def _focus(lines: Iterable[Line], account: str) -> str:
    from reconciler.usage import focus

    return _written(focus.COLUMNS, [tuple(row.values()) for row in focus.rows(lines, account)])


def _written(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    import csv
    import io

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(rows)
    return text.getvalue()
