"""Mode `shared`: one control plane behind every engine, for fleets of hundreds.

Each cluster has there the namespaces that begin with its name and a dash (hosting.fits_shared tells what does not fit),
and no CoreDNS. All get the same administrator; the serving certificate is issued anew for the names of clusters that come.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import Final

from cryptography import x509

from devhost.api import Client, Object
from devhost.certs import Pair
from devhost.errors import HostError
from devhost.nested import contract, plane
from devhost.nested.contract import Engine, Keys
from devhost.nested.engines import PROBE_SECONDS, Engines, announce
from devhost.nested.plane import Names, Plane
from devhost.nested.syncer import Syncer
from devhost.nested.translate import Tenancy
from devhost.programs import Programs
from devhost.state import Host

TITLE: Final = "nested/shared"
RELOAD_SECONDS: Final = 20.0


class Shared:
    """The one plane and whom it serves (engines.Backing)."""

    probed = False

    def __init__(
        self, host: Host, programs: Programs, engines: Engines, host_of: Callable[[Engine], Client], port: int
    ) -> None:
        self._engines, self._host_of = engines, host_of
        self._by_name: dict[str, Engine] = {}
        self._claims: dict[str, str] = {}
        self._plane = plane.start(host, programs, TITLE, host.folder / TITLE, _keys(host), _NAMES, port=port)
        self._certificate = _Certificate(self._plane)
        self._syncer = Syncer(self._plane.client, engines.outer, self._tenancy, host_of, self._plane.stop)
        self._syncer.start()
        threading.Thread(target=self._nurse, args=(programs,), name="shared plane", daemon=True).start()

    def start(self, tenancy: Tenancy, pods: list[Object]) -> None:
        """Let the plane answer under the cluster's names, and leave on the host what the product looks for."""
        engine = tenancy.engine
        self._forget_data_of_another_claim(engine, self._engines.data_uid(tenancy, pods))
        self._certificate.include([engine.name, f"{engine.name}.{engine.namespace}"])  # short: hundreds share it
        self._by_name[engine.name] = engine
        self._engines.outer.subscribe(engine, self._syncer.host_changed)
        self._syncer.look_again(f"{engine.name}-")
        announce(self._host_of(engine), tenancy, self._plane)

    def stop(self, engine: Engine, pods: list[str]) -> None:
        """Sync its objects no more; they stay inside."""
        self._by_name.pop(engine.name, None)
        self._engines.outer.unsubscribe(engine)

    def inside(self, engine: Engine) -> tuple[Client, str] | None:
        """A client of it, and what the names of its namespaces begin with; None while it does not run."""
        return (self._plane.client, f"{engine.name}-") if self._by_name.get(engine.name) == engine else None

    def alive(self, engine: Engine) -> bool:
        """The plane runs for all, and is started again without its engines' pods."""
        return True

    def ready(self, tenancy: Tenancy) -> bool:
        """Ready since start()."""
        return True

    def reach(self, engine: Engine, pod: Object) -> None:
        """Nothing to open: kwok was told at its start that every engine's port is the shared plane's."""

    def port(self, engine: Engine) -> int:
        """The shared plane's."""
        return self._plane.port

    def _nurse(self, programs: Programs) -> None:
        while not self._plane.stop.wait(PROBE_SECONDS):
            if not plane.alive(self._plane, programs):
                plane.revive(self._plane, programs)

    def _tenancy(self, namespace: str) -> Tenancy | None:
        parts = namespace.split("-")
        for end in range(len(parts) - 1, 0, -1):
            engine = self._by_name.get("-".join(parts[:end]))
            if engine is not None:
                return self._engines.tenancy(engine)
        return None

    def _forget_data_of_another_claim(self, engine: Engine, claim: str) -> None:
        if self._claims.get(engine.name, claim) != claim:
            for one in self._plane.client.list("v1", "Namespace")["items"]:
                name = one["metadata"]["name"]
                if name.startswith(f"{engine.name}-") and self._tenancy(name) is None:
                    self._plane.client.delete("v1", "Namespace", name)
        self._claims[engine.name] = claim


class _Certificate:
    """The serving certificate: names are added by whoever comes, many at once with one issue."""

    def __init__(self, running: Plane) -> None:
        self._plane = running
        self._wanted: dict[str, None] = dict.fromkeys(_NAMES[0])
        self._served: set[str] = set(_NAMES[0])
        self._wishing, self._issuing = threading.Lock(), threading.Lock()

    def include(self, names: list[str]) -> None:
        """Return once the plane serves a certificate with `names`."""
        with self._wishing:
            self._wanted.update(dict.fromkeys(names))
        with self._issuing:
            if self._served.issuperset(names):
                return
            with self._wishing:
                wanted = list(self._wanted)
            plane.certify(self._plane, (wanted, _NAMES[1]))
            self._await(wanted[-1])
            self._served.update(wanted)

    def _await(self, name: str) -> None:
        end = time.monotonic() + RELOAD_SECONDS
        while name not in _served_names(self._plane):
            if time.monotonic() > end:
                raise HostError(f"the shared plane did not take up its new certificate within {RELOAD_SECONDS:.0f} s")
            time.sleep(0.005)


_NAMES: Final[Names] = (("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"), ("127.0.0.1",))


def _served_names(running: Plane) -> list[str]:
    context = ssl.create_default_context(cafile=str(running.folder / "pki" / "ca.crt"))
    with (
        socket.create_connection(("127.0.0.1", running.port), timeout=5) as line,
        context.wrap_socket(line, server_hostname="localhost") as tls,
    ):
        certificate = x509.load_der_x509_certificate(tls.getpeercert(binary_form=True) or b"")
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return names.get_values_for_type(x509.DNSName)


def _keys(host: Host) -> Keys:
    """The plane's keys, those of an earlier start where the host's folder was kept."""
    pki = host.folder / TITLE / "pki"
    if not (pki / "tokens.csv").exists():
        return contract.new_keys(Engine("", "shared"))
    ca = Pair((pki / "ca.crt").read_bytes(), (pki / "ca.key").read_bytes())
    return Keys(ca, (pki / "sa.key").read_bytes(), (pki / "sa.pub").read_bytes())
