"""`examples/tekton` as a person copies it: locked, valid, rendered; and its packs one after the other inside a nested cluster.

Tekton's releases and images are not here: small stand-ins of ours bring the kinds and workloads that the packs wait for."""

import base64
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from devhost.account import Account
from devhost.api import Client
from devhost.hosting import TestHost
from reconciler.__main__ import main
from tests.content.server import Site
from tests.host.field import Field, opened
from tests.host.promises import digest, nidus
from tests.tekton.example import ALLOWED, EXAMPLE, allowed, commands, copied, layer, typed
from tests.tekton.releases import BASE, HELD, releases

STACK = ("pipelines", "triggers", "interceptors", "signing-key", "chains", "build", "build-secrets", "listener")


@pytest.fixture
def site() -> Iterator[Site]:
    """A server with the stand-ins, where the example's own address has the releases."""
    made = Site()
    for path, body in releases().items():
        made.put(path, body)
    yield made
    made.close()


def test_it_names_what_the_stand_ins_stand_for() -> None:
    text = (EXAMPLE / "profiles" / "tekton-stack" / "profile.yaml").read_text()
    assert set(re.findall(rf"{re.escape(BASE)}([^\"]+)", text)) == set(releases())


def test_as_it_is_the_command_that_locks_it_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", "--no-render", str(EXAMPLE)]) == 1
    assert "fix: run `nidus lock` and commit its file" in capsys.readouterr().out


def test_locked_it_is_valid_and_renders(
    tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    copied(tmp_path / "repo", site)
    engine = tmp_path / "vcluster"
    engine.mkdir()
    (engine / "Chart.yaml").write_text("apiVersion: v2\nname: vcluster\nversion: 0.36.1\n")
    config = yaml.safe_load((EXAMPLE / ALLOWED).read_text())
    config["spec"] |= allowed(site)
    config["spec"]["engine"]["versions"][0]["chart"] = {"path": str(engine)}
    (tmp_path / "nidus.yaml").write_text(yaml.safe_dump(config))
    monkeypatch.chdir(tmp_path / "repo")
    given = ["--config", str(tmp_path / "nidus.yaml")]
    assert main(["lock", *given]) == 0
    assert len(yaml.safe_load(Path("nidus.lock.yaml").read_text())["content"]) == len(releases())
    assert main(["validate", *given]) == 0
    capsys.readouterr()
    assert main(["render", "tekton-demo", "tekton-stack/chains", *given]) == 0
    assert [one["kind"] for one in yaml.safe_load_all(capsys.readouterr().out)] == ["Deployment"]
    assert main(["render", "tekton-demo", "tekton-stack/listener", *given]) == 0
    listener = next(one for one in yaml.safe_load_all(capsys.readouterr().out) if one["kind"] == "EventListener")
    (filtered,) = listener["spec"]["triggers"][0]["interceptors"][1]["params"]
    assert "body.repository.full_name == 'acme/shop' && body.ref == 'refs/heads/main'" in filtered["value"]


@pytest.fixture
def own(host: TestHost, account: Account, tmp_path: Path, site: Site) -> Iterator[Field]:
    """A field whose operator allows what the example asks for."""
    made = opened(account, tmp_path / "stage", {**allowed(site), "shareNamespace": account.shared})
    yield made
    made.end()


@pytest.mark.host
@pytest.mark.long
def test_the_page_line_by_line_and_its_packs_one_after_the_other(own: Field, site: Site, tmp_path: Path) -> None:
    """The lines of the page that need no forge; what Tekton's own pods would do, nobody does."""
    name = own.cluster()
    copied(tmp_path / "examples" / "tekton", site, tekton_demo=name)
    (tmp_path / "platform").symlink_to(own.stage.repository.work)
    typed(own, tmp_path, commands("2. Three secrets"), name)
    own.start()
    config = yaml.safe_load(own.stage.config.read_text())
    config["spec"]["files"] = str(own.stage.folder)
    (own.stage.repository.work / "nidus.yaml").write_text(yaml.safe_dump(config))
    typed(own, tmp_path, commands("3. The repository"), name)

    # Tekton's webhook does not answer yet: nothing of what it judges is there.
    own.until("the first pack is applied", lambda: layer(own, name, "pipelines").get("health") == "InProgress")
    inside = own.inside(name)
    assert layer(own, name, "triggers")["message"] == "waits for tekton-stack/pipelines"
    assert inside.get("apps/v1", "Deployment", "tekton-pipelines-controller", "tekton-pipelines")
    definition = ("apiextensions.k8s.io/v1", "CustomResourceDefinition", "eventlisteners.triggers.tekton.dev")
    assert inside.get(*definition) is None
    inside.apply(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": HELD, "namespace": "tekton-pipelines"}}
    )
    own.wait(name, seconds=120)
    assert "Ready" in typed(own, tmp_path, commands("4. Watch it come"), name)

    # Each command for the inside goes there; nothing was pushed, so no run is there.
    _, connect, watch, look = commands("5. A push")
    forwarded = connect.replace("connect", "connect --forward")  # nobody leads the exposed name to this machine
    typed(own, tmp_path, [forwarded, watch.replace(" --watch", ""), f"! {look}"], name)
    typed(own, tmp_path, [f"nidus disconnect {name}"], name)

    # Every pack is there, the key came from the host, and Chains' settings are ours.
    assert {layer(own, name, one)["health"] for one in STACK} == {"Current"}
    assert inside.get("triggers.tekton.dev/v1beta1", "EventListener", "push", "build")
    assert value(inside, "signing-secrets", "x509.pem").startswith("-----BEGIN PRIVATE KEY-----")
    settings = inside.get("v1", "ConfigMap", "chains-config", "tekton-chains") or {}
    assert settings["data"]["artifacts.taskrun.storage"] == "tekton,oci"

    # A new key rolls out; another sync writes nothing of the cluster.
    shared(own, "cosign", name, {"x509.pem": "another"})
    own.until("the new key is inside", lambda: value(inside, "signing-secrets", "x509.pem") == "another")
    own.wait(name)
    own.quiet()
    before = len(own.writes())
    nidus(own, "sync", "--wait")
    own.quiet()
    written = {one["objectRef"]["resource"] for one in own.writes()[before:]}
    assert written <= {"sources"}  # which says that it was asked

    # Its file goes, and so does everything; being the last cluster of its source it is held first.
    file = own.stage.repository.work / "clusters" / "tekton-demo.yaml"
    file.write_text(file.read_text().replace("grace: 1h", "grace: 1s"))
    own.wait_read(own.push("a short grace"))
    own.remove("clusters/tekton-demo.yaml")
    own.push("the end")
    own.wait(name, "Held")
    nidus(own, "approve", digest(own, name))
    own.until("all is gone", lambda: own.admin.get("v1", "Namespace", f"vcluster-{name}") is None, seconds=120)


def shared(own: Field, secret: str, cluster: str, data: dict[str, str]) -> None:
    """A Secret of the share namespace that this cluster may have."""
    coded = {key: base64.b64encode(text.encode()).decode() for key, text in data.items()}
    metadata = {"name": secret, "namespace": own.account.shared, "annotations": {"nidus.dev/allow": cluster}}
    own.admin.apply({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": coded})


def value(inside: Client, secret: str, key: str) -> str:
    found = inside.get("v1", "Secret", secret, "tekton-chains") or {}
    return base64.b64decode(found.get("data", {}).get(key, "")).decode()
