"""Charts with Helm's provenance files (K4): signed by gpg as `helm package --sign` does it, from a chart repository and from a registry."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.errors import Stalled
from reconciler.model import ChartVerify, PackChart
from reconciler.packs.content import locking
from reconciler.packs.content.fetch import Means
from reconciler.packs.render import Renderer
from reconciler.spec import lock
from tests.content.conftest import Allowed, Sites
from tests.content.registry import CHART, Registry, local, real
from tests.content.server import packed
from tests.content.test_oci import means
from tests.content.test_signed import blobs, layer
from tests.content.test_signed import renderers as renderers
from tests.documents import cluster, profile
from tests.test_signatures import Signers

PROVENANCE = "application/vnd.cncf.helm.chart.provenance.v1.prov"
TEMPLATE = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: signed}\n"
ARCHIVE = packed("web", "1.2.3", {"templates/made.yaml": TEMPLATE})
Made = Callable[[Means], Renderer]


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Signers]:
    if shutil.which("gpg") is None:
        pytest.skip("gpg is needed to sign charts")
    home = tmp_path_factory.mktemp("g")
    home.chmod(0o700)
    made = Signers(home, tmp_path_factory.mktemp("k") / "keys")
    for name in ("ada", "eve"):
        made.made(name)
    yield made
    made.run("gpgconf", "--kill", "all")


def prov(people: Signers, name: str, archive: bytes = ARCHIVE, file: str = "web-1.2.3.tgz") -> bytes:
    """Chart.yaml and the digest of the archive, signed (helm.sh/docs/topics/provenance)."""
    text = f"apiVersion: v2\nname: web\nversion: 1.2.3\n\n...\nfiles:\n  {file}: sha256:{hashlib.sha256(archive).hexdigest()}\n"
    signed = people.gpg("--clearsign", "--digest-algo=SHA512", "-u", f"{name}@example.com", stdin=text.encode())
    return bytes(signed)


def keys(people: Signers, name: str, *armor: str) -> bytes:
    return bytes(people.gpg(*armor, "--export", f"{name}@example.com"))


def pack(chart: dict[str, Any]) -> dict[str, Any]:
    return {"name": "front", "namespace": "web", "helm": {"chart": {**chart, "verify": {"provenance": "keys.asc"}}}}


def files(chart: dict[str, Any], entries: dict[str, lock.Locked], ring: bytes) -> dict[str, str]:
    found = {"p.yaml": profile(pack(chart)), "a.yaml": cluster("a"), "keys.asc": ring.decode()}
    return {**found, lock.FILE: lock.text(entries).decode()}


@pytest.mark.parametrize(
    ("signer", "file", "archive", "why"),
    [
        ("ada", "web-1.2.3.tgz", ARCHIVE, ""),
        ("eve", "web-1.2.3.tgz", ARCHIVE, "signature made by unknown entity"),
        ("ada", "web-1.2.3.tgz", b"another", "sha256 sum does not match"),
        ("ada", "web-9.9.9.tgz", ARCHIVE, "provenance does not contain a SHA for"),
    ],
    ids=["good", "other key", "other archive", "other version"],
)
def test_a_chart_of_a_repository(
    signer: str, file: str, archive: bytes, why: str, people: Signers, sites: Sites, allowed: Allowed, renderers: Made
) -> None:
    site = sites(plain=True)
    digest = site.chart("web", "1.2.3", {"templates/made.yaml": TEMPLATE})
    site.put("/charts/web-1.2.3.tgz.prov", prov(people, signer, archive, file))
    where = {"repo": f"{site.url}/charts", "name": "web", "version": "1.2.3"}
    chart = PackChart(**where, verify=ChartVerify(provenance="keys.asc"))
    with_ = allowed(site)
    found = locking.resolve(chart, with_, lambda size: None)
    assert found.digest == f"sha256:{digest}" and found.signature
    text = files(where, {lock.of_chart(chart): found}, keys(people, "ada", "--armor"))
    renderer = renderers(with_)
    render = lambda: renderer.render(layer(text), blobs(text), host_version="v1.36.0")  # noqa: E731
    if not why:
        assert [made["metadata"]["name"] for made in render()] == ["signed"]
        return
    with pytest.raises(Stalled) as refused:
        render()
    assert refused.value.reason == "ChartUntrusted" and why in refused.value.message


def test_a_chart_without_a_provenance_file_is_not_locked(sites: Sites, allowed: Allowed) -> None:
    site = sites(plain=True)
    site.chart("web", "1.2.3")
    chart = PackChart(repo=f"{site.url}/charts", name="web", version="1.2.3", verify=ChartVerify(provenance="keys.asc"))
    with pytest.raises(Stalled, match=r"web-1.2.3.tgz.prov"):
        locking.resolve(chart, allowed(site), lambda size: None)


@real
@pytest.mark.parametrize("signer", ["ada", "eve", ""])
def test_a_chart_of_a_registry(
    signer: str, people: Signers, open_one: Registry, tmp_path: Path, renderers: Made
) -> None:
    """The manifest names the provenance file, so nothing more is locked."""
    name = f"prov{signer}"
    layers = [(CHART, dict[str, str](), ARCHIVE), (PROVENANCE, dict[str, str](), prov(people, signer or "ada"))]
    digest = open_one.attach(f"acme/{name}/web", "1.2.3", layers if signer else layers[:1])
    where = {"oci": f"oci://{open_one.host}/acme/{name}/web", "version": "1.2.3", "digest": f"sha256:{digest}"}
    text = files(where, {}, keys(people, "ada", "--armor"))
    renderer = renderers(means(tmp_path, local(open_one)))
    render = lambda: renderer.render(layer(text), blobs(text), host_version="v1.36.0")  # noqa: E731
    if signer == "ada":
        assert [made["metadata"]["name"] for made in render()] == ["signed"]
        return
    with pytest.raises(Stalled) as refused:
        render()
    wanted = ("ChartUntrusted", "unknown entity") if signer else ("ContentRefused", "the chart has no provenance file")
    assert refused.value.reason == wanted[0] and wanted[1] in refused.value.message
