"""The input and the outcome of a pass, one value each."""

from collections.abc import Mapping

from msgspec import Struct, field

from reconciler.inventory.store import State
from reconciler.memory import Memory
from reconciler.model import (
    DESTRUCTIVE,
    Answer,
    Archive,
    Bundle,
    Errand,
    Exposure,
    Held,
    HostFacts,
    ObjectRef,
    Report,
    Request,
    Revision,
    Tried,
)


class Facts(Struct, frozen=True):
    """What a pass knows besides its assignment: the host it works for, the installation's salt, which hashes of secret values
    are keyed by (P5), and the operator's grace period in seconds."""

    host: HostFacts
    salt: bytes
    grace: float = 86400.0

    def __repr__(self) -> str:
        return f"Facts(host={self.host!r}, grace={self.grace})"


class Assignment(Struct, frozen=True):
    """Everything one pass over one cluster needs.

    `state` is the record as it should be after this pass, with the inventory as it is stored; `stored` is what the
    server has (None: nothing yet). `memory` is what the last pass remembered; `held` and `invalid` come from admission;
    `epoch` rises with each new bundle; `consented` are the actions that need a consent; `answers` of errands, by
    (snapshot, what was done); `archive`: what is on record of the snapshot that it is to begin with, and
    `owner`: whose data that is, where it is a cluster of another source; `awaited`: archives that restores of any cluster are under
    way with, by bucket and key; `stores`: what `ceilings.backupEndpoints` allows now, None where nobody says;
    `tried`: what came of trying its address from outside last.
    """

    bundle: Bundle
    state: State
    source: str = ""
    stored: State | None = None
    memory: Memory = field(default_factory=Memory)
    requests: tuple[Request, ...] = ()
    held: Held | None = None
    invalid: str = ""
    epoch: int = 0
    consented: frozenset[str] = DESTRUCTIVE
    answers: Mapping[tuple[str, str], Answer] = field(default_factory=dict)
    archive: Archive | None = None
    owner: str = ""
    awaited: frozenset[tuple[str, str]] = frozenset()
    stores: tuple[str, ...] | None = None
    tried: Tried | None = None


class Unresolved(Struct, frozen=True):
    """A cluster without a bundle: its file is broken and no older version was accepted, or the accepted version cannot
    be read (S8). `held` and `invalid` say why. `stored` is what the server has, `state` that with what admission decided about its end
    (None: there is no record)."""

    cluster: str
    source: str
    revision: Revision
    held: Held | None = None
    invalid: str = ""
    stored: State | None = None
    epoch: int = 0
    state: State | None = None


class Outcome(Struct, frozen=True):
    """The outcome of a pass, or why there was none. `state` None: there is no record; `memory` None: keep what was
    remembered.

    `watch`: nested objects whose change should wake the cluster. `retry`: look again with backoff, or in `after`
    seconds; `soon`: what the pass waits for comes within a few seconds. `over`: the removal is done, proven for every
    entry. `due`: the grace period after its end is over, admission removes it (O6). `errands`: what is to be done beside the
    passes; `answered`: the answers whose outcome `state` has. `unanswered`: the nested API server did not answer.
    `exposure`: the address to try beside the passes.
    """

    report: Report
    state: State | None
    memory: Memory | None = None
    watch: tuple[ObjectRef, ...] = ()
    retry: bool = False
    after: float | None = None
    soon: bool = False
    over: bool = False
    due: bool = False
    errands: tuple[Errand, ...] = ()
    answered: tuple[tuple[str, str], ...] = ()
    unanswered: bool = False
    exposure: Exposure | None = None
