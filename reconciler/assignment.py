"""What a pass is given and what it comes to: one value each way (house.md, "The shell of a pass")."""

from dataclasses import dataclass, field

from reconciler.inventory.store import State
from reconciler.memory import Memory
from reconciler.model import Bundle, Held, HostFacts, ObjectRef, Report, Request, Revision


@dataclass(frozen=True, slots=True)
class Facts:
    """What a pass knows besides its assignment: the host it works for, and the installation's salt, which hashes of secret values
    are keyed by (P5)."""

    host: HostFacts
    salt: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Assignment:
    """Everything one pass over one cluster needs.

    `state` holds the record as it is to be after this pass, with the inventory as it was stored; `stored` what the server has
    (None: nothing yet). `memory` is what the last pass remembered, `held` and `invalid` what admission says of the cluster,
    `epoch` rises whenever the bundle is another one.
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


@dataclass(frozen=True, slots=True)
class Unresolved:
    """A cluster of which nobody can say what it should be: its file is broken and nothing older was accepted, or what was accepted
    cannot be read (S8). `held` and `invalid` say why."""

    cluster: str
    source: str
    revision: Revision
    held: Held | None = None
    invalid: str = ""
    stored: State | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a pass came to, or why there was none. `state` None: nothing is on record; `memory` None: what was remembered stays.

    `watch`: nested objects whose change should wake the cluster. `retry`: look again with backoff, or in `after` seconds; `soon`:
    what is waited for follows within moments. `over`: the removal is carried out, proven for every entry. `unanswered`: a target
    inside did not answer.
    """

    report: Report
    state: State | None
    memory: Memory | None = None
    watch: tuple[ObjectRef, ...] = ()
    retry: bool = False
    after: float | None = None
    soon: bool = False
    over: bool = False
    unanswered: bool = False
