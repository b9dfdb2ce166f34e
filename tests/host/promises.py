"""What the tests of the safety promises share: small clusters, the command line, UIDs to compare."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Mapping
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any
from unittest.mock import patch

from devhost.api import Client
from reconciler.__main__ import main
from tests.host.field import Field, config_map, namespace, nested_cluster, profile


def write_profile(field: Field, objects: Iterable[Mapping[str, Any]], name: str = "web", **pack: Any) -> None:
    """One profile of one pack of these objects; that of `web` begins with the namespace NAME-web. `pack` goes into the pack."""
    first = [namespace()] if name == "web" else []
    packs = [{"name": "web", "manifests": {"objects": [*first, *map(dict, objects)]}, **pack}]
    field.write(f"profiles/{name}.yaml", profile(name, "1.0.0", packs))


def write_maps(field: Field, *names: str, profile: str = "web") -> None:
    """The same with ConfigMaps of these names."""
    write_profile(field, [config_map(name, text=name) for name in names], profile)


def write_cluster(field: Field, suffix: str = "a", profiles: Iterable[str] = ("web",), **spec: Any) -> str:
    """A cluster of these profiles; returns its name."""
    name = field.cluster(suffix)
    used = [{"name": each, "version": "1.x"} for each in profiles]
    field.write(f"clusters/{suffix}.yaml", nested_cluster(name, **({"profiles": used} if used else {}), **spec))
    return name


def standing(field: Field, *maps: str, **spec: Any) -> tuple[str, Client]:
    """A Ready cluster with these ConfigMaps inside, and an administrator's client of it."""
    write_maps(field, *maps)
    name = write_cluster(field, **spec)
    field.push()
    field.start()
    field.wait(name)
    return name, field.inside(name)


def maps(inside: Client, name: str) -> dict[str, str]:
    """ConfigMaps in NAME-web by name, each with its UID; the ones Kubernetes makes apart."""
    items = inside.list("v1", "ConfigMap", f"{name}-web")["items"]
    found = {item["metadata"]["name"]: item["metadata"]["uid"] for item in items}
    return {key: uid for key, uid in found.items() if key != "kube-root-ca.crt"}


def nidus(field: Field, *words: str, code: int = 0, kubeconfig: Path | None = None) -> str:
    """What the command prints (of one that fails, errors too), as an administrator of the host; in this process, which has imported all
    that a process of its own would import again."""
    flags = ("-n", field.account.namespace, "--kubeconfig", str(kubeconfig or field.account.hosted.kubeconfig))
    out, errors = io.StringIO(), io.StringIO()
    account = {"NIDUS_SERVICE_ACCOUNT": f"{field.account.namespace}:nidus"}
    with patch.dict(os.environ, account), redirect_stdout(out), redirect_stderr(errors):
        found = main([*words, *flags])
    assert found == code, out.getvalue() + errors.getvalue()
    return out.getvalue() if code == 0 else out.getvalue() + errors.getvalue()


def digest(field: Field, cluster: str) -> str:
    """The digest of what is held of the cluster, once its status shows one."""
    return str(field.until("something is held", lambda: field.status(cluster).get("plan", {}).get("digest")))


def condition(field: Field, cluster: str, kind: str = "Ready") -> dict[str, Any]:
    found = field.status(cluster).get("conditions", [])
    return next((one for one in found if one["type"] == kind), {})


def told(field: Field, event: str, **about: str) -> list[dict[str, Any]]:
    """The controller's log lines of one event, about these."""
    assert field.controller
    lines = [line for line in field.controller.lines() if line["event"] == event]
    return [line for line in lines if all(value in str(line.get(key, "")) for key, value in about.items())]
