"""What the pages are made of: what the controller knows, as functions that read it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import Struct, field

from dashboard.actions import Ask
from dashboard.costs import Spent
from dashboard.feed import Feed
from dashboard.pages import Came
from reconciler.model import Request, UserInfo
from reconciler.report.view import ClusterView, SourceView
from reconciler.report.workloads import Inside


class Views(Struct, frozen=True, kw_only=True):
    """What the controller knows: clusters and sources by name. `waits`: what this process waits for, "" where it does its work. `ask`
    stores what somebody asks for, `asked` is what stands of a cluster. `feed` numbers the changes of clusters and sources, where this
    replica is told of them (`live`); `number` is that of what is shown, where it is another. `webhooks`, `changes` and `change` are those
    of the JSON API. `hosts`: the Kubernetes version of each host that is known. `inside`: what runs in a
    cluster, of one kind or of all; raises Unavailable while another one is read. `history` of a cluster, newest first, and what a month
    cost are read from the API server and may raise NidusError."""

    clusters: Callable[[], Mapping[str, ClusterView]]
    sources: Callable[[], Mapping[str, SourceView]]
    waits: Callable[[], str]
    ask: Callable[[UserInfo, Ask], None] = lambda who, ask: None
    asked: Callable[[str], Sequence[Request]] = lambda cluster: ()
    feed: Feed = field(default_factory=Feed)
    number: Callable[[], int] | None = None
    live: Callable[[], bool] = lambda: True
    webhooks: Callable[[], Sequence[Mapping[str, Any]]] = tuple
    changes: Callable[[], Sequence[Mapping[str, Any]]] = tuple
    change: Callable[[str, int], Mapping[str, Any] | None] = lambda source, number: None
    hosts: Callable[[], Mapping[str, str]] = dict
    history: Callable[[str], Sequence[Came]] = lambda cluster: ()
    spent: Callable[[str], Spent] = lambda month: Spent(month, {}, {})
    inside: Callable[[str, str], Inside] = lambda cluster, kind: Inside(())
