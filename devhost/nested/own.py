"""Mode `own`: a control plane of its own behind every engine, with data bound to the engine's claim."""

from __future__ import annotations

from collections.abc import Callable

from devhost import layout
from devhost.api import ApiError, Client, Object
from devhost.errors import HostError
from devhost.nested import contract, inside, kubelet, plane
from devhost.nested.contract import Engine, Keys, value
from devhost.nested.engines import Engines, announce
from devhost.nested.keys import Pair, Store
from devhost.nested.plane import Names, Plane
from devhost.nested.restores import begin_anew
from devhost.nested.syncer import Syncer
from devhost.nested.translate import Tenancy
from devhost.programs import Programs
from devhost.state import Host


class Own:
    """The planes that run, by engine (engines.Backing)."""

    probed = True

    def __init__(
        self, host: Host, programs: Programs, engines: Engines, admin: Client, host_of: Callable[[Engine], Client]
    ) -> None:
        self._host, self._programs, self._engines = host, programs, engines
        self._admin, self._host_of = admin, host_of
        self._planes: dict[Engine, Plane] = {}
        self._names: dict[Engine, Names] = {}

    def start(self, tenancy: Tenancy, pods: list[Object]) -> None:
        """Start plane and syncer, and leave on the host what the product looks for."""
        engine, client = tenancy.engine, self._host_of(tenancy.engine)
        names = contract.certificate_names(engine, tenancy.config, tenancy.service)
        keys, storage = _keys(client, tenancy), layout.claims(self._host.folder) / self._engines.data_uid(tenancy, pods)
        flags = list(map(str, value(tenancy.config, "controlPlane.distro.k8s.apiServer.extraArgs", ())))
        title = f"nested/{engine.namespace}/{engine.name}"
        started = plane.start(self._host, self._programs, title, storage, keys, names, flags)
        self._planes[engine], self._names[engine] = started, names
        announce(client, tenancy, started)
        for one in inside.objects(tenancy.config):
            started.client.apply(one, manager="vcluster")
        begin_anew(started.client, storage)
        self._sync(tenancy, started)

    def stop(self, engine: Engine, pods: list[str]) -> None:
        """End the plane."""
        self._engines.outer.unsubscribe(engine)
        for pod in pods:
            self._admin.delete(kubelet.FORWARDS_API, kubelet.FORWARDS, f"{engine.namespace}.{pod}")
        ended = self._planes.pop(engine, None)
        if ended is not None:
            plane.end(ended, self._programs)

    def inside(self, engine: Engine) -> tuple[Client, str] | None:
        """A client of it, and what the names of its namespaces begin with; None while it does not run."""
        running = self._planes.get(engine)
        return (running.client, "") if running is not None else None

    def keys(self, engine: Engine) -> list[Pair]:
        """Every key of its store. Raises HostError while it does not run."""
        running = self._planes.get(engine)
        if running is None:
            raise HostError(f"{engine} does not run")
        store = Store(running.store, running.folder / "pki")
        try:
            return list(store.read())
        finally:
            store.close()

    def alive(self, engine: Engine) -> bool:
        """Tell whether all its processes run."""
        return engine in self._planes and plane.alive(self._planes[engine], self._programs)

    def ready(self, tenancy: Tenancy) -> bool:
        """Ask /readyz; renew the certificate when the names changed (an address of the load balancer came)."""
        running = self._planes[tenancy.engine]
        names = contract.certificate_names(tenancy.engine, tenancy.config, tenancy.service)
        if names != self._names[tenancy.engine]:
            plane.certify(running, names)
            self._names[tenancy.engine] = names
        return running.client.ready()

    def reach(self, engine: Engine, pod: Object) -> None:
        """Let port-forwards to the pod end at the plane."""
        self._admin.apply(kubelet.forward(pod, self._planes[engine].port))

    def port(self, engine: Engine) -> int:
        """The plane's."""
        return self._planes[engine].port

    def _sync(self, tenancy: Tenancy, started: Plane) -> None:
        engine = tenancy.engine
        syncer = Syncer(
            started.client, self._engines.outer, lambda _: self._engines.tenancy(engine), self._host_of, started.stop
        )
        self._engines.outer.subscribe(engine, syncer.host_changed)
        syncer.start()


def _keys(client: Client, tenancy: Tenancy) -> Keys:
    name, namespace = f"{tenancy.engine.name}-certs", tenancy.engine.namespace
    found = client.get("v1", "Secret", name, namespace)
    if found is not None:
        return contract.keys_of(found)
    keys = contract.new_keys(tenancy.engine)
    try:
        client.create(contract.keys_secret(tenancy.engine, tenancy.service, keys))
    except ApiError as error:
        raise HostError(f"Secret {name} cannot be made: {error}") from error
    return keys
