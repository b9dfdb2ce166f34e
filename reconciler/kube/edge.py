"""Where the official client is configured: the only file that imports `kubernetes`, and only when a client is made.

Importing it costs about 200 ms, so nothing here runs at import time.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from reconciler.errors import UsageError
from reconciler.kube.client import Client, no_fence
from reconciler.kube.transport import Transport
from reconciler.model import HostConfig

POOL = 64  # connections kept: workers, watches and the Lease share them
KUBECONFIG_HINT = "set spec.host.kubeconfig, or KUBECONFIG, or run inside the cluster"


def host(config: HostConfig, deadline: float = 10.0, *, fence: Callable[[], None] = no_fence) -> Client:
    """A client of the host cluster: `config.kubeconfig`, else in-cluster, else the usual KUBECONFIG rules.

    Raises UsageError when no usable configuration is found. Nothing is sent yet.
    """

    def make() -> Any:
        return _api(_host_configuration(config))

    return Client(Transport(make(), renew=make, deadline=deadline), fence=fence)


def _api(configuration: Any) -> Any:
    from kubernetes.client.api_client import ApiClient

    api = ApiClient(configuration)
    api.user_agent = "nidus"
    return api


def _host_configuration(config: HostConfig) -> Any:
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
    try:
        load_kube_config(
            config_file=config.kubeconfig or None,
            context=config.context or None,
            client_configuration=configuration,
            persist_config=False,
        )
    except (ConfigException, OSError, ValueError) as error:
        raise UsageError(f"no access to the host cluster: {error}", hint=KUBECONFIG_HINT) from None
    return configuration
