"""Addresses and node ports of Services: given out in order, kept, and refused where they are taken."""

from typing import Any

from tests.memory.core import Core
from tests.memory.kinds import Kind
from tests.memory.refusal import Cause, invalid

Object = dict[str, Any]
SERVICES = ("", "services")
_OUTSIDE = ("NodePort", "LoadBalancer")
FIRST_PORT, LAST_PORT = 30000, 32767


def allocated(core: Core, kind: Kind, old: Object | None, new: Object) -> Object:
    """A Service with its addresses and node ports; anything else as it is. Raises Refusal 422 where one is taken."""
    if kind.resource != SERVICES:
        return new
    spec = dict(new["spec"])
    if spec.get("type") == "ExternalName":
        return {**new, "spec": {name: one for name, one in spec.items() if name not in ("clusterIP", "clusterIPs")}}
    before = (old or {}).get("spec") or {}
    inward = before.get("type") in _OUTSIDE and spec.get("type") not in _OUTSIDE
    if inward and spec.get("externalTrafficPolicy") == before.get("externalTrafficPolicy"):
        spec.pop("externalTrafficPolicy", None)
    others = [one["spec"] for one in core.storage.all(SERVICES) if one["metadata"]["uid"] != new["metadata"].get("uid")]
    _address(kind, new, spec, before, others)
    _ports(kind, new, spec, before, others)
    return {**new, "spec": spec}


def _address(kind: Kind, new: Object, spec: Object, before: Object, others: list[Object]) -> None:
    for name in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"):
        if name in before and not spec.get(name):
            spec[name] = before[name]
    taken = {one.get("clusterIP") for one in others}
    if not spec.get("clusterIP"):
        spec["clusterIP"] = next(one for n in range(1, 65536) if (one := f"10.96.{n // 256}.{n % 256}") not in taken)
    elif spec["clusterIP"] != "None" and spec["clusterIP"] in taken:
        words = f'Invalid value: ["{spec["clusterIP"]}"]: failed to allocate IP {spec["clusterIP"]}: provided IP is already allocated'
        raise invalid(kind.what(new["metadata"]["name"]), [Cause("FieldValueInvalid", words, "spec.clusterIPs")])
    spec.setdefault("clusterIPs", [spec["clusterIP"]])
    spec.setdefault("ipFamilies", ["IPv4"])
    spec.setdefault("ipFamilyPolicy", "SingleStack")


def _ports(kind: Kind, new: Object, spec: Object, before: Object, others: list[Object]) -> None:
    wants = spec.get("type") in _OUTSIDE
    known = {_key(one): one.get("nodePort") for one in before.get("ports", ())}
    taken = {one.get("nodePort") for other in others for one in other.get("ports", ())}
    free = (one for one in range(FIRST_PORT, LAST_PORT + 1) if one not in taken and one not in known.values())
    made = []
    for at, port in enumerate(spec.get("ports", ())):
        number = port.get("nodePort") or (known.get(_key(port)) if wants else None)
        if number and number in taken:
            words = f"Invalid value: {number}: provided port is already allocated"
            field = f"spec.ports[{at}].nodePort"
            raise invalid(kind.what(new["metadata"]["name"]), [Cause("FieldValueInvalid", words, field)])
        if wants and not number:
            number = next(free)
        made.append(
            {**port, "nodePort": number} if number and wants else {k: v for k, v in port.items() if k != "nodePort"}
        )
    if "ports" in spec:
        spec["ports"] = made


def _key(port: Object) -> tuple[Any, ...]:
    return port.get("port"), port.get("protocol", "TCP")
