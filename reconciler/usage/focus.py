"""Lines as rows of FOCUS 1.2, the open specification of cost data (https://focus.finops.org/focus-specification/v1-2/).

Every line becomes one row. No invoice is made of it here: what is billed, effective, contracted and listed is the same.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from reconciler.usage import days, items
from reconciler.usage.report import Line, cluster, decimal, money

PROVIDER: Final = "Nidus"
CATEGORIES: Final = {
    items.STORAGE: ("Storage", "Volumes"),
    items.LOAD_BALANCER: ("Networking", "Load balancers"),
    items.CONTROL_PLANE: ("Compute", "Control planes"),
}
"""Item -> ServiceCategory, of the closed list of the specification, and ServiceName; others are workloads."""
WORKLOADS: Final = ("Compute", "Workloads")

MIDNIGHT: Final = "00:00:00Z"
CLUSTER_LABEL: Final = "nidus.dev/cluster"
HOST_LABEL: Final = "nidus.dev/host"
COLUMNS: Final = (
    "BilledCost",
    "BillingAccountId",
    "BillingAccountName",
    "BillingCurrency",
    "BillingPeriodEnd",
    "BillingPeriodStart",
    "ChargeCategory",
    "ChargeClass",
    "ChargeDescription",
    "ChargeFrequency",
    "ChargePeriodEnd",
    "ChargePeriodStart",
    "ConsumedQuantity",
    "ConsumedUnit",
    "ContractedCost",
    "EffectiveCost",
    "InvoiceIssuerName",
    "ListCost",
    "PricingQuantity",
    "PricingUnit",
    "ProviderName",
    "PublisherName",
    "ResourceId",
    "ResourceName",
    "ResourceType",
    "ServiceCategory",
    "ServiceName",
    "SubAccountId",
    "SubAccountName",
    "Tags",
)


def rows(found: Iterable[Line], account: str) -> Iterator[Mapping[str, str]]:
    """The rows of lines; `account` names who is billed, such as the controller's namespace. "" stands for null. What sleep saved is
    no charge, so it has no row."""
    for line in (one for one in found if not one.item.saves):
        yield dict.fromkeys(COLUMNS, "") | _row(line, account)


def _row(line: Line, account: str) -> dict[str, str]:
    first, after = days.span(days.month(line.day))
    number, cost, hours = days.number_of(line.day), money(line.cost), decimal(line.hours, 12)
    base = items.STORAGE if line.item.name.startswith(items.PERCLASS) else line.item.name
    category, service = CATEGORIES.get(base, WORKLOADS)
    team = line.labels.get("team", "")
    return {
        **dict.fromkeys(("BilledCost", "ContractedCost", "EffectiveCost", "ListCost"), cost),
        **dict.fromkeys(("ConsumedQuantity", "PricingQuantity"), hours),
        **dict.fromkeys(("ConsumedUnit", "PricingUnit"), line.item.unit),
        **dict.fromkeys(("InvoiceIssuerName", "ProviderName", "PublisherName"), PROVIDER),
        "BillingAccountId": account,
        "BillingAccountName": account,
        "BillingCurrency": line.currency,
        "BillingPeriodStart": _time(first),
        "BillingPeriodEnd": _time(after),
        "ChargeCategory": "Usage",
        "ChargeDescription": f"{line.item.told}: {line.price} {line.currency} an hour each",
        "ChargeFrequency": "Usage-Based",
        "ChargePeriodStart": _time(number),
        "ChargePeriodEnd": _time(number + 1),
        "ResourceId": f"{cluster(line)}/{line.owner or 'engine'}",
        "ResourceName": line.owner or "engine",
        "ResourceType": "Namespace" if line.owner else "Control Plane",
        "ServiceCategory": category,
        "ServiceName": service,
        "SubAccountId": team,
        "SubAccountName": team,
        "Tags": json.dumps({**line.labels, **_own(line)}, sort_keys=True),
    }


def _own(line: Line) -> dict[str, str]:
    """The tags that we set: the cluster, and its host where several are known."""
    return {CLUSTER_LABEL: line.cluster} | ({HOST_LABEL: line.host} if line.host else {})


def _time(day: int) -> str:
    """The first moment of a day (days since the epoch), as the specification writes times."""
    return f"{days.name_of(day)}T{MIDNIGHT}"
