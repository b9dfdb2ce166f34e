"""Configures the official client. The only file that imports `kubernetes`, and only when a client is made.

Importing it costs about 200 ms, so nothing here runs at import time.
"""

import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from reconciler.errors import ApiError, ErrorClass, UsageError, one_line
from reconciler.kube import kubeconfig, timed
from reconciler.kube.client import Client, no_fence
from reconciler.kube.secret import context, credentials
from reconciler.kube.transport import Guard, Limits, Transport
from reconciler.model import HostConfig, Object

NESTED_POOL = 4
NESTED_SILENCE = 5.0  # seconds without a byte after which a nested API server counts as hung
NESTED_LIMIT = 64 << 20  # bytes of one answer of a nested API server, and of all pages of a list, which might never end
NESTED_VALUES = 4_000_000  # values in it: some hundred MiB once they are decoded
POOL = 64  # connections kept: workers, watches and the Lease share them
KUBECONFIG_HINT = "set spec.host.kubeconfig, or KUBECONFIG, or run inside the cluster"


def host(config: HostConfig, deadline: float = 10.0, *, fence: Callable[[], None] = no_fence) -> Client:
    """A client of the host cluster: `config.kubeconfig`, else in-cluster, else the usual KUBECONFIG rules.

    Raises UsageError when no usable configuration is found. Nothing is sent yet.
    """

    def make() -> Any:
        return _api(_host_configuration(config))

    return Client(Transport(make(), renew=make, limits=Limits(deadline=deadline)), fence=fence)


def server(client: Client) -> str:
    """The address that `client` talks to."""
    return str(client.transport.api.configuration.host)


def chosen_context(config: HostConfig) -> str:
    """The context that host() uses now, so that a process that runs on stays with it; "" in a pod, or where there is none."""
    from kubernetes.client.configuration import Configuration
    from kubernetes.config.config_exception import ConfigException
    from kubernetes.config.incluster_config import load_incluster_config
    from kubernetes.config.kube_config import list_kube_config_contexts

    if config.context:
        return config.context
    try:
        if not config.kubeconfig:
            with suppress(ConfigException):
                load_incluster_config(client_configuration=Configuration())
                return ""
        _, active = list_kube_config_contexts(config.kubeconfig or None)
    except (ConfigException, OSError, ValueError):
        return ""
    return str(active["name"])


def nested(
    secret: Object,
    name: str,
    namespace: str,
    *,
    dial: Callable[[], socket.socket] | None = None,
    reread: Callable[[], Object] | None = None,
    guard: Guard | None = None,
    deadline: float = 10.0,
    silence: float = NESTED_SILENCE,
    fence: Callable[[], None] = no_fence,
) -> Client:
    """A client of the nested cluster NAME from its Secret `vc-NAME` (A8); Stalled when the Secret is not what it must be.

    The server is `https://NAME.NAMESPACE:443`, and its certificate is checked for that name on every connection: `dial`
    gives connected sockets from outside the host cluster (a port-forward), None dials the Service. No proxy, no
    redirect. `reread` gets the Secret again after a 401. A call ends after `deadline` seconds, or `silence` without a
    byte.
    """

    def make(given: Object) -> Any:
        return _nested_api(given, f"https://{name}.{namespace}:443", dial)

    renew = (lambda: make(reread())) if reread else None
    limits = Limits(f"the API server of {name}", deadline, 0.0, silence, NESTED_LIMIT, NESTED_LIMIT, NESTED_VALUES)
    return Client(Transport(make(secret), renew=renew, guard=guard, limits=limits), fence=fence)


def _nested_api(secret: Object, server: str, dial: Callable[[], socket.socket] | None) -> Any:
    from kubernetes.client.configuration import Configuration

    found = credentials(secret)
    trust = context(found)  # before anything is built from it
    configuration = Configuration(host=server, retries=False)
    configuration.proxy = None
    if found.token:
        configuration.api_key["BearerToken"] = f"Bearer {found.token}"
    api = _api(configuration)
    api.rest_client.pool_manager = _pool(trust, dial)
    return api


def websocket(api: Any, path: str, protocol: str, deadline: float) -> Any:
    """Open a WebSocket to `path` of the server behind `api` within `deadline` seconds, as the same user.

    Raises ApiError TRANSIENT when it cannot be opened. The caller sets the timeout of what follows.
    """
    import websocket as library

    method, url, headers, _, _ = api.param_serialize("GET", path, header_params={}, auth_settings=["BearerToken"])
    del method
    configuration = api.configuration
    made = library.WebSocket(sslopt=_socket_trust(configuration), enable_multithread=True)
    made.settimeout(deadline)
    try:
        made.connect(  # type: ignore[no-untyped-call]
            url.replace("http", "ws", 1),
            header=[f"{key}: {value}" for key, value in headers.items()],
            subprotocols=[protocol],
            timeout=deadline,
            suppress_origin=True,
            **_socket_proxy(configuration),
        )
    except (library.WebSocketException, OSError) as error:
        made.shutdown()  # type: ignore[no-untyped-call]
        raise ApiError(ErrorClass.TRANSIENT, f"no port-forward: {one_line(str(error))[:200]}") from None
    return made


def _socket_trust(configuration: Any) -> dict[str, Any]:
    if not configuration.verify_ssl:
        return {"cert_reqs": ssl.CERT_NONE, "check_hostname": False} | _own_certificate(configuration)
    trust = {"cert_reqs": ssl.CERT_REQUIRED, "ca_certs": configuration.ssl_ca_cert} | _own_certificate(configuration)
    return trust | ({"server_hostname": configuration.tls_server_name} if configuration.tls_server_name else {})


def _own_certificate(configuration: Any) -> dict[str, Any]:
    return {"certfile": configuration.cert_file, "keyfile": configuration.key_file} if configuration.cert_file else {}


def _socket_proxy(configuration: Any) -> dict[str, Any]:
    proxy = urlsplit(configuration.proxy or "")
    if not proxy.hostname:
        return {"http_no_proxy": ["*"]}
    auth = (proxy.username, proxy.password) if proxy.username else None
    no_proxy = [entry.strip() for entry in (configuration.no_proxy or "").split(",") if entry.strip()]
    return {
        "http_proxy_host": proxy.hostname,
        "http_proxy_port": proxy.port,
        "proxy_type": proxy.scheme,
        "http_proxy_auth": auth,
        "http_no_proxy": no_proxy,
    }


def _pool(trust: ssl.SSLContext, dial: Callable[[], socket.socket] | None) -> Any:
    import urllib3

    trust.sslsocket_class = timed.TimedSocket
    pool = urllib3.PoolManager(ssl_context=trust, retries=False, maxsize=NESTED_POOL)
    pool.pool_classes_by_scheme = {"https": _pool_class(dial)}
    return pool


def _pool_class(dial: Callable[[], socket.socket] | None) -> Any:
    """A connection pool class whose connections come from `dial` and say why they could not be made.

    `_new_conn` is what urllib3's own SOCKS support replaces. Nothing was sent while `connect` fails, so what it raises says so.
    """
    from urllib3.connection import HTTPSConnection
    from urllib3.connectionpool import HTTPSConnectionPool
    from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

    class NotConnected(NewConnectionError):
        told = ""

    class Connection(HTTPSConnection):
        def connect(self) -> None:
            try:
                super().connect()
            except ssl.SSLCertVerificationError as error:
                raise self._not(f"could not prove its name: {one_line(error.args[-1], 200)}") from None
            except TimeoutError as error:
                raise ConnectTimeoutError(self, str(error)) from None
            except OSError as error:
                raise self._not(_why(error)) from None

        def _new_conn(self) -> socket.socket:
            if dial is None:
                return super()._new_conn()
            try:
                made = dial()
            except ApiError as error:
                if not timed.current().left:
                    raise TimeoutError from None
                raise self._not(told=error.message) from None
            made.settimeout(self.timeout if isinstance(self.timeout, int | float) else None)
            return made

        def _not(self, what: str = "", told: str = "") -> NotConnected:
            made = NotConnected(self, what)
            made.told = told or f"the API server of {self.host.partition('.')[0]} {what}"
            return made

    class Pool(HTTPSConnectionPool):
        ConnectionCls = Connection

    return Pool


def _why(error: OSError) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "refused the connection"
    if isinstance(error, ConnectionError | ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return "closed the connection"
    return f"could not be reached: {one_line(str(error), 200)}"


def _api(configuration: Any) -> Any:
    from kubernetes.client.api_client import ApiClient

    api = ApiClient(configuration)
    api.user_agent = "nidus"
    return api


def _host_configuration(config: HostConfig) -> Any:
    user = kubeconfig.user(config.kubeconfig, config.context, "--kubeconfig") if config.kubeconfig else None
    from kubernetes.client.configuration import Configuration
    from kubernetes.config.config_exception import ConfigException
    from kubernetes.config.incluster_config import load_incluster_config
    from kubernetes.config.kube_config import load_kube_config

    configuration = Configuration(connection_pool_maxsize=POOL, retries=False)
    configuration.keep_alive = True
    if not config.kubeconfig and not config.context:
        with suppress(ConfigException):
            load_incluster_config(client_configuration=configuration)
            return configuration
    files, named_by = (config.kubeconfig, "--kubeconfig") if config.kubeconfig else _usual_files()
    user = user or kubeconfig.user(files, config.context, named_by)
    try:
        load_kube_config(
            config_file=config.kubeconfig or None,
            context=config.context or None,
            client_configuration=configuration,
            persist_config=False,
        )
    except (ConfigException, OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        told = f"no access to the host cluster by {files}, which {named_by} names: {error}"
        raise UsageError(told, hint=KUBECONFIG_HINT) from None
    if user and user.promised and not _identified(configuration):
        message = f"no credentials came from user {user.name} in {user.file}: nothing is asked as nobody"
        raise UsageError(message, hint="its exec plugin, token or certificate gave none; kubectl auth whoami says more")
    return configuration


def _usual_files() -> tuple[str, str]:
    """Where kubectl looks, too, and what names it: KUBECONFIG, else the file in the home folder."""
    from kubernetes.config.kube_config import KUBE_CONFIG_DEFAULT_LOCATION

    files = str(KUBE_CONFIG_DEFAULT_LOCATION)
    return files, kubeconfig.USUAL if files == "~/.kube/config" else "KUBECONFIG"


def _identified(configuration: Any) -> bool:
    """Whether a request of this configuration says who asks."""
    return bool(configuration.api_key or configuration.username or configuration.cert_file)
