"""`nidus connect` on a real host: the context leads into a real nested cluster, also after its control plane was made anew, and
`nidus render` printed what the cluster was given."""

import json
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from reconciler.errors import ApiError
from reconciler.kube import edge
from reconciler.model import HostConfig, ObjectRef
from tests.host.field import Field
from tests.host.promises import standing

pytestmark = pytest.mark.host


@pytest.mark.long
def test_connect_leads_into_the_cluster(own_field: Field, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    name, _ = standing(own_field, "hello")
    file = tmp_path / "config"
    monkeypatch.setenv("KUBECONFIG", str(own_field.account.hosted.kubeconfig))
    told = _typed("connect", name, "--into", str(file), "-n", own_field.account.namespace)
    assert told.startswith(f"context nidus_{name} written; forward held by pid")
    try:
        assert _data(file, name) == _rendered(own_field, name) == {"text": "hello"}
        _remake_the_control_plane(own_field, name)
        own_field.until("it answers again", lambda: _data(file, name))
    finally:
        assert "ended" in _typed("disconnect", name, "--into", str(file))
    assert name not in file.read_text()


def _remake_the_control_plane(field: Field, name: str) -> None:
    for pod in field.admin.list("v1", "Pod", f"vcluster-{name}", labels=f"app=vcluster,release={name}")["items"]:
        field.admin.delete("v1", "Pod", pod["metadata"]["name"], f"vcluster-{name}")


def _data(file: Path, name: str) -> Any:
    """What the ConfigMap inside holds, through the context; None while nothing answers."""
    try:
        with closing(edge.host(HostConfig(kubeconfig=str(file), context=f"nidus_{name}"))) as inside:
            found = inside.get(ObjectRef("", "ConfigMap", f"{name}-web", "hello"))
    except ApiError:
        return None
    return found and found["data"]


def _rendered(field: Field, name: str) -> Any:
    work = str(field.stage.repository.work)
    layers = json.loads(_typed("render", name, "web/web", "--folder", work, "-o", "json"))["layers"]
    return next(one["data"] for one in layers[0]["objects"] if one["metadata"]["name"] == "hello")


def _typed(*words: str) -> str:
    """What a verb prints as a process of its own."""
    done = subprocess.run([sys.executable, "-m", "reconciler", *words], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout
