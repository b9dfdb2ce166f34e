"""Makes clients. The only file that imports `kubernetes`: for credentials that renew themselves, and for what else is not plain
(`kube.plain`). Importing it costs about 200 ms, so it is done when such a client is made.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from reconciler.errors import ApiError, ErrorClass, UsageError, one_line, printable
from reconciler.kube import kubeconfig, plain
from reconciler.kube.client import Client, no_fence
from reconciler.kube.transport import USUAL, Guard, Limits, Transport
from reconciler.model import HostConfig, Object

if TYPE_CHECKING:
    import socket

NESTED_SILENCE = 5.0  # seconds without a byte after which a nested API server counts as hung
NESTED_LIMIT = 64 << 20  # bytes of one answer of a nested API server, and of all pages of a list, which might never end
NESTED_VALUES = 4_000_000  # values in it: some hundred MiB once they are decoded
KUBECONFIG_HINT = "set spec.host.kubeconfig, or KUBECONFIG, or run inside the cluster"


def host(
    config: HostConfig,
    deadline: float = 10.0,
    *,
    fence: Callable[[], None] = no_fence,
    named: Callable[[str], str] = lambda address: USUAL.name,
) -> Client:
    """A client of the host cluster: `config.kubeconfig`, else in-cluster, else the usual KUBECONFIG rules. `named` gives what errors call
    it, from its address (`address`).

    Raises UsageError when no usable configuration is found. Nothing is sent yet.
    """

    def make() -> Any:
        return _host_api(config)

    api = make()
    limits = Limits(named(address(_told(api)["server"])[:200]), deadline)
    return Client(Transport(api, renew=make, limits=limits), fence=fence)


def server(client: Client) -> str:
    """The address that `client` talks to, as `address` shows it."""
    return address(_told(client.transport.api)["server"])


def address(server: object) -> str:
    """An address to show, on one line: without a name and a password that may stand before the host."""
    scheme, found, rest = str(server).partition("://")
    return printable(f"{scheme}{found}{rest.rpartition('@')[2]}")


def entry(client: Client) -> Mapping[str, Any]:
    """The server that `client` talks to, as a kubeconfig names it."""
    return {key: value for key, value in _told(client.transport.api).items() if value}


def _told(api: Any) -> dict[str, Any]:
    return _plain_entry(api.access) if isinstance(api, plain.Api) else _entry(api.configuration)


def _plain_entry(access: plain.Access) -> dict[str, Any]:
    authority = base64.b64encode(access.authority.encode()).decode()
    told = {"server": access.server, "certificate-authority-data": authority}
    return {**told, "insecure-skip-tls-verify": not access.verify, "tls-server-name": access.name}


def _entry(configuration: Any) -> dict[str, Any]:
    file = configuration.ssl_ca_cert
    return {
        "server": configuration.host,
        "certificate-authority-data": base64.b64encode(Path(file).read_bytes()).decode() if file else "",
        "insecure-skip-tls-verify": not configuration.verify_ssl,
        "tls-server-name": configuration.tls_server_name,
        "proxy-url": configuration.proxy,
    }


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
    from reconciler.kube import dialled
    from reconciler.kube.secret import context, credentials

    found = credentials(secret)
    trust = context(found)  # before anything is sent
    return plain.Api(plain.Access(server, token=found.token), lambda: dialled.pool(trust, dial))


def websocket(api: Any, path: str, protocol: str, deadline: float) -> Any:
    """Open a WebSocket to `path` of the server behind `api` within `deadline` seconds, as the same user.

    Raises ApiError TRANSIENT when it cannot be opened. The caller sets the timeout of what follows.
    """
    import websocket as library

    method, url, headers, _, _ = api.param_serialize("GET", path, header_params={}, auth_settings=["BearerToken"])
    del method
    try:
        trust, proxy = _socket_means(api)
    except (OSError, ValueError) as error:  # a certificate or key that nobody can use
        raise ApiError(ErrorClass.TRANSIENT, f"no port-forward: {one_line(str(error))[:200]}") from None
    made = library.WebSocket(sslopt=trust, enable_multithread=True)
    made.settimeout(deadline)
    try:
        made.connect(  # type: ignore[no-untyped-call]
            url.replace("http", "ws", 1),
            header=[f"{key}: {value}" for key, value in headers.items()],
            subprotocols=[protocol],
            timeout=deadline,
            suppress_origin=True,
            **proxy,
        )
    except (library.WebSocketException, OSError) as error:
        made.shutdown()  # type: ignore[no-untyped-call]
        raise ApiError(ErrorClass.TRANSIENT, f"no port-forward: {one_line(str(error))[:200]}") from None
    return made


def _socket_means(api: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The library's options for TLS, and for a proxy."""
    if not isinstance(api, plain.Api):
        return _socket_trust(api.configuration), _socket_proxy(api.configuration)
    name = {"server_hostname": api.access.name} if api.access.name else {}
    is_open = api.access.server.startswith("http:")
    return {} if is_open else {"context": api.trust(), **name}, {"http_no_proxy": ["*"]}


def _socket_trust(configuration: Any) -> dict[str, Any]:
    import ssl

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


def _api(configuration: Any) -> Any:
    from kubernetes.client.api_client import ApiClient

    api = ApiClient(configuration)
    api.user_agent = "nidus"
    plain.closing(api.rest_client.pool_manager)
    return api


def _host_api(config: HostConfig) -> Any:
    """By the official client in a pod, whose token is renewed, and for what is not plain."""
    if not config.kubeconfig and not config.context and kubeconfig.in_pod():
        from kubernetes.config.config_exception import ConfigException
        from kubernetes.config.incluster_config import load_incluster_config

        with suppress(ConfigException):
            configuration = _configuration()
            load_incluster_config(client_configuration=configuration)
            return _api(configuration)
    files, named_by = (config.kubeconfig, "--kubeconfig") if config.kubeconfig else kubeconfig.usual()
    chosen = kubeconfig.chosen(files, config.context, named_by)
    access = kubeconfig.access(chosen)
    return plain.Api(access) if access else _api(_loaded(config, files, named_by, chosen.user))


def _configuration() -> Any:
    from kubernetes.client.configuration import Configuration

    configuration = Configuration(connection_pool_maxsize=plain.POOL, retries=False)
    configuration.keep_alive = True
    return configuration


def _loaded(config: HostConfig, files: str, named_by: str, user: kubeconfig.User | None) -> Any:
    from kubernetes.config.config_exception import ConfigException
    from kubernetes.config.kube_config import load_kube_config

    configuration = _configuration()
    try:
        load_kube_config(
            config_file=files,
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


def _identified(configuration: Any) -> bool:
    """Whether a request of this configuration says who asks."""
    return bool(configuration.api_key or configuration.username or configuration.cert_file)
