"""What the host says of how a cluster is exposed: nothing is read of one that is not."""

from collections.abc import Mapping
from typing import Protocol

from reconciler.errors import ApiError, ErrorClass, LeaseLost, NidusError
from reconciler.gather.reader import Key, Reader
from reconciler.kube import secret
from reconciler.kube.client import Client
from reconciler.model import Bundle, Expose, Exposure, Gateway, Object, ObjectRef, Observed, Outside, Sleeping, Target
from reconciler.operations import exposure

GATEWAYS = "gateway.networking.k8s.io"


class Seen(Protocol):
    """What a pass has gathered by now."""

    @property
    def observed(self) -> Mapping[Key, Observed]: ...

    @property
    def sleep(self) -> Sleeping: ...


def read(bundle: Bundle, seen: Seen, reader: Reader, host: Target) -> Outside | None:
    """What is known before the address is tried; None where the cluster is not to be exposed."""
    asks = exposure.of(bundle)
    if asks is None:
        return None
    try:
        if seen.sleep.asleep:
            return Outside(port=_against(asks, bundle, seen.observed, reader, host)[2] if asks.gateway else 0)
        return _read(asks, bundle, seen.observed, reader, host)
    except LeaseLost:
        raise
    except NidusError as error:
        name, port = exposure.target(asks, _service(bundle, seen.observed, host))
        return Outside(Exposure(name, port, "") if name else None, unread=error.told)


def _read(asks: Expose, bundle: Bundle, observed: Mapping[Key, Observed], reader: Reader, host: Target) -> Outside:
    client = reader.client(host)
    reason, message, listens = _against(asks, bundle, observed, reader, host)
    if reason:
        return Outside(reason=reason, message=message, port=listens)
    name, port = exposure.target(asks, _service(bundle, observed, host), listens)
    if not name:
        return Outside(None, *exposure.no_target(asks))
    keys = client.get(ObjectRef("", "Secret", bundle.namespace, f"vc-{bundle.cluster}"))
    if keys is None:
        return Outside(unread="the control plane has no credentials yet", port=listens)
    return Outside(Exposure(name, port, secret.credentials(keys).ca), port=listens)


def _against(
    asks: Expose, bundle: Bundle, observed: Mapping[Key, Observed], reader: Reader, host: Target
) -> tuple[str, str, int]:
    """Reason and message of what the host's class or Gateway says against it, and the port of the Gateway's listener."""
    client = reader.client(host)
    if asks.ingress_class_name:
        ingress = _live(ObjectRef("networking.k8s.io", "Ingress", bundle.namespace, bundle.cluster), observed, host)
        found = client.get(ObjectRef("networking.k8s.io", "IngressClass", "", asks.ingress_class_name))
        return *exposure.of_class(asks, found, ingress), 0
    if asks.gateway is not None:
        route = _live(ObjectRef(GATEWAYS, "TLSRoute", bundle.namespace, bundle.cluster), observed, host)
        return exposure.of_gateway(asks, _gateway(asks.gateway, client), route)
    return "", "", 0


def _gateway(asks: Gateway, client: Client) -> Object | None:
    """None where it is not there, or its kind is not. Raises ApiError."""
    try:
        return client.get(ObjectRef(GATEWAYS, "Gateway", asks.namespace, asks.name))
    except ApiError as error:
        if error.kind is ErrorClass.KIND_MISSING:
            return None
        raise


def _service(bundle: Bundle, observed: Mapping[Key, Observed], host: Target) -> Object | None:
    return _live(ObjectRef("", "Service", bundle.namespace, bundle.cluster), observed, host)


def _live(ref: ObjectRef, observed: Mapping[Key, Observed], host: Target) -> Object | None:
    seen = observed.get((host, ref))
    return seen.live if seen is not None else None
