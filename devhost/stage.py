"""A stage for the product on an embedded host, as the demo, the tests and the benchmarks set it: a repository whose pushes
call the webhook, the controller's configuration, and the controller as a process of its own.

The product is used from outside only: its manifests, its command line, its ports.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import yaml

from devhost import account, hook, nested, reins
from devhost.api import Client
from devhost.errors import HostError
from devhost.ports import free_port
from devhost.state import Host

GIT_SECONDS: Final = 60
READY_SECONDS: Final = 60.0
STOP_SECONDS: Final = 30.0
FIRST: Final = "platform"
"""The name of the stage's own source."""
SECRET: Final = "webhook-secret"
OPTIONS: Final = (
    "user.name=Nidus demo",
    "user.email=demo@nidus.invalid",
    "commit.gpgsign=false",
    "maintenance.auto=false",
)
IDENTITY: Final = tuple(word for one in OPTIONS for word in ("-c", one))

DNS_PATTERN: Final = "*.nested.example.com"
CEILINGS: Final[dict[str, Any]] = {
    "nodeSelectors": {"kubernetes.io/os": ["linux"]},
    "tolerations": [{"key": "pool", "value": "tenants", "effect": "NoSchedule"}],
    "syncToHost": ["ingresses", "podDisruptionBudgets"],
    "replicas": 1,
    "storage": "20Gi",
    "backupEndpoints": ["https://s3.example.com"],
}
"""What the sample repository asks for, as its README tells it."""


@dataclass(frozen=True, slots=True)
class Repository:
    """A bare repository and a clone of it to work in."""

    bare: Path
    work: Path

    def git(self, *words: str) -> str:
        """Run git in the clone; raises HostError with what git said."""
        return _git(self.work, *words)

    def commit(self, message: str) -> str:
        """Commit everything in the clone; returns the commit."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)
        return self.git("rev-parse", "HEAD").strip()

    def push(self, *, force: bool = False) -> None:
        self.git("push", "--quiet", *(["--force"] if force else []), "origin", "HEAD:main")


@dataclass(frozen=True, slots=True)
class Stage:
    """Where things are: one folder, one repository, one secret, two ports."""

    folder: Path
    repository: Repository
    config: Path
    webhook: int
    internal: int

    @property
    def stamp(self) -> Path:
        """When the last push's hook began, as a float in text."""
        return self.folder / "pushed"


@dataclass(slots=True)
class Controller:
    """The controller as a process; its log goes to a file."""

    stage: Stage
    process: subprocess.Popen[bytes]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    def get(self, path: str) -> Any:
        """What the internal listener answers: parsed JSON, or text."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.stage.internal}{path}", timeout=60) as answer:
            body = answer.read()
            return json.loads(body) if "json" in answer.headers["Content-Type"] else body.decode()

    def leads(self) -> bool:
        """Whether it holds the Lease and does all that a leader does."""
        process = self.get("/api/v1/process")
        return bool(process["leader"]) and process["waits"] == ""

    def words(self) -> dict[str, str]:
        """Nested cluster -> its one-word status."""
        return {one["name"]: one["status"] for one in self.get("/api/v1/clusters")["clusters"]}

    def lines(self) -> list[dict[str, Any]]:
        """The log so far."""
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]

    def wait_ready(self, seconds: float = READY_SECONDS) -> None:
        """Until it leads and has read its sources. Raises HostError with the end of its log when it does not come up."""
        for _ in _until(seconds):
            if self.process.poll() is not None:
                raise HostError(f"the controller ended with {self.process.returncode}: {self.tail()}")
            try:
                if self.get("/readyz") == "ok" and self.leads():
                    return
            except OSError:
                continue
        raise HostError(f"the controller is not ready after {seconds:.0f} s: {self.tail()}")

    def kill(self) -> None:
        """SIGKILL, as a lost node would."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM; returns its exit code. Killed if it does not end."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGABRT)  # faulthandler writes where each thread is, then it ends
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(5)
            self.kill()
            raise HostError(f"the controller did not end within {STOP_SECONDS:.0f} s: {self.tail(150)}") from None

    def tail(self, lines: int = 15) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def install(client: Client, manifests: Path) -> None:
    """Apply the shipped CRDs and RBAC, as an administrator would, and wait until the CRDs are served."""
    names = []
    for file in [*sorted((manifests / "crds").glob("*.yaml")), manifests / "rbac.yaml"]:
        for one in yaml.safe_load_all(file.read_text()):
            if one:
                client.apply(one)
                names += [one["metadata"]["name"]] if one["kind"] == "CustomResourceDefinition" else []
    for name in names:
        _established(client, name)


def sign_in(host: Host, client: Client, file: Path, *, namespace: str = account.SYSTEM, name: str = "nidus") -> Path:
    """A kubeconfig of the controller's service account, by a token of a day."""
    spec = {"expirationSeconds": 86400}
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
    answer = client.request("POST", f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token", asked)
    file.touch(mode=0o600)
    file.write_text(
        account.token_kubeconfig(host.server, (host.pki / "ca.crt").read_bytes(), answer["status"]["token"])
    )
    return file


def set_up(folder: Path, content: Path | None, spec: Mapping[str, Any] | None = None) -> Stage:
    """Make the stage in an empty folder: a bare repository filled from `content`, its hook, the controller's configuration.

    `spec` is merged over the configuration's spec (its first source's keys over the first source, those of `server` over the listeners).
    """
    folder.mkdir(parents=True, exist_ok=True)
    secret, webhook, internal = folder / SECRET, free_port(), free_port()
    secret.write_text(secrets.token_hex(32))
    repository = _repository(folder, content)
    stage = Stage(folder, repository, folder / "nidus.yaml", webhook, internal)
    hook.install(repository.bare, stage.stamp, secret, webhook, FIRST)
    stage.config.write_text(yaml.safe_dump(_configuration(stage, dict(spec or {})), sort_keys=False))
    return stage


def join(stage: Stage, name: str, content: Path, spec: Mapping[str, Any] | None = None) -> Stage:
    """Add another source to a stage whose controller does not run yet: a repository, a secret and a hook of its own.

    `spec` is merged over the source. Returned is the same controller's stage with the other source's folder and repository.
    """
    folder = stage.folder / name
    folder.mkdir()
    (folder / SECRET).write_text(secrets.token_hex(32))
    joined = replace(stage, folder=folder, repository=_repository(folder, content))
    hook.install(joined.repository.bare, joined.stamp, folder / SECRET, stage.webhook, name)
    config = yaml.safe_load(stage.config.read_text())
    config["spec"]["sources"].append({**_source(joined, name), **dict(spec or {})})
    stage.config.write_text(yaml.safe_dump(config, sort_keys=False))
    return joined


def start(
    stage: Stage, kubeconfig: Path, *, namespace: str = account.SYSTEM, name: str = "nidus", **environment: str
) -> Controller:
    """Start `nidus run` on the stage as that account. It is killed when the thread that starts it ends, however that comes."""
    log = stage.folder / "controller.log"
    env = {
        **os.environ,
        "KUBECONFIG": str(kubeconfig),
        "NIDUS_DATA": str(stage.folder / "data"),
        "NIDUS_SERVICE_ACCOUNT": f"{namespace}:{name}",
        "PYTHONFAULTHANDLER": "1",
        **environment,
    }
    words = [
        *reins.tied(),
        sys.executable,
        "-P",
        "-m",
        "reconciler",
        "run",
        "--config",
        str(stage.config),
        "--namespace",
        namespace,
    ]
    with log.open("ab") as output:
        process = subprocess.Popen(words, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    return Controller(stage, process, log, environment)


def _source(stage: Stage, name: str) -> dict[str, Any]:
    webhook = {"provider": "github", "secretFiles": [str(stage.folder / SECRET)]}
    return {"name": name, "url": str(stage.repository.bare), "branch": "main", "webhook": webhook}


def _configuration(stage: Stage, spec: dict[str, Any]) -> dict[str, Any]:
    merged = {
        "sources": [{**_source(stage, FIRST), **spec.pop("source", {})}],
        "engine": {
            "versions": [{"version": "0.36.1", "chart": {"path": str(nested.chart())}}],
            "kubernetesVersions": ["v1.36.0"],
        },
        "policy": {"dnsPattern": DNS_PATTERN},
        "ceilings": CEILINGS,
        "server": {
            "webhook": f"127.0.0.1:{stage.webhook}",
            "internal": f"127.0.0.1:{stage.internal}",
            **spec.pop("server", {}),
        },
        **spec,
    }
    return {"apiVersion": "nidus.dev/v1alpha1", "kind": "ControllerConfig", "spec": merged}


def _repository(folder: Path, content: Path | None) -> Repository:
    repository = Repository(folder / "repository.git", folder / "work")
    if repository.bare.exists():
        raise HostError(f"{repository.bare} is there already")
    _git(folder, "init", "--quiet", "--bare", "--initial-branch=main", str(repository.bare))
    _git(folder, "clone", "--quiet", str(repository.bare), str(repository.work))
    repository.git("symbolic-ref", "HEAD", "refs/heads/main")
    if content is not None:
        shutil.copytree(content, repository.work, dirs_exist_ok=True)
    repository.commit("The beginning")
    repository.push()
    return repository


def _git(folder: Path, *words: str) -> str:
    """Git without the user's own configuration, so that the stage is the same on every machine."""
    env = {**os.environ, "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_TERMINAL_PROMPT": "0"}
    done = subprocess.run(
        ["git", *IDENTITY, *words], cwd=folder, env=env, capture_output=True, text=True, timeout=GIT_SECONDS
    )
    if done.returncode:
        raise HostError(f"git {words[0]}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def _established(client: Client, name: str) -> None:
    for _ in _until(30.0):
        crd = client.get("apiextensions.k8s.io/v1", "CustomResourceDefinition", name) or {}
        conditions = crd.get("status", {}).get("conditions", [])
        if any(one["type"] == "Established" and one["status"] == "True" for one in conditions):
            return
    raise HostError(f"CustomResourceDefinition {name} is not established after 30 s")


def _until(seconds: float) -> Iterator[None]:
    """Look again every 20 ms until the deadline."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        yield
        time.sleep(0.02)
