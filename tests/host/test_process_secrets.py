"""Secret values stay where they belong: no sink of ours ever shows one (P5, SEC), and the command line on a live host."""

import base64
import json
import os
import pty
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.host.field import Field, config_map, namespace, nested_cluster, profile

pytestmark = pytest.mark.host

CANARY = "canary-in-a-chart-7f3a"
LITERAL = "canary-in-a-file-91bc"
CHART = {
    "Chart.yaml": "apiVersion: v2\nname: login\nversion: 1.0.0\n",
    "templates/secret.yaml": """\
apiVersion: v1
kind: Secret
metadata: {name: login, namespace: {{ .Values.namespace }}}
stringData: {password: "{{ .Values.prefix }}-7f3a"}
""",
}


def nidus(field: Field, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "KUBECONFIG": str(field.account.kubeconfig), "NO_COLOR": "", **environment}
    command = [sys.executable, "-m", "reconciler", *words, "-n", field.account.namespace]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)


def with_a_secret(field: Field) -> str:
    for path, text in CHART.items():
        field.write(f"profiles/login/{path}", text)
    values = {"namespace": "${{ cluster.name }}-web", "prefix": CANARY.removesuffix("-7f3a")}
    packs: list[dict[str, Any]] = [
        {"name": "web", "manifests": {"objects": [namespace(), config_map("greeting", text="hello")]}},
        {"name": "login", "helm": {"chart": {"path": "login"}, "releaseName": "login", "values": values}},
    ]
    field.write("profiles/web.yaml", profile("web", "1.0.0", packs))
    name = field.cluster()
    field.write("clusters/a.yaml", nested_cluster(name, profiles=[{"name": "web", "version": "1.0.0"}]))
    return name


def everywhere(field: Field) -> str:
    """All we say anywhere, as one text: log, reports, status objects, events, records, metrics."""
    assert field.controller
    admin, home = field.admin, field.account.namespace
    kinds = [("nidus.dev/v1alpha1", "NestedCluster"), ("nidus.dev/v1alpha1", "Source"), ("events.k8s.io/v1", "Event")]
    said = [json.dumps(admin.list(api, kind, home)) for api, kind in [*kinds, ("v1", "ConfigMap")]]
    said += [json.dumps(field.controller.get(path)) for path in ("/api/v1/clusters", "/api/v1/sources", "/metrics")]
    return "\n".join([field.controller.log.read_text(), *said])


def test_canaries_never_show(shared_field: Field) -> None:
    field = shared_field
    name = with_a_secret(field)
    field.push()
    field.start()
    field.wait(name)
    inside = field.inside(name)
    live = inside.get("v1", "Secret", "login", f"{name}-web")
    assert live and base64.b64decode(live["data"]["password"]).decode() == CANARY

    assert field.controller is not None
    assert field.controller.stop() == 0  # else it may put the drift back before `plan` has looked
    changed = base64.b64encode(b"canary-by-hand-55aa").decode()
    inside.patch("v1", "Secret", "login", f"{name}-web", {"data": {"password": changed}})
    literal = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x"}, "stringData": {"p": LITERAL}}
    field.write("profiles/bad.yaml", profile("bad", "1.0.0", [{"name": "x", "manifests": {"objects": [literal]}}]))
    planned = [
        nidus(field, "plan", str(field.stage.repository.work), "--config", str(field.stage.config), "--all", *form)
        for form in (("--detail",), ("-o", "json"))
    ]
    assert "login" in planned[0].stdout and "profiles/bad.yaml" in planned[0].stderr
    validated = nidus_validate(field)
    field.start()
    commit = field.push("with a secret in a file")
    field.wait_read(commit)
    shown = [nidus(field, "status", *form) for form in ((name,), ("-o", "json"), ("-o", "wide"))]
    secret = field.admin.get("v1", "Secret", f"vc-{name}", f"vcluster-{name}")
    assert secret
    said = everywhere(field) + validated + "".join(one.stdout + one.stderr for one in planned + shown)
    canaries = [
        CANARY,
        LITERAL,
        "canary-by-hand-55aa",
        (field.stage.folder / "webhook-secret").read_text().strip(),
        base64.b64decode(secret["data"]["client-key"]).decode().splitlines()[1],
        yaml.safe_load(field.account.kubeconfig.read_text())["users"][0]["user"]["token"],
    ]
    for canary in canaries:
        for form in (canary, base64.b64encode(canary.encode()).decode().rstrip("=")[:-1]):
            assert form not in said, canary[:12]
    assert secret["data"]["client-key"][:60] not in said


def nidus_validate(field: Field) -> str:
    """The caret line shows what was written, so a line with a literal secret must not be echoed."""
    command = [sys.executable, "-m", "reconciler", "validate", str(field.stage.repository.work)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    return done.stdout + done.stderr


@pytest.mark.long
def test_status_in_every_form(shared_field: Field) -> None:
    """Tables, JSON, YAML, names; colours only on a terminal; watching; a pipe that closes."""
    field = shared_field
    name = with_a_secret(field)
    field.push()
    field.start()
    field.wait(name)
    table = nidus(field, "status")
    assert table.returncode == 0 and "\x1b" not in table.stdout
    rows = [line.split()[0] for line in table.stdout.splitlines() if line]
    assert rows[0] == "CONTROLLER" and "RENDERING" in rows
    assert rows[-4:] == ["SOURCE", "platform", "NAME", name]
    assert json.loads(nidus(field, "status", "-o", "json").stdout)["clusters"][0]["status"]["status"] == "Ready"
    assert yaml.safe_load(nidus(field, "status", "-o", "yaml").stdout)["sources"][0]["name"] == "platform"
    assert nidus(field, "status", "-o", "name").stdout == f"nestedcluster.nidus.dev/{name}\n"
    assert "ENDPOINT" in nidus(field, "status", "-o", "wide").stdout
    detail = nidus(field, "status", name)
    assert "LAYER" in detail.stdout and not [line for line in detail.stdout.splitlines() if line.endswith(": ")]
    missing = nidus(field, "status", "nobody")
    assert missing.returncode == 1 and "nobody" in missing.stdout + missing.stderr
    assert "\x1b[32m" in terminal(field, "status")
    assert "\x1b" not in terminal(field, "status", NO_COLOR="1")
    watch(field, name)


def terminal(field: Field, *words: str, **environment: str) -> str:
    """What the command prints on a terminal."""
    ours, theirs = pty.openpty()
    env = {**os.environ, "KUBECONFIG": str(field.account.kubeconfig), "TERM": "xterm", "NO_COLOR": "", **environment}
    command = [sys.executable, "-m", "reconciler", *words, "-n", field.account.namespace]
    with subprocess.Popen(command, env=env, stdout=theirs, stderr=theirs, stdin=theirs) as process:
        os.close(theirs)
        said = b""
        while True:
            try:
                part = os.read(ours, 4096)
            except OSError:
                break
            if not part:
                break
            said += part
        process.wait(30)
    os.close(ours)
    return said.decode()


def watch(field: Field, name: str) -> None:
    """`-w` prints again when something changes, and Ctrl-C ends it without a traceback."""
    env = {**os.environ, "KUBECONFIG": str(field.account.kubeconfig)}
    command = [sys.executable, "-m", "reconciler", "status", "-w", "-n", field.account.namespace]
    output = Path(field.stage.folder / "watched")
    with output.open("wb") as file, subprocess.Popen(command, env=env, stdout=file, stderr=file) as process:
        field.until("it printed", lambda: name in output.read_text())
        suspended = nidus_as_admin(field, "suspend", name, "--reason", "a test")
        assert suspended.returncode == 0, suspended.stderr
        field.until("it printed the change", lambda: "Suspended" in output.read_text())
        resumed = nidus_as_admin(field, "resume", name)
        assert resumed.returncode == 0, resumed.stdout + resumed.stderr
        field.wait(name)
        assert nidus_as_admin(field, "resume", name).returncode == 1
        killer = threading.Timer(30, process.kill)
        killer.start()
        process.send_signal(signal.SIGINT)
        assert process.wait() == 130
        killer.cancel()
    assert "Traceback" not in output.read_text()


def nidus_as_admin(field: Field, *words: str) -> subprocess.CompletedProcess[str]:
    return nidus(field, *words, KUBECONFIG=str(field.account.hosted.kubeconfig))
