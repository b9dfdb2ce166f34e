"""The clients of every target: the host, and each nested cluster with its Secret, its connection and its breaker (A7,
A8)."""

import threading
import weakref
from collections.abc import Callable, Collection, Sequence

from reconciler import jitter
from reconciler.errors import ApiError, ErrorClass
from reconciler.kube import edge
from reconciler.kube.breaker import Breaker
from reconciler.kube.client import Client
from reconciler.kube.nested_watch import NestedWatch
from reconciler.kube.portforward import Dialer
from reconciler.kube.reflector import SILENCE
from reconciler.kube.transport import Transport
from reconciler.kube.watch import Watch
from reconciler.model import Object, ObjectRef, Target

PORT = 8443  # the engine's pod
ENGINE = ("app", "vcluster")  # the label of the engine's pods, by its chart
WATCHES = 64  # R1: open watches of waiting layers, over all nested clusters
WATCH_SECONDS = 300
IDLE = 15.0  # seconds after which connections to a nested API server that nobody used are closed


def pods_of(name: str) -> str:
    """The selector of the engine's pods of one nested cluster, in its host namespace."""
    return f"{ENGINE[0]}={ENGINE[1]},release={name}"


class Targets:
    """Gives out clients; thread-safe. `inside`: whether this process runs in the host cluster and can dial its Services.

    Nested clients write behind `fence`, which is that of `host` unless another is given (H1). `cached` shows pods of engines
    without asking the host; where it has none, the host is asked.
    """

    def __init__(
        self,
        host: Client,
        *,
        inside: bool,
        fence: Callable[[], None] | None = None,
        cached: Callable[[ObjectRef], Object | None] = lambda ref: None,
        deadline: float = 10.0,
        silence: float = edge.NESTED_SILENCE,
        idle: float = IDLE,
        failed: Callable[[str, Exception], None] = lambda what, error: None,
    ) -> None:
        self._fence = fence or host.fence  # a nested write needs the Lease like a host write
        self._host = host.fenced(self._fence)
        self._inside = inside
        self._cached = cached
        self._failed = failed
        self._deadline, self._silence, self._idle = deadline, silence, idle
        self._lock = threading.Lock()
        self._clients: dict[Target, Client] = {}
        self._breakers: dict[Target, Breaker] = {}
        self._transports: weakref.WeakSet[Transport] = weakref.WeakSet()  # also of clients dropped while in use
        self._closes: threading.Event | None = None
        self._watches = threading.BoundedSemaphore(WATCHES)

    def client(self, target: Target, namespace: str) -> Client:
        """Return the client of `target`, whose host namespace is `namespace`.

        Raises ApiError TRANSIENT while the breaker is open or the engine has not written its Secret yet, what reading the
        Secret raises otherwise, and Stalled when the Secret is refused.
        """
        if not target.nested:
            return self._host
        with self._lock:
            known = self._clients.get(target)
        return known or self._made(target, namespace)

    def forget(self, target: Target) -> None:
        """Drop the client and the breaker of a nested cluster that no longer exists."""
        self._drop(target)
        with self._lock:
            self._breakers.pop(target, None)

    def forget_all(self) -> None:
        """Close every nested client."""
        for target in tuple(self._clients):
            self.forget(target)
        with self._lock:
            closes, self._closes = self._closes, None
        if closes is not None:
            closes.set()

    def is_open(self, target: Target) -> bool:
        """Whether the breaker of `target` refuses requests at the moment."""
        breaker = self._breakers.get(target)
        return breaker is not None and breaker.is_open

    def holds(self, target: Target) -> bool:
        """Whether whoever asks the API server of `target` waits for an answer that does not come."""
        breaker = self._breakers.get(target)
        return breaker is not None and breaker.holds

    def nested_watch(
        self,
        target: Target,
        namespace: str,
        kinds: Collection[tuple[str, str]],
        wake: Callable[[], None],
        *,
        labels: str = "",
    ) -> Callable[[], None] | None:
        """Call `wake` whenever an object of `kinds` (group, kind) changes in a nested cluster.

        Returns what stops it, or None when WATCHES are open already (R1: the caller then lists again with jitter). Watches
        that end are opened again until stopped; `wake` is called each time, since something may have been missed.
        """
        taken = [kind for kind in kinds if self._watches.acquire(blocking=False)]
        if len(taken) < len(kinds):
            for _ in taken:
                self._watches.release()
            return None
        made = [self._watch(target, namespace, group, kind, labels, wake) for group, kind in kinds]
        return lambda: _stop(made)

    def _watch(
        self, target: Target, namespace: str, group: str, kind: str, labels: str, wake: Callable[[], None]
    ) -> NestedWatch:
        def opened() -> Watch:
            return _opened(self.client(target, namespace), group, kind, labels)

        return NestedWatch(f"{target}-{kind}", opened, wake, self._watches.release, self._failed)

    def _made(self, target: Target, namespace: str) -> Client:
        breaker = self._breaker(target)
        breaker.refuse()  # otherwise every pass over a cluster that does not answer would read its Secret
        name = target.nested
        made = edge.nested(
            self._secret(name, namespace),
            name,
            namespace,
            dial=None if self._inside else self._dialer(name, namespace),
            reread=lambda: self._secret(name, namespace),
            guard=_Guard(breaker, lambda: self._drop(target)),
            deadline=self._deadline,
            silence=self._silence,
            fence=self._fence,
        )
        with self._lock:
            self._transports.add(made.transport)
            if self._closes is None:
                self._closes = threading.Event()
                threading.Thread(
                    target=self._close_idle, args=(self._closes,), name="idle-connections", daemon=True
                ).start()
            return self._clients.setdefault(target, made)

    def _drop(self, target: Target) -> None:
        """Drop the client, so that the next use makes a new one: the credentials, the CA or the pod may have
        changed."""
        with self._lock:
            known = self._clients.pop(target, None)
        if known:
            known.close()

    def _close_idle(self, over: threading.Event) -> None:
        """One thread for all: close unused connections, so that idle clusters need no thread and no open file."""
        while not over.wait(self._idle / 3):
            with self._lock:
                transports = tuple(self._transports)
            for one in transports:
                try:
                    one.close_idle(self._idle)
                except Exception as error:  # an error with one client must not stop the others
                    self._failed("closing idle connections", error)

    def _dialer(self, name: str, namespace: str) -> Dialer:
        """Finds the engine's pod by the name that a StatefulSet gives its first pod, which no synced pod can have;
        otherwise by the engine's labels."""
        first = ObjectRef("", "Pod", namespace, f"{name}-0")
        return Dialer(self._host, namespace, pods_of(name), PORT, lambda: self._cached(first), self._failed)

    def _secret(self, name: str, namespace: str) -> Object:
        secret = self._host.get(ObjectRef("", "Secret", namespace, f"vc-{name}"))
        if secret is None:
            waits = f"the control plane of {name} is not up: Secret vc-{name} does not exist yet"
            raise ApiError(ErrorClass.TRANSIENT, waits)
        return secret

    def _breaker(self, target: Target) -> Breaker:
        with self._lock:
            return self._breakers.setdefault(target, Breaker())


class _Guard:
    """A target's breaker, which also drops the client after a failure, because the CA or the pod may have changed."""

    def __init__(self, breaker: Breaker, drop: Callable[[], None]) -> None:
        self.before = breaker.before
        self._breaker = breaker
        self._drop = drop

    def after(self, failure: str) -> None:
        self._breaker.after(failure)
        if failure:
            self._drop()


def _opened(client: Client, group: str, kind: str, labels: str) -> Watch:
    """A watch that begins with all existing objects, so that changes since the caller's read are not lost."""
    seconds = int(WATCH_SECONDS * jitter.between(0.8, 1.0))
    return client.watch(group, kind, since="", labels=labels, seconds=seconds, silence=SILENCE)


def _stop(watches: Sequence[NestedWatch]) -> None:
    for one in watches:
        one.stop()
