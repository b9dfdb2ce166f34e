"""Histories for the differential test: random calls over a few names, so that they meet."""

import random
from collections.abc import Callable
from typing import Any

from devhost.api import path_of as path
from tests.host.differential import APPLY, JSON, MERGE, Object, Step, chance

MANAGERS = ("alpha", "beta", "gamma")
NAMES = ("one", "two", "three")
GROUP = "differential.nidus.dev"

_ITEM = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": {"type": "string"},
        "proto": {"type": "string", "default": "TCP"},
        "size": {"type": "integer"},
        "tags": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
    },
}
_SPEC = {
    "type": "object",
    "properties": {
        "plain": {"type": "string"},
        "count": {"type": "integer"},
        "flag": {"type": "boolean"},
        "either": {"x-kubernetes-int-or-string": True},
        "replicas": {"type": "integer"},
        "items": {
            "type": "array", "items": _ITEM,
            "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name", "proto"],
        },
        "set": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
        "atoms": {"type": "array", "items": {"type": "string"}},
        "whole": {"type": "object", "additionalProperties": {"type": "string"}, "x-kubernetes-map-type": "atomic"},
        "loose": {"type": "object", "additionalProperties": {"type": "string"}},
        "deep": {"type": "object", "properties": {
            "a": {"type": "string"}, "b": {"type": "object", "properties": {"c": {"type": "string"}, "d": {"type": "string"}}},
        }},
        "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        "defaulted": {"type": "string", "default": "d"},
    },
}  # fmt: skip
_STATUS = {
    "type": "object",
    "properties": {
        "ready": {"type": "boolean"},
        "replicas": {"type": "integer"},
        "conditions": {
            "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"],
            "items": {"type": "object", "required": ["type"], "properties": {"type": {"type": "string"}, "status": {"type": "string"}}},
        },
    },
}  # fmt: skip


def crd(kind: str, scope: str = "Namespaced", **subresources: Any) -> Object:
    """A definition whose objects have every form of list and map."""
    plural = f"{kind.lower()}s"
    schema = {"type": "object", "properties": {"spec": _SPEC, "status": _STATUS}}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP, "scope": scope, "names": {"kind": kind, "plural": plural, "singular": kind.lower(), "listKind": f"{kind}List"},
            "versions": [version | ({"subresources": subresources} if subresources else {})],
        },
    }  # fmt: skip


SCALE = {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}
CRDS = (crd("Widget", status={}, scale=SCALE), crd("Gadget"))

Dice = random.Random


def some(dice: Dice, **of: Callable[[], Any]) -> Object:
    """A part of these fields."""
    return {name: make() for name, make in of.items() if chance(dice, 0.45)}


def word(dice: Dice) -> str:
    return dice.choice(("a", "b", "c"))


def words(dice: Dice, most: int = 3) -> list[str]:
    return dice.sample(("a", "b", "c", "d"), dice.randint(0, most))


def strings(dice: Dice) -> Object:
    return {name: word(dice) for name in words(dice)}


# Bodies


def config_map(dice: Dice) -> Object:
    body = some(dice, data=lambda: strings(dice))
    return body | ({"immutable": dice.choice((True, False))} if chance(dice, 0.08) else {})


def secret(dice: Dice) -> Object:
    body = some(dice, data=lambda: dict.fromkeys(words(dice), "YQ=="), stringData=lambda: strings(dice))
    return body | ({"type": dice.choice(("Opaque", "example.com/x"))} if chance(dice, 0.3) else {})


def service(dice: Dice) -> Object:
    def port() -> Object:
        number = dice.choice((80, 81, 82))
        made: Object = {"port": number, "name": f"p{number}"}
        more = some(dice, protocol=lambda: dice.choice(("TCP", "UDP")), targetPort=lambda: dice.choice((8080, "http")))
        made |= more
        if more.get("protocol") == "UDP":
            made["name"] += "u"
        return made

    ports = {(one["port"], one.get("protocol", "TCP")): one for one in (port() for _ in range(dice.randint(1, 3)))}
    spec = {
        "ports": list(ports.values()),
        **some(dice, selector=lambda: strings(dice), sessionAffinity=lambda: dice.choice(("None", "ClientIP"))),
    }
    if chance(dice, 0.15):
        spec["type"] = dice.choice(("ClusterIP", "NodePort"))
    return {"spec": spec}


def deployment(dice: Dice) -> Object:
    def container(name: str) -> Object:
        made: Object = {"name": name, "image": f"image:{word(dice)}"}
        return made | some(
            dice,
            env=lambda: [{"name": one, "value": word(dice)} for one in words(dice)],
            ports=lambda: [{"containerPort": one} for one in dice.sample((80, 81, 82), dice.randint(1, 2))],
            args=lambda: words(dice),
            resources=lambda: {"requests": {"cpu": dice.choice(("100m", "1"))}},
        )

    label = dice.choice(("a", "a", "a", "b"))
    names = dice.sample(("x", "y", "z"), dice.randint(1, 2))
    template = {"metadata": {"labels": {"app": label}}, "spec": {"containers": [container(name) for name in names]}}
    spec = {"selector": {"matchLabels": {"app": label}}, "template": template}
    return {"spec": spec | some(dice, replicas=lambda: dice.randint(0, 3), minReadySeconds=lambda: dice.randint(0, 3))}


def stateful_set(dice: Dice) -> Object:
    made: Object = deployment(dice)
    spec = {name: one for name, one in made["spec"].items() if name != "minReadySeconds"}
    return {"spec": {**spec, "serviceName": dice.choice(("s", "s", "s", "t"))}}


def role(dice: Dice) -> Object:
    def rule() -> Object:
        return {
            "apiGroups": [""],
            "resources": ["pods"],
            "verbs": dice.sample(("get", "list", "watch"), dice.randint(1, 3)),
        }

    return {"rules": [rule() for _ in range(dice.randint(0, 2))]} if chance(dice, 0.8) else {}


def role_binding(dice: Dice) -> Object:
    roles = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": dice.choice(("r", "r", "r", "s"))}
    subjects = [{"kind": "ServiceAccount", "name": one, "namespace": "default"} for one in words(dice)]
    return {"roleRef": roles} | ({"subjects": subjects} if chance(dice, 0.6) else {})


def network_policy(dice: Dice) -> Object:
    peer = {"podSelector": {"matchLabels": strings(dice)}}
    spec = some(
        dice,
        ingress=lambda: dice.choice(([{}], [{"from": [peer]}])),
        egress=lambda: dice.choice(([{}], [{"to": [peer], "ports": [{"port": 53}]}])),
        policyTypes=lambda: dice.choice((["Ingress"], ["Egress"], ["Ingress", "Egress"])),
    )
    return {"spec": {"podSelector": dice.choice(({}, {"matchLabels": strings(dice)})), **spec}}


def service_account(dice: Dice) -> Object:
    return some(
        dice,
        secrets=lambda: [{"name": one} for one in words(dice)],
        imagePullSecrets=lambda: [{"name": one} for one in words(dice)],
        automountServiceAccountToken=lambda: dice.choice((True, False)),
    )


def quota(dice: Dice) -> Object:
    return {
        "spec": {
            "hard": {
                name: dice.choice(("1", "2")) for name in dice.sample(("pods", "cpu", "memory"), dice.randint(0, 2))
            }
        }
    }


def limit_range(dice: Dice) -> Object:
    return {
        "spec": {
            "limits": [
                {
                    "type": "Container",
                    **some(dice, default=lambda: {"cpu": "1"}, defaultRequest=lambda: {"cpu": "100m"}),
                }
            ]
        }
    }


def budget(dice: Dice) -> Object:
    return {
        "spec": {
            "selector": {"matchLabels": strings(dice)},
            **some(dice, maxUnavailable=lambda: dice.choice((1, "50%"))),
        }
    }


def ingress(dice: Dice) -> Object:
    backend = {"service": {"name": word(dice), "port": {"number": 80}}}
    rule = {
        "host": f"{word(dice)}.example.com",
        "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]},
    }
    return {"spec": {"rules": [rule], **some(dice, ingressClassName=lambda: word(dice))}}


def custom(dice: Dice) -> Object:
    def items() -> list[Object]:
        found = {}
        for _ in range(dice.randint(0, 3)):
            one = {
                "name": word(dice),
                **some(
                    dice,
                    proto=lambda: dice.choice(("TCP", "UDP")),
                    size=lambda: dice.randint(1, 3),
                    tags=lambda: words(dice),
                ),
            }
            found[one["name"], one.get("proto", "TCP")] = one
        return list(found.values())

    spec = some(
        dice,
        plain=lambda: word(dice),
        count=lambda: dice.randint(0, 3),
        flag=lambda: dice.choice((True, False)),
        either=lambda: dice.choice((1, "x")),
        replicas=lambda: dice.randint(0, 3),
        items=items,
        set=lambda: words(dice),
        atoms=lambda: words(dice),
        whole=lambda: strings(dice),
        loose=lambda: strings(dice),
        deep=lambda: some(dice, a=lambda: word(dice), b=lambda: some(dice, c=lambda: word(dice), d=lambda: word(dice))),
        open=lambda: dice.choice(({}, {"x": 1}, {"x": {"y": [1, {"z": 2}]}})),
    )
    if chance(dice, 0.04):
        spec["unknown"] = 1
    return {"spec": spec} if chance(dice, 0.95) else {}


def custom_status(dice: Dice) -> Object:
    return {
        "status": some(
            dice,
            ready=lambda: dice.choice((True, False)),
            replicas=lambda: dice.randint(0, 3),
            conditions=lambda: [{"type": one, "status": word(dice)} for one in words(dice)],
        )
    }


def workload_status(dice: Dice) -> Object:
    return {"status": some(dice, observedGeneration=lambda: dice.randint(1, 3), replicas=lambda: dice.randint(0, 3))}


STATUSES = {"Widget": custom_status, "Deployment": workload_status, "StatefulSet": workload_status}

Make = Callable[[Dice], Object]
KINDS: tuple[tuple[str, str, Make, int], ...] = (
    ("v1", "ConfigMap", config_map, 6),
    ("v1", "Secret", secret, 3),
    ("v1", "Service", service, 4),
    ("apps/v1", "Deployment", deployment, 4),
    ("apps/v1", "StatefulSet", stateful_set, 2),
    ("rbac.authorization.k8s.io/v1", "Role", role, 2),
    ("rbac.authorization.k8s.io/v1", "RoleBinding", role_binding, 2),
    ("networking.k8s.io/v1", "NetworkPolicy", network_policy, 2),
    ("networking.k8s.io/v1", "Ingress", ingress, 1),
    ("v1", "ServiceAccount", service_account, 2),
    ("v1", "ResourceQuota", quota, 1),
    ("v1", "LimitRange", limit_range, 1),
    ("policy/v1", "PodDisruptionBudget", budget, 1),
    (f"{GROUP}/v1", "Widget", custom, 8),
    (f"{GROUP}/v1", "Gadget", custom, 4),
)


# Steps


def history(dice: Dice, namespace: str, length: int) -> list[Step]:
    """Steps over one or two kinds in one namespace."""
    kinds = dice.choices(KINDS, [one[3] for one in KINDS], k=dice.choice((1, 1, 2)))
    names = NAMES[: dice.choice((1, 1, 2, 3))]
    return [_step(dice, *dice.choice(kinds)[:3], namespace, dice.choice(names)) for _ in range(length)]


def _step(dice: Dice, api: str, kind: str, make: Make, namespace: str, name: str) -> Step:
    acts = (_apply, _create, _replace, _patch, _delete, _get, _list, _scale, _home)
    act = dice.choices(acts, (50, 8, 14, 8, 7, 6, 7, 3, 0.3))[0]
    return act(dice, api, kind, make, namespace, name)


def _object(dice: Dice, api: str, kind: str, make: Make, name: str) -> Object:
    meta: Object = {"name": name}
    meta |= some(dice, labels=lambda: strings(dice), annotations=lambda: strings(dice))
    if chance(dice, 0.12):
        meta["finalizers"] = dice.choice((["example.com/x"], ["example.com/x", "example.com/y"], []))
    return {"apiVersion": api, "kind": kind, "metadata": meta, **make(dice)}


def _common(dice: Dice) -> dict[str, str]:
    query = {"fieldManager": dice.choice(MANAGERS), "fieldValidation": "Strict"}
    return query | ({"dryRun": "All"} if chance(dice, 0.08) else {})


def _apply(dice: Dice, api: str, kind: str, make: Make, namespace: str, name: str) -> Step:
    sub = ""
    body = _object(dice, api, kind, make, name)
    if kind in STATUSES and chance(dice, 0.25):
        sub = "status"
        body |= STATUSES[kind](dice)
    query = _common(dice) | ({"force": "true"} if chance(dice, 0.35) else {})
    if chance(dice, 0.12):
        body["metadata"]["uid"] = dice.choice(("$uid", "00000000-1111-2222-3333-444444444444"))
    if chance(dice, 0.05):
        body["metadata"]["resourceVersion"] = dice.choice(("$version", "$old"))
    home = f"{namespace}-gone" if chance(dice, 0.02) else namespace
    return Step("PATCH", path(api, kind, home, name, sub), tuple(query.items()), body, APPLY)


def _create(dice: Dice, api: str, kind: str, make: Make, namespace: str, name: str) -> Step:
    home = f"{namespace}-gone" if chance(dice, 0.05) else namespace
    body = _object(dice, api, kind, make, name)
    return Step("POST", path(api, kind, home), tuple(_common(dice).items()), body)


def _replace(dice: Dice, api: str, kind: str, make: Make, namespace: str, name: str) -> Step:
    body = _object(dice, api, kind, make, name)
    sub = ""
    if kind in STATUSES and chance(dice, 0.25):
        sub, body = "status", body | STATUSES[kind](dice)
    version = dice.choice(("$version", "$version", "$version", "$old", ""))
    if version:
        body["metadata"]["resourceVersion"] = version
    if chance(dice, 0.1):
        body["metadata"]["uid"] = dice.choice(("$uid", "00000000-1111-2222-3333-444444444444"))
    return Step("PUT", path(api, kind, namespace, name, sub), tuple(_common(dice).items()), body, JSON)


def _patch(dice: Dice, api: str, kind: str, make: Make, namespace: str, name: str) -> Step:
    body: Object = {"metadata": some(dice, labels=lambda: {word(dice): dice.choice(("a", "b", None))})}
    if chance(dice, 0.5):
        body["metadata"]["finalizers"] = dice.choice((None, [], ["example.com/x"]))
    if kind in ("ConfigMap", "Secret"):
        body["data"] = {word(dice): dice.choice(("YQ==", "Yg==", None))}
    elif kind in ("Widget", "Gadget"):
        body["spec"] = {dice.choice(("plain", "loose", "deep")): None} | some(
            dice, set=lambda: words(dice), loose=lambda: {word(dice): None}
        )
    return Step("PATCH", path(api, kind, namespace, name), tuple(_common(dice).items()), body, MERGE)


def _delete(dice: Dice, api: str, kind: str, make: Make, namespace: str, name: str) -> Step:
    body: Object = {"kind": "DeleteOptions", "apiVersion": "v1"} | some(
        dice,
        propagationPolicy=lambda: dice.choice(("Background", "Background", "Foreground", "Orphan")),
        preconditions=lambda: {"uid": dice.choice(("$uid", "$uid", "00000000-1111-2222-3333-444444444444"))},
    )
    return Step("DELETE", path(api, kind, namespace, name), (), body, JSON)


def _get(dice: Dice, api: str, kind: str, make: Make, namespace: str, name: str) -> Step:
    return Step("GET", path(api, kind, namespace, name))


def _list(dice: Dice, api: str, kind: str, make: Make, namespace: str, name: str) -> Step:
    query = some(
        dice,
        limit=lambda: str(dice.randint(1, 2)),
        labelSelector=lambda: dice.choice(("a", "a=a", "a!=a", "!a", "a in (a,b)", "a notin (a),b", "a=a,b=b")),
    )
    query |= {"continue": "$next", "limit": "1"} if chance(dice, 0.2) else {}
    return Step("GET", path(api, kind, namespace), tuple((key, value) for key, value in query.items()))


def _scale(dice: Dice, api: str, kind: str, make: Make, namespace: str, name: str) -> Step:
    if kind not in ("Deployment", "StatefulSet"):
        return _get(dice, api, kind, make, namespace, name)
    where = path(api, kind, namespace, name, "scale")
    body = {
        "apiVersion": "autoscaling/v1",
        "kind": "Scale",
        "metadata": {"name": name},
        "spec": {"replicas": dice.randint(0, 3)},
    }
    if chance(dice, 0.3):
        return Step("GET", where)
    query = _common(dice) | ({"force": "true"} if chance(dice, 0.5) else {})
    return Step("PATCH", where, tuple(query.items()), body, APPLY)


def _home(dice: Dice, api: str, kind: str, make: Make, namespace: str, name: str) -> Step:
    """The namespace itself goes; nothing empties it, since no controller runs."""
    return Step("DELETE", path("v1", "Namespace", "", namespace))
