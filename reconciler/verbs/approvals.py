"""`nidus approvals`: what waits for an approval, what is approved, by whom and until when; `--withdraw` takes approvals back."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from reconciler.errors import ApiError, ErrorClass, Stalled
from reconciler.verbs import approve, connection, known, table

if TYPE_CHECKING:
    from reconciler.kube.client import Client
    from reconciler.model import Request

EXAMPLES = (
    ("", "what waits, and what is approved"),
    ("--withdraw 3f9c2ab1d0e45b7f3f9c2ab1d0e45b7f", "take back an approval that was not used yet"),
    ("-o json", "for programs"),
)
HEAD = ("STATE", "CLUSTER", "DIGEST", "BY", "LEFT", "MESSAGE")
_DROPS = ("LEFT", "BY", "CLUSTER")
PENDING, APPROVED, UNUSED = "pending", "approved", "stands"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--withdraw",
        default="",
        metavar="DIGEST",
        help="remove the approvals of this digest; needs the right to delete requests, which operators do not have",
    )
    forms = ("table", "json", "yaml")
    parser.add_argument("-o", "--output", choices=forms, default="table", help="how to print (default: table)")
    connection.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Exit code 0; 1 where nothing was approved by the digest to withdraw, or this user may not."""
    client = connection.connect(args)
    if args.withdraw:
        return _withdraw(client, args.namespace, args.withdraw.lower())
    rows = _rows(approve.held(client, args.namespace), _standing(client, args.namespace))
    if args.output != "table":
        print(table.document({"approvals": [asdict(one) for one in rows]}, args.output))
    elif rows:
        print(_table(rows, time.time(), table.columns()))
    else:
        print("nothing waits for an approval, and none stands")
    return 0


@dataclass(frozen=True, slots=True)
class _Row:
    """One hold or approval. `state`: pending, approved (and still held, until the next pass), or stands (nothing held needs it: it was
    used, or what it allowed has changed). `expires` is RFC 3339, "" of what nobody approved."""

    state: str
    digest: str
    cluster: str
    by: str
    expires: str
    request: str
    message: str


def _rows(held: Sequence[approve.Hold], standing: Sequence[Request]) -> list[_Row]:
    """What is pending first."""
    from reconciler.report.life import stamp

    found, given = [], {one.consent for one in standing}
    for hold in held:
        if hold.digest not in given:
            found.append(_Row(PENDING, hold.digest, hold.cluster or ", ".join(hold.about), "", "", "", hold.message))
    waits = {hold.digest: hold for hold in held}
    for one in standing:
        there = waits.get(one.consent)
        said = there.message if there else "nothing that is held needs it"
        state, until = (APPROVED if there else UNUSED), stamp(one.expires)
        found.append(_Row(state, one.consent, one.cluster, one.who, until, one.name, said))
    return found


def _table(rows: Sequence[_Row], now: float, width: int) -> str:
    cells = [
        (
            one.state,
            one.cluster or "all",
            one.digest[: approve.SHORTEST],
            one.by,
            table.age(known.seconds(one.expires) - now) if one.expires else "",
            one.message,
        )
        for one in rows
    ]
    return table.with_message(HEAD, cells, width, drop=_DROPS)


def _standing(client: Client, namespace: str) -> list[Request]:
    """The approvals that stand now, oldest first."""
    from reconciler.inventory import requests

    now = time.time()
    with known.installed("Request"):
        read = requests.load(client, namespace, {}, now, old=False)
    return [one for one in read.standing if one.kind == "approve" and one.expires > now]


def _withdraw(client: Client, namespace: str, digest: str) -> int:
    from reconciler.inventory import requests
    from reconciler.inventory.reading import Spent

    standing = _standing(client, namespace)
    matches = [one for one in standing if one.consent.startswith(digest)]
    if len({one.consent for one in matches}) != 1:
        wrong = f"{digest[:100]} is short for several digests" if matches else f"no approval stands of {digest[:100]}"
        there = sorted({one.consent for one in (matches or standing)})
        raise Stalled(wrong, hint=known.instead(digest, there) if there else "none stands")
    for one in matches:
        try:
            requests.remove(client, namespace, Spent(one.name, one.uid))
        except ApiError as error:
            if error.kind is not ErrorClass.DENIED:
                raise
            hint = "an administrator of the host cluster may; an approval ends by itself (nidus approvals: LEFT)"
            raise Stalled(f"you may not delete request {one.name}", hint=hint) from error
        print(f"withdrawn: {one.consent[:12]} by {one.who}; what was done by it already stays done")
    return 0
