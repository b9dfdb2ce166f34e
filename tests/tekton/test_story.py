"""The tutorial for real: Tekton in the official engine on a real node, from a push to a verified image, and the end.

Runs where NIDUS_TEKTON_IMAGES names a folder with

- Tekton's releases, by the paths of the addresses that the example names (`pipeline/previous/v1.15.0/release.yaml` and so on),
- `*.tar`: archives of the images that those name, in OCI layout, each with its name,
- `cosign`, where it is not on PATH,

and where the official engine is named (NIDUS_VCLUSTER, NIDUS_VCLUSTER_CHART). Real are engine, node, Tekton, Git, buildah, the registry,
signatures and cosign. A delivery of our own, signed, stands in for the forge, a port-forward for the ingress controller, and images of
this machine's programs for those of the steps and of nginx.
"""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from devhost import hosting, lifecycle
from devhost.account import open_account
from devhost.fixtures import RBAC
from tests.content.server import Site
from tests.devhost import real_node
from tests.host.field import ROOT, Field, opened
from tests.host.promises import digest, nidus
from tests.tekton import story
from tests.tekton.example import EXAMPLE, allowed, commands, copied, layer, shell, typed

GIVEN = "NIDUS_TEKTON_IMAGES"
ENGINE = ("NIDUS_VCLUSTER", "NIDUS_VCLUSTER_CHART")

pytestmark = [
    pytest.mark.host,
    pytest.mark.long,
    pytest.mark.timeout(2400),
    pytest.mark.xdist_group(real_node.GROUP),
    pytest.mark.skipif(
        not all(map(os.environ.get, (GIVEN, *ENGINE))),
        reason=f"needs Tekton's releases and images ({GIVEN}) and the official engine ({', '.join(ENGINE)})",
    ),
]

SECONDS = 900.0
STACK = ("pipelines", "triggers", "interceptors", "chains", "build", "listener")
SIGNED = "chains.tekton.dev/signed"


@dataclass
class Told:
    """The cluster, the folder in which a person types, and when what was seen: seconds after the push before it."""

    own: Field
    name: str
    folder: Path
    site: Site
    beside: story.Beside
    times: dict[str, float] = field(default_factory=dict)

    def kubectl(self, *words: str) -> Any:
        """What kubectl answers inside the cluster, as JSON."""
        return json.loads(
            shell(self.own, self.folder, f"kubectl --context nidus_{self.name} {' '.join(words)} -o json")
        )

    def found(self, kind: str, namespace: str) -> list[dict[str, Any]]:
        return list(self.kubectl("-n", namespace, "get", kind)["items"])


@pytest.fixture
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """A host with a real node that has all images, the controller beside it, and the example's copy in a person's folder."""
    real_node.skip_unless_possible()
    given, root = Path(os.environ[GIVEN]), tmp_path_factory.mktemp("story")
    hosted = hosting.start(root / "host", nodes=0, nested="none", node="real")
    story.furnish(hosted, given)
    site = story.site(given)
    account = open_account(hosted, ROOT / RBAC)
    own = opened(account, root / "stage", {**allowed(site), "shareNamespace": account.shared})
    folder, name = root / "person", own.cluster()
    copied(folder / "examples" / "tekton", site, tekton_demo=name)
    file = folder / "examples" / "tekton" / "clusters" / "tekton-demo.yaml"
    document = yaml.safe_load(file.read_text())
    document["spec"]["profiles"][0]["variables"] |= story.variables()
    document["spec"]["deletion"]["grace"] = "1s"
    file.write_text(yaml.safe_dump(document))
    (folder / "platform").symlink_to(own.stage.repository.work)
    beside = story.beside(hosted, folder, EXAMPLE / "application")
    yield Told(own, name, folder, site, beside)
    own.end()
    beside.close()
    site.close()
    account.close()
    lifecycle.down(hosted.folder)


def test_from_a_push_to_a_verified_image_and_its_end(told: Told) -> None:
    try:
        the_stack_comes(told)
        first = a_push_becomes_an_image_that_runs(told, "Built by a push")
        it_is_signed_and_verified(told, first)
        again = a_push_becomes_an_image_that_runs(told, "Built again")
        assert again != first and len(told.found("deployments", "application")) == 1
        nothing_is_left(told)
    except Exception as error:
        error.add_note(story.troubles(told.own.account.hosted, f"vcluster-{told.name}"))
        raise
    finally:
        print("\nseconds after the push before it:", {name: round(one, 1) for name, one in told.times.items()})


def the_stack_comes(told: Told) -> None:
    """Sections 2 to 4 of the page."""
    own, name = told.own, told.name
    typed(own, told.folder, commands("2. Three secrets"), name)
    own.start()
    config = yaml.safe_load(own.stage.config.read_text())
    config["spec"]["files"] = str(own.stage.folder)
    (own.stage.repository.work / "nidus.yaml").write_text(yaml.safe_dump(config))
    typed(own, told.folder, commands("3. The repository"), name)
    pushed = float(own.stage.stamp.read_text())
    own.until("its packs are seen", lambda: layer(own, name, "listener"))
    told.times["profile seen"] = time.time() - pushed
    for pack in STACK:
        own.until(f"{pack} is ready", partial(current, told, pack), SECONDS)
        told.times[f"{pack} ready"] = time.time() - pushed
    own.wait(name, seconds=SECONDS)
    told.times["cluster ready"] = time.time() - pushed
    assert "Ready" in typed(own, told.folder, commands("4. Watch it come"), name)


def current(told: Told, pack: str) -> bool:
    """Whether this pack is ready."""
    return layer(told.own, told.name, pack).get("health") == "Current"


def a_push_becomes_an_image_that_runs(told: Told, text: str) -> str:
    """Section 5: a push, and what the forge would tell of it; the image that runs then. What is not signed, or of another repository,
    starts nothing."""
    own, secret = told.own, (told.folder / "secret").read_bytes()
    push, connect, watch, look = commands("5. A push")
    page = told.beside.work / "index.html"
    page.write_text(f"<h1>{text}</h1>\n")
    shell(own, told.folder, f"git -C shop add --all; {push}")
    commit = shell(own, told.folder, "git -C shop rev-parse HEAD").strip()
    typed(own, told.folder, [connect.replace("connect", "connect --forward")], told.name)
    before = {one["metadata"]["name"] for one in told.found("pipelineruns", "build")}
    hosted = own.account.hosted
    for other in ({"secret": b"another"}, {"secret": secret, "repository": "acme/other"}):
        assert " 202 " in story.deliver(hosted, told.name, commit, **other)
    began = time.time()
    assert " 202 " in story.deliver(hosted, told.name, commit, secret)
    run = own.until("a PipelineRun", lambda: started(told, before), 120)
    told.times[f"{text}: PipelineRun"] = time.time() - began
    own.until("it is over", lambda: story.condition(run_of(told, run), "Succeeded") in ("True", "False"), SECONDS)
    told.times[f"{text}: over"] = time.time() - began
    assert story.condition(run_of(told, run), "Succeeded") == "True", reasons(told)
    assert started(told, before) == run
    typed(own, told.folder, [watch.replace(" --watch", ""), look], told.name)
    [deployment] = told.found("deployments", "application")
    assert deployment["metadata"]["annotations"]["commit"] == commit
    image = str(deployment["spec"]["template"]["spec"]["containers"][0]["image"])
    said = f"kubectl --context nidus_{told.name} -n application logs deployment/application"
    own.until("it says its page", lambda: f"<h1>{text}</h1>" in shell(own, told.folder, said), 120)
    told.times[f"{text}: its page"] = time.time() - began
    return image


def started(told: Told, before: set[str]) -> str:
    """The name of the one PipelineRun that is not among those `before`; empty without."""
    found = {one["metadata"]["name"] for one in told.found("pipelineruns", "build")} - before
    assert len(found) < 2, found
    return "".join(found)


def run_of(told: Told, name: str) -> dict[str, Any]:
    return dict(told.kubectl("-n", "build", "get", "pipelinerun", name))


def reasons(told: Told) -> str:
    """What its TaskRuns say of themselves."""
    found = told.found("taskruns", "build")
    return json.dumps({one["metadata"]["name"]: one.get("status", {}).get("conditions") for one in found}, indent=1)


def it_is_signed_and_verified(told: Told, image: str) -> None:
    """Section 6, the registry reached from outside; with another key everything is refused."""
    own, began = told.own, time.time()

    def signed() -> bool:
        found = told.found("taskruns", "build")
        return bool(found) and all(one["metadata"].get("annotations", {}).get(SIGNED) == "true" for one in found)

    own.until("Chains signed every TaskRun", signed, 180)
    told.times["signed, after the first image ran"] = time.time() - began
    began = time.time()
    outside = f'"${{IMAGE/{story.REGISTRY}/{told.beside.registry.host}}}"'
    lines = [one.replace('"$IMAGE"', outside) for one in commands("6. Prove it")]
    path = f"{os.environ['PATH']}:{os.environ[GIVEN]}"
    more = {
        **story.offline(),
        "TUF_ROOT": str(told.folder / "tuf"),
        "PATH": f"{own.account.hosted.kubectl.parent}:{path}",
    }
    assert image.partition("@")[2] in typed(own, told.folder, lines, told.name, **more)
    told.times["verified"] = time.time() - began
    shell(
        own,
        told.folder,
        "cp cosign.pub right.pub; openssl ecparam -name prime256v1 -genkey -noout | openssl ec -pubout -out cosign.pub",
    )
    for at, line in enumerate(lines):
        if line.startswith("cosign"):
            refused = [*(one for one in lines[:at] if not one.startswith("cosign")), f"! {line}"]
            typed(own, told.folder, refused, told.name, **more)


def nothing_is_left(told: Told) -> None:
    """Section 7: its file goes, and so does everything; being the last cluster of its source it is held first."""
    own, name = told.own, told.name
    namespace = f"vcluster-{name}"
    shell(own, told.folder, f"nidus disconnect {name}")
    own.remove("clusters/tekton-demo.yaml")
    own.push("the end")
    own.wait(name, "Held")
    began = time.time()
    nidus(own, "approve", digest(own, name))
    own.until("all is gone", lambda: own.admin.get("v1", "Namespace", namespace) is None, SECONDS)
    told.times["gone, after the approval"] = time.time() - began
    volumes = own.admin.list("v1", "PersistentVolume")["items"]
    assert [one for one in volumes if one["spec"].get("claimRef", {}).get("namespace") == namespace] == []
    roles = own.admin.list("rbac.authorization.k8s.io/v1", "ClusterRole")["items"]
    assert [one["metadata"]["name"] for one in roles if name in one["metadata"]["name"]] == []
