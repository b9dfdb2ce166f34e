"""What operations know of a cluster: whether it sleeps, when it ends. Times in seconds since the epoch."""

from collections.abc import Mapping

from msgspec import Struct, field


class Growth(Struct, frozen=True, omit_defaults=True):
    """Volumes that are to have the size `asked`: those that are behind, in words, and why they do not grow. `since`: when they were first
    waited for (seconds since the epoch; 0: for nothing that ends by itself)."""

    asked: str
    behind: tuple[str, ...] = ()
    problem: str = ""
    since: float = 0.0

    @property
    def over(self) -> bool:
        return not self.behind and not self.problem


class Sleeping(Struct, frozen=True):
    """Whether a cluster is to sleep, and why (O1). `by` what decides: git, request, schedule, expiry or restore; `why` in words, with who
    asked.

    `since` where it is known, `until` the next turn (None: only a commit or a request ends it). `ended`: how the newest request
    ended, "" where there is none, or it stands.
    """

    asleep: bool = False
    by: str = ""
    why: str = ""
    since: float | None = None
    until: float | None = None
    ended: str = ""


AWAKE = Sleeping()


class Slept(Struct, frozen=True):
    """When a cluster was put to sleep and, once it was, woken (0: it sleeps) (O5)."""

    since: float
    woken: float = 0.0


class Expiry(Struct, frozen=True):
    """When a cluster ends (O6): its ttl in seconds, as it was counted last, and its end."""

    ttl: float
    ends: float


class Ending(Struct, frozen=True):
    """How far a cluster is on its way to its end: `warned` is the last warning that is due (day, hour, over), "" before the first.

    `at` is when it ends, `due` when its deletion policy is carried out (infinite where it is protected); `told` says both.
    """

    at: float
    due: float
    warned: str = ""
    told: str = ""


class Ran(Struct, frozen=True, omit_defaults=True):
    """What ran of a layer's hooks for one `digest` of the layer (K7). `event` is install, upgrade or delete; `run` marks the objects of
    this run; `over`: all of them ran, and `steps` (hook -> what became of it) are forgotten. Of a layer that leaves: `since` when its
    hooks may take their time in a cluster that is removed (seconds since the epoch, 0: not yet), and `before` what was known until then."""

    digest: str
    event: str
    run: str
    over: bool = False
    steps: Mapping[str, str] = field(default_factory=dict)
    since: float = 0.0
    before: "Ran | None" = None
