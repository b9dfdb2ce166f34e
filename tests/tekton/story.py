"""What surrounds the real story: a node with Tekton's images and the tools of the steps, a registry and a Git server beside it."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from devhost.hosting import TestHost
from devhost.node import images, oci, place
from devhost.node.images import found, libraries, programs
from devhost.node.oci import Config, Entry, folder_entries
from reconciler.kube import edge, portforward
from reconciler.model import HostConfig
from tests.content.registry import Registry
from tests.content.server import Site
from tests.faults.git_server import GitServer
from tests.tekton.releases import releases
from webhook.forges import github

REGISTRY: Final = f"10.243.255.1:{place.ENGINE_PORT}"
GIT: Final = f"10.243.255.2:{place.ENGINE_PORT}"
"""Addresses that the node's network leads to ports of the machine's loopback, as it does for nested control planes that run there."""
APPLICATION: Final = "acme/shop"
TOOLS: Final = {one: f"nidus.local/{one}:1" for one in ("git", "buildah", "kubectl")}
LISTENER_PORT: Final = 8080
PAGE: Final = "/usr/share/nginx/html/index.html"
SERVE: Final = Config(command=("sh", "-c", f"cat {PAGE}; sleep infinity"))
"""In place of nginx, which the example's application is built on: it prints the page once."""


def site(given: Path) -> Site:
    """A server with the releases of the folder NIDUS_TEKTON_IMAGES, by the paths of their own addresses below `BASE`."""
    made = Site()
    for path in releases():
        made.put(path, (given / path.lstrip("/")).read_bytes())
    return made


def furnish(hosted: TestHost, given: Path) -> None:
    """Put Tekton's images and those of the steps onto the node."""
    for archive in sorted(given.glob("*.tar")):
        images.bring(hosted.folder, archive)
    images.load(hosted.folder, TOOLS["git"], git(), Config())
    images.load(hosted.folder, TOOLS["buildah"], buildah(), Config())
    images.load(hosted.folder, TOOLS["kubectl"], kubectl(hosted.kubectl), Config())


def git() -> Iterator[Entry]:
    """This machine's Git, with what it needs for HTTP."""
    yield from images.base()
    yield from programs([found("git")])
    asked = subprocess.run(["git", "--exec-path"], capture_output=True, text=True, check=True)
    folder = asked.stdout.strip()
    yield from folder_entries(Path(folder), folder)
    for path in libraries(f"{folder}/git-remote-http"):
        yield Entry(path, 0o755, Path(path).resolve())


def buildah() -> Iterator[Entry]:
    """This machine's buildah, which takes any image."""
    yield from images.base()
    yield from programs([found("buildah")])
    yield Entry("etc/containers/policy.json", 0o644, b'{"default": [{"type": "insecureAcceptAnything"}]}')
    yield Entry("etc/containers/registries.conf", 0o644, b"")
    yield Entry("var/tmp", 0o1777)
    yield Entry("run", 0o755)


def kubectl(binary: Path) -> Iterator[Entry]:
    """The host's kubectl."""
    yield from images.base()
    yield Entry("usr/bin/kubectl", 0o755, binary.resolve())


@dataclass
class Beside:
    """The registry and the forge's Git, on the machine's loopback, led to from the node; the application's repository."""

    registry: Registry
    server: GitServer
    work: Path

    def close(self) -> None:
        self.registry.close()
        self.server.close()


def beside(hosted: TestHost, root: Path, application: Path) -> Beside:
    """Start both; `application` is the folder of the application's files, its base image is put into the registry."""
    registry = Registry(root / "registry")
    archive = root / "base.tar"
    oci.write(archive, "nidus.local/nginx:1", images.base(), SERVE)
    registry.image("library/nginx", "1.29-alpine", archive)
    bare, work = root / "git" / f"{APPLICATION}.git", root / "shop"
    subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", str(bare)], check=True)
    subprocess.run(["git", "-C", str(bare), "config", "uploadpack.allowAnySHA1InWant", "true"], check=True)
    subprocess.run(["git", "clone", "--quiet", str(bare), str(work)], check=True, stderr=subprocess.DEVNULL)
    shutil.copytree(application, work, dirs_exist_ok=True)
    recipe = work / "Dockerfile"
    recipe.write_text(recipe.read_text().replace("docker.io", REGISTRY))
    server = GitServer(root / "git", None)
    for address, port in ((REGISTRY, registry.port), (GIT, server.port)):
        place.locate(hosted.folder, address.partition(":")[0], port)
    trusted = place.folder(hosted.folder) / "registries" / REGISTRY
    trusted.mkdir(parents=True)
    (trusted / "hosts.toml").write_text(f'server = "http://{REGISTRY}"\n[host."http://{REGISTRY}"]\n')
    return Beside(registry, server, work)


def deliver(hosted: TestHost, cluster: str, commit: str, secret: bytes, repository: str = APPLICATION) -> str:
    """Tell the listener of a push as GitHub does, through the kubelet in place of an ingress controller; the answer's first line."""
    told = {"ref": "refs/heads/main", "after": commit, "deleted": False, "repository": {"full_name": repository}}
    body = json.dumps(told).encode()
    headers = {
        "Host": "push",
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "Connection": "close",
        "X-GitHub-Event": "push",
        **github.sign(body, secret, time.time()),
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    namespace = f"vcluster-{cluster}"
    [pod] = hosted.client.list("v1", "Pod", namespace, labels="eventlistener=push")["items"]
    client = edge.host(HostConfig(kubeconfig=str(hosted.kubeconfig)))
    try:
        with portforward.connect(client, namespace, pod["metadata"]["name"], LISTENER_PORT) as line:
            line.settimeout(60)
            line.sendall(f"POST / HTTP/1.1\r\n{head}\r\n".encode() + body)
            return b"".join(iter(lambda: line.recv(65536), b"")).decode().partition("\r\n")[0]
    finally:
        client.close()


def variables() -> dict[str, str]:
    """What the cluster says instead: this machine's addresses and images."""
    return {
        "repository": APPLICATION,
        "cloneURL": f"http://{GIT}/{APPLICATION}.git",
        "image": f"{REGISTRY}/{APPLICATION}",
        "plainRegistry": "true",
        "gitImage": TOOLS["git"],
        "buildImage": TOOLS["buildah"],
        "kubectlImage": TOOLS["kubectl"],
    }


def condition(one: dict[str, Any], kind: str) -> str:
    """The status of a condition; empty without it."""
    found = [each["status"] for each in one.get("status", {}).get("conditions", []) if each["type"] == kind]
    return str(found[0]) if found else ""


def offline() -> dict[str, str]:
    """The environment of a program that shall reach nothing but the loopback."""
    return {
        **os.environ,
        "HTTPS_PROXY": "http://127.0.0.1:1",
        "HTTP_PROXY": "http://127.0.0.1:1",
        "NO_PROXY": "127.0.0.1",
    }


def troubles(hosted: TestHost, namespace: str) -> str:
    """What a person would look at first: the pods there with what their containers say of themselves, and the warnings."""
    lines = []
    for pod in hosted.client.list("v1", "Pod", namespace)["items"]:
        status = pod.get("status", {})
        each = [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]
        unready = {one["name"]: one["state"] for one in each if not one["ready"]}
        lines.append(f"{pod['metadata']['name']} {status.get('phase')} {unready}")
    for event in hosted.client.list("v1", "Event", namespace, fields="type=Warning")["items"]:
        lines.append(f"{event['involvedObject'].get('name')}: {event.get('reason')}: {event.get('message')}")
    return "\n".join(lines)
