"""What comes from elsewhere is named by digest: the documents, `nidus.lock.yaml`, and `nidus lock` (K2)."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler.__main__ import main
from reconciler.model import ContentAllow, Limits, Rules, Violation, replace
from reconciler.spec import config, lock
from reconciler.spec.lock import Locked
from tests.content.conftest import Sites
from tests.content.server import Site
from tests.documents import cluster, profile
from tests.spec_cases import RULES, snapshot

CHARTS = "https://charts.example.com/stable"
DIGEST = "sha256:" + "1" * 64
OCI = "oci://ghcr.io/acme/web"
CHART = {"repo": CHARTS, "name": "web", "version": "1.2.3"}
URL = "https://example.com/m.yaml"
ALLOWED = (ContentAllow(prefix="https://charts.example.com/"), ContentAllow(prefix=URL))


def helm(**chart: Any) -> dict[str, Any]:
    return {"name": "front", "namespace": "web", "helm": {"chart": {**CHART, **chart}}}


def oci(**chart: Any) -> dict[str, Any]:
    return {"name": "front", "namespace": "web", "helm": {"chart": {"oci": OCI, "version": "1.2.3", **chart}}}


def urls(**url: Any) -> dict[str, Any]:
    return {"name": "crds", "namespace": "web", "manifests": {"urls": [{"url": URL, **url}]}}


def wrong(pack: dict[str, Any], locked: dict[str, Locked] | None = None, rules: Rules = RULES) -> list[Violation]:
    """The mistakes of the profile of one pack, in a folder with these entries."""
    files = {"p.yaml": profile(pack), "a.yaml": cluster("a")}
    if locked is not None:
        files[lock.FILE] = lock.text(locked).decode()
    found = snapshot(files, rules=rules)[0].violations if rules is not RULES else snapshot(files)[0].violations
    return [one for one in found if one.code != "NID143"]


@pytest.mark.parametrize("pack", [helm(), urls(), oci()])
def test_without_a_digest_and_an_entry_the_command_that_mends_it_is_told(pack: dict[str, Any]) -> None:
    (found,) = wrong(pack)
    assert (found.code, found.path) == ("NID193", "p.yaml")
    assert found.pointer in ("/spec/packs/0/helm/chart", "/spec/packs/0/manifests/urls/0")
    assert found.hint == "run `nidus lock` and commit its file"


@pytest.mark.parametrize(
    ("pack", "locked"),
    [
        (helm(digest=DIGEST), None),
        (urls(sha256="1" * 64), None),
        (helm(), {f"{CHARTS} web 1.2.3": Locked(DIGEST, "1.2.3")}),
        (helm(version="1.x"), {f"{CHARTS} web 1.x": Locked(DIGEST, "1.2.3")}),
        (urls(), {URL: Locked(DIGEST)}),
        (oci(digest=DIGEST), None),
        (oci(version="1.x"), {f"{OCI} 1.x": Locked(DIGEST, "1.2.3")}),
    ],
)
def test_a_digest_or_an_entry_is_enough(pack: dict[str, Any], locked: dict[str, Locked] | None) -> None:
    assert wrong(pack, locked) == []


def test_a_range_needs_its_entry_and_takes_no_digest() -> None:
    (found,) = wrong(helm(version="1.2.x"), {f"{CHARTS} web 1.2.3": Locked(DIGEST, "1.2.3")})
    assert (found.code, found.hint) == ("NID193", "run `nidus lock --upgrade`, which resolves ranges")
    (found,) = wrong(helm(version="1.2.x", digest=DIGEST))
    assert found.message == "a digest is of one version, not of a range"


@pytest.mark.parametrize(
    ("chart", "told"),
    [
        ({"repo": CHARTS, "digest": DIGEST}, "name and version of the chart"),
        ({"path": "charts/web", "version": "1.0.0"}, "version is of charts from elsewhere"),
        ({"repo": CHARTS, "path": "charts/web"}, "expected exactly one of path, repo, oci"),
        ({"name": "web"}, "expected exactly one of path, repo, oci"),
        ({"repo": "charts.example.com"}, "not an address"),
        ({"oci": "ghcr.io/acme/web", "version": "1.0.0"}, "not a chart in an OCI registry"),
        ({"oci": OCI}, "version of the chart"),
        ({"oci": OCI, "name": "web", "version": "1.0.0", "digest": DIGEST}, "name is of charts in a chart repository"),
    ],
)
def test_what_belongs_together(chart: dict[str, Any], told: str) -> None:
    found = wrong({"name": "front", "helm": {"chart": chart}})
    assert any(told in one.message for one in found)


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("https://charts.example.com", ""),
        ("https://CHARTS.example.com/a/b", ""),
        ("https://charts.example.com.evil.org/a", "content may not come from"),
        ("https://charts.example.com:8443/a", "content may not come from"),
        ("https://other.example.com/a", "content may not come from"),
        ("https://charts.example.com/a/../../b", "leads out of its folder"),
        ("http://charts.example.com/a", "content may not come from"),
    ],
)
def test_only_what_the_operator_allows_may_be_named(address: str, told: str) -> None:
    found = wrong(helm(repo=address, digest=DIGEST), rules=replace(RULES, content=ALLOWED))
    assert [one.code for one in found] == (["NID194"] if told else [])
    assert not told or told in found[0].message


def test_a_registry_is_allowed_by_its_own_prefix() -> None:
    only = (ContentAllow(prefix="oci://ghcr.io/acme/"),)
    assert wrong(oci(digest=DIGEST), rules=replace(RULES, content=only)) == []
    (found,) = wrong(oci(digest=DIGEST), rules=replace(RULES, content=(ContentAllow(prefix="https://ghcr.io/"),)))
    assert found.code == "NID194"


def test_http_is_refused_where_no_operator_is_known() -> None:
    (found,) = wrong(helm(repo="http://charts.example.com", digest=DIGEST))
    assert (found.code, found.hint) == ("NID194", "write https://")


@pytest.mark.parametrize(
    "text",
    [
        "content: [", "- a", "content: {a: 1}", "content: {a: {digest: 'sha256:1'}}", "more: 1", "content: {}\n---\ncontent: {}",
        *(f"content: {{a: {{digest: '{DIGEST}', version: '{one}'}}}}" for one in ("1/../../b", "1.x", "1.0.0-" + "a" * 100)),
        "content: {a: {digest: '" + DIGEST + "', by: me}}", "a: &a {}",
    ],
)  # fmt: skip
def test_a_lock_file_of_another_form_is_a_mistake_of_its_own(text: str) -> None:
    found = snapshot({"p.yaml": profile(helm()), lock.FILE: text})[0].violations
    assert {one.path for one in found} == {"p.yaml", lock.FILE}


def test_the_same_entries_are_the_same_bytes() -> None:
    entries = {"b": Locked(DIGEST, "1.0.0"), "a ${{ x }}": Locked(DIGEST)}
    text = lock.text(entries)
    assert text == lock.text(dict(reversed(entries.items())))
    assert lock.read(text, Limits()) == (entries, ())
    assert lock.read(lock.text({}), Limits()) == ({}, ())
    assert text.splitlines()[2] == f'  "a ${{{{ x }}}}": {{digest: "{DIGEST}"}}'.encode()


def test_another_entry_is_another_version_of_the_profile() -> None:
    """What is locked is content of the profile: a version in use must not change by it."""
    files = {"p.yaml": profile(helm()), "a.yaml": cluster("a")}
    of = [
        snapshot({**files, lock.FILE: lock.text({f"{CHARTS} web 1.2.3": Locked(one, "1.2.3")}).decode()})[0]
        for one in (DIGEST, DIGEST, "sha256:" + "2" * 64)
    ]
    digests = [one.specs.profiles["web", "1.0.0"].digest for one in of]
    assert digests[0] == digests[1] != digests[2]


# The verb


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tls: Path) -> Path:
    """An empty folder below that of a configuration, which allows the servers that `serves` adds."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "repo"
    folder.mkdir()
    monkeypatch.chdir(folder)
    engine = tmp_path / "vcluster"
    engine.mkdir()
    (engine / "Chart.yaml").write_text("apiVersion: v2\nname: vcluster\nversion: 0.36.1\n")
    return folder


def serves(here: Path, tls: Path, *sites: Site, **more: Any) -> str:
    """Writes the configuration; its name."""
    file = here.parent / "nidus.yaml"
    spec = {
        "sources": [{"name": "platform", "url": "https://example.com/platform.git"}],
        "files": str(tls.parent),
        "engine": {"versions": [{"version": "0.36.1", "chart": {"path": str(here.parent / "vcluster")}}]},
        "content": {"allow": [{"prefix": one.url, "caFile": str(tls.with_name("ca.pem")), **more} for one in sites]},
    }
    file.write_text(yaml.safe_dump({"apiVersion": "nidus.dev/v1alpha1", "kind": "ControllerConfig", "spec": spec}))
    return str(file)


def pinned(folder: Path) -> dict[str, Locked]:
    return dict(lock.read((folder / lock.FILE).read_bytes(), Limits())[0])


Printed = pytest.CaptureFixture[str]


def test_lock_then_validate_then_render(here: Path, tls: Path, sites: Sites, capsys: Printed) -> None:
    """As a user does it, the last two without a server."""
    site = sites()
    digest = site.chart(version="1.2.3")
    manifest = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: remote}\n"
    address = site.put("/m.yaml", manifest)
    given = serves(here, tls, site)
    packs = (
        helm(repo=f"{site.url}/charts"),
        {"name": "crds", "namespace": "web", "manifests": {"urls": [{"url": address}]}},
    )
    (here / "p.yaml").write_text(profile(*packs))
    (here / "a.yaml").write_text(cluster("a"))
    assert main(["validate", "--config", given]) == 1
    assert "run `nidus lock` and commit its file" in capsys.readouterr().out
    assert main(["lock", "--config", given]) == 0
    assert pinned(here) == {
        f"{site.url}/charts web 1.2.3": Locked(f"sha256:{digest}", "1.2.3"),
        address: Locked("sha256:" + hashlib.sha256(manifest).hexdigest()),
    }
    assert "new     " in capsys.readouterr().out
    site.close()
    assert main(["validate", "--config", given]) == 0
    assert main(["render", "a", "web/front", "--config", given]) == 0
    assert "version: 1.2.3" in capsys.readouterr().out
    first = (here / lock.FILE).read_bytes()
    assert main(["lock", "--config", given]) == 0  # everything is known: nobody is asked
    assert (here / lock.FILE).read_bytes() == first


def test_offline_what_is_not_in_the_store_is_named(here: Path, tls: Path, sites: Sites, capsys: Printed) -> None:
    site = sites()
    digest = site.chart(version="1.2.3")
    (here / "p.yaml").write_text(profile(helm(repo=f"{site.url}/charts", digest=f"sha256:{digest}")))
    (here / "a.yaml").write_text(cluster("a"))
    given = serves(here, tls, site)
    assert main(["validate", "--offline", "-o", "json", "--config", given]) == 0
    (warning,) = json.loads(capsys.readouterr().out)["warnings"]
    assert f"{site.url}/charts web 1.2.3 is not in the content store" in warning["message"]
    assert main(["render", "a", "--offline", "--config", given]) == 1
    assert "is not in the content store" in capsys.readouterr().err
    assert site.asked == []
    assert main(["validate", "--config", given]) == 0
    assert main(["render", "a", "--offline", "--config", given]) == 0


def test_upgrade_alone_resolves_ranges_and_tells_what_moved(
    here: Path, tls: Path, sites: Sites, capsys: Printed
) -> None:
    site = sites()
    first = site.chart(version="1.2.3")
    given, key = serves(here, tls, site), f"{site.url}/charts web 1.2.x"
    (here / "p.yaml").write_text(profile(helm(repo=f"{site.url}/charts", version="1.2.x")))
    assert main(["lock", "--config", given]) == 1
    assert "a range is resolved by --upgrade only" in capsys.readouterr().err
    assert main(["lock", "--upgrade", "--config", given]) == 0
    assert pinned(here)[key] == Locked(f"sha256:{first}", "1.2.3")
    second = site.chart(version="1.2.10")
    site.chart(version="1.3.0")
    site.chart(version="1.2.11-rc.1")
    assert main(["lock", "--config", given]) == 0
    assert pinned(here)[key].version == "1.2.3"
    capsys.readouterr()
    assert main(["lock", "--upgrade", "--config", given]) == 0
    assert pinned(here)[key] == Locked(f"sha256:{second}", "1.2.10")
    assert f"moved   {key}: 1.2.3 -> 1.2.10" in capsys.readouterr().out


def test_what_changed_upstream_is_refused_until_it_is_locked_again(
    here: Path, tls: Path, sites: Sites, capsys: Printed
) -> None:
    site = sites()
    address = site.put("/m.yaml", b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: one}\n")
    given = serves(here, tls, site)
    (here / "p.yaml").write_text(
        profile({"name": "crds", "namespace": "web", "manifests": {"urls": [{"url": address}]}})
    )
    (here / "a.yaml").write_text(cluster("a"))
    assert main(["lock", "--config", given]) == 0
    for file in (here.parent / "cache" / "nidus" / "content" / "sha256").iterdir():
        file.unlink()
    site.put("/m.yaml", b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: two}\n")
    capsys.readouterr()
    assert main(["validate", "--config", given]) == 1
    assert "has the digest" in (said := capsys.readouterr().out) and "nidus lock --upgrade" in said
    assert main(["lock", "--config", given]) == 0
    assert main(["validate", "--config", given]) == 1
    capsys.readouterr()
    assert main(["lock", "--upgrade", "--config", given]) == 0
    assert "moved" in capsys.readouterr().out
    assert main(["validate", "--config", given]) == 0


def test_what_cannot_be_found_leaves_the_rest(here: Path, tls: Path, sites: Sites, capsys: Printed) -> None:
    site = sites()
    site.chart(version="1.2.3")
    given, repo = serves(here, tls, site), f"{site.url}/charts"
    packs = (
        helm(repo=repo),
        {**helm(repo=repo, version="9.9.9"), "name": "b"},
        {**helm(repo=repo, name="none"), "name": "c"},
    )
    (here / "p.yaml").write_text(profile(packs[2]))
    assert main(["lock", "--config", given]) == 1
    assert not (here / lock.FILE).exists()
    (here / "p.yaml").write_text(profile(*packs))
    assert main(["lock", "--config", given]) == 1
    said = capsys.readouterr().err
    assert "no version 9.9.9 of web; there are 1.2.3" in said
    assert "the index has no chart none" in said
    assert list(pinned(here)) == [f"{repo} web 1.2.3"]


def test_lock_writes_through_no_link(here: Path, tls: Path, sites: Sites, capsys: Printed) -> None:
    """Of a checkout that somebody else wrote: neither the file beside, nor the file itself, nor a folder above."""
    outside = here.parent / "outside"
    outside.mkdir()
    mine = outside / "mine"
    mine.write_text("mine")
    for name in (f".{lock.FILE}.new", lock.FILE):
        (here / name).symlink_to(mine)
    given = serves(here, tls, sites())
    main(["lock", "--config", given])
    (here / lock.FILE).unlink()
    assert main(["lock", "--config", given]) == 0
    assert pinned(here) == {}
    config = yaml.safe_load(Path(given).read_text())
    config["spec"]["sources"][0]["path"] = "clusters"
    Path(given).write_text(yaml.safe_dump(config))
    (here / "clusters").symlink_to(outside)
    assert main(["lock", "--config", given]) != 0
    assert "a link leads out of" in capsys.readouterr().err
    assert [(one.name, one.read_text()) for one in outside.iterdir()] == [("mine", "mine")]
    assert sorted(one.name for one in here.iterdir()) == sorted([f".{lock.FILE}.new", lock.FILE, "clusters"])


def test_entries_that_nothing_names_go_but_not_on_doubt(here: Path, tls: Path, capsys: Printed) -> None:
    (here / lock.FILE).write_bytes(lock.text({"https://a/b 1.0.0": Locked(DIGEST)}))
    (here / "p.yaml").write_text("apiVersion: nidus.dev/v1alpha1\nkind: ClusterProfile\nmetadata: {name: [}\n")
    assert main(["lock"]) == 0
    assert list(pinned(here)) == ["https://a/b 1.0.0"]
    assert "documents have mistakes" in capsys.readouterr().err
    (here / "p.yaml").unlink()
    assert main(["lock"]) == 0
    assert pinned(here) == {}
    assert "dropped https://a/b 1.0.0: no document names it" in capsys.readouterr().out


def test_an_index_without_digests_is_read_by_what_it_names(here: Path, tls: Path, sites: Sites) -> None:
    site = sites()
    digest = site.chart(version="1.2.3")
    text = (
        "apiVersion: v1\nentries:\n  other:\n  - version: 1.2.3\n    urls: [x]\n  web:\n  - version: 1.2.3\n    urls:\n"
        f"    - {site.url}/charts/web-1.2.3.tgz\n  zoo:\n  - version: 1.0.0\n    urls: [y]\ngenerated: now\n"
    )
    site.put("/charts/index.yaml", text.encode())
    (here / "p.yaml").write_text(profile(helm(repo=f"{site.url}/charts")))
    assert main(["lock", "--config", serves(here, tls, site)]) == 0
    assert pinned(here)[f"{site.url}/charts web 1.2.3"].digest == f"sha256:{digest}"


@pytest.mark.parametrize(
    ("allow", "told"),
    [
        ({"prefix": "http://charts.example.com"}, "http is not safe"),
        ({"prefix": "https://charts.example.com", "plainHTTP": True}, "this is another machine"),
        ({"prefix": "https://charts.example.com/../x"}, "leads elsewhere"),
        ({"prefix": "charts.example.com"}, "not a prefix of addresses"),
        ({"prefix": "https://charts.example.com", "password": "x"}, "unknown field password"),
    ],
)
def test_prefixes_of_a_configuration_are_judged(allow: dict[str, Any], told: str) -> None:
    spec = {
        "sources": [{"name": "a", "url": "x"}],
        "engine": {"versions": [{"version": "0.36.1", "chart": {"path": "/c"}}]},
        "content": {"allow": [allow]},
    }
    body = {"apiVersion": "nidus.dev/v1alpha1", "kind": "ControllerConfig", "spec": spec}
    _, found = config.read(yaml.safe_dump(body).encode(), "nidus.yaml")
    assert told in found[0].message and found[0].pointer.startswith("/spec/content/allow/0")
