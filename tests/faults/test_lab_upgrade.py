"""A walk over two minors on a real host, whose API server inside says the version that a test lets it say (O11)."""

import json
import re
from typing import Any

import pytest
import yaml

from tests.faults.lab import Lab
from tests.faults.proxy import Exchange, Request
from tests.host.promises import write_cluster, write_maps

pytestmark = [pytest.mark.host, pytest.mark.long]
FIRST, SECOND, THIRD = "v1.34.0", "v1.35.0", "v1.36.0"
_TAG = re.compile(r"/kubernetes:(v[0-9.]+)")


def test_each_step_waits_until_the_api_server_inside_is_of_the_one_before(lab: Lab) -> None:
    offer(lab, FIRST, SECOND, THIRD)
    write_maps(lab, "kept")
    name = write_cluster(lab, kubernetes={"version": FIRST}, upgrade={"steps": "Auto"})
    lab.push()
    lab.start()
    lab.wait(name)
    assert asked(lab, name) == FIRST
    stuck = [FIRST]  # what it says, as long as there is something

    def version(one: Exchange) -> None:
        answer = one.forward()
        told = stuck[0] if stuck else asked(lab, name)
        one.say(answer.status, json.dumps({**json.loads(answer.body), "gitVersion": told}).encode())

    with lab.nested(name) as nested, nested.fault(is_version, version):
        write_cluster(lab, kubernetes={"version": THIRD}, upgrade={"steps": "Auto"})
        commit = lab.push("two minors")
        says = f"the nested API server says {FIRST}, and not {SECOND} yet"
        lab.until("the first step is under way and not done", lambda: says in layer(lab, name)["message"], seconds=120)
        assert f"step to engine 0.36.1, Kubernetes {SECOND}" in layer(lab, name)["message"]
        assert asked(lab, name) == SECOND
        assert lab.status(name)["versions"]["kubernetes"] == FIRST
        lab.quiet()
        assert asked(lab, name) == SECOND, "the next never begins"

        stuck.clear()
        lab.until("the second step", lambda: asked(lab, name) == THIRD, seconds=120)
        lab.wait_applied(name, commit, seconds=120)
        lab.until("it is on record", lambda: lab.status(name)["versions"]["kubernetes"] == THIRD)
        lab.wait(name)
    assert lab.inside(name).get("v1", "ConfigMap", "kept", f"{name}-web") is not None


def is_version(one: Request) -> bool:
    return one.path == "/version"


def layer(lab: Lab, name: str) -> dict[str, Any]:
    """The engine's layer in the status."""
    found = {one["name"]: one for one in lab.status(name).get("layers", [])}
    return {"message": "", **found.get("engine", {})}


def asked(lab: Lab, name: str) -> str:
    """The version that the control plane is of."""
    live = lab.admin.get("apps/v1", "StatefulSet", name, f"vcluster-{name}")
    found = _TAG.search(str(live and live["spec"]))
    return found[1] if found else ""


def offer(lab: Lab, *versions: str) -> None:
    """What the operator offers, from the next start on."""
    config = yaml.safe_load(lab.stage.config.read_text())
    config["spec"]["engine"]["kubernetesVersions"] = list(versions)
    lab.stage.config.write_text(yaml.safe_dump(config))
