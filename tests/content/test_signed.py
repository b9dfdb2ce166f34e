"""Charts are verified before anything of them is read (K4): good, other key, other digest, none, tampered."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler.__main__ import main
from reconciler.errors import Stalled
from reconciler.model import ChartRef, Layer, Limits, replace
from reconciler.packs import signed
from reconciler.packs.blobs import Read
from reconciler.packs.content import locking
from reconciler.packs.content.direct import Direct
from reconciler.packs.content.fetch import Means
from reconciler.packs.render import Renderer
from reconciler.packs.signed import Signer
from reconciler.spec import lock, resolve
from reconciler.spec.lock import Locked
from tests.content import signing
from tests.content.registry import Registry, local, real
from tests.content.server import packed
from tests.content.test_lock import OCI, helm, oci, serves, wrong
from tests.content.test_lock import here as here
from tests.content.test_oci import means
from tests.documents import cluster, profile
from tests.spec_cases import FACTS, RULES, snapshot, tree

ANYWHERE = replace(RULES, content=None)
DIGEST, OTHER = "1" * 64, "2" * 64
OURS, THEIRS = signing.made(), signing.made()
Layers = list[signing.Layer]


def file(layers: Layers) -> bytes:
    """Signatures as a render gets them."""
    pieces = [{"mediaType": kind, "digest": f"sha256:{DIGEST}", "annotations": notes} for kind, notes, _ in layers]
    manifest = json.dumps({"schemaVersion": 2, "layers": pieces}).encode()
    return signed.packed([manifest, *(data for _, _, data in layers)])


def changed(layer: signing.Layer, old: str, new: str) -> signing.Layer:
    kind, notes, data = layer
    assert old in data.decode()
    return kind, notes, data.decode().replace(old, new).encode()


def unsigned(layer: signing.Layer, value: str = "") -> signing.Layer:
    return layer[0], {signing.ANNOTATION: value}, layer[2]


ANOTHER_KEY = "its signature is by another key, or was changed"
TABLE: dict[str, tuple[Layers, str]] = {
    "good": ([signing.simple(OURS, DIGEST)], ""),
    "good in a bundle": ([signing.bundle(OURS, DIGEST)], ""),
    "good beside one of others": ([signing.simple(THEIRS, DIGEST), signing.simple(OURS, DIGEST)], ""),
    "other key": ([signing.simple(THEIRS, DIGEST)], ANOTHER_KEY),
    "other key in a bundle": ([signing.bundle(THEIRS, DIGEST)], ANOTHER_KEY),
    "other digest": ([signing.simple(OURS, OTHER)], "its signature is of another digest"),
    "other digest in a bundle": ([signing.bundle(OURS, OTHER)], "its signature is of another digest"),
    "none": ([], "nobody signed it"),
    "tampered": ([changed(signing.simple(OURS, OTHER), OTHER, DIGEST)], ANOTHER_KEY),
    "tampered bundle": ([changed(signing.bundle(OURS, DIGEST), "in-toto+json", "in-toto+yaml")], ANOTHER_KEY),
    "an empty signature": ([unsigned(signing.simple(OURS, DIGEST))], ANOTHER_KEY),
    "no signature": ([unsigned(signing.simple(OURS, DIGEST), "?")], "its signature is damaged"),
    "a statement about something else": (
        [signing.bundle(OURS, DIGEST, "https://spdx.dev/Document")], "what is signed is no signature of cosign"),
    "a payload of another type": ([signing.simple(OURS, DIGEST, "other")], "what is signed is no signature of cosign"),
    "no envelope": ([signing.bundle(OURS, DIGEST, dsseEnvelope=None)], "its signature has a form that is not read here"),
    "another form": ([("application/x", {}, b"{}")], "its signature has a form that is not read here"),
    "no JSON": ([(signing.BUNDLE, {}, b"[" * 100_000)], "its signature is damaged"),
}  # fmt: skip


@pytest.mark.parametrize(("layers", "why"), TABLE.values(), ids=TABLE)
def test_a_signature_counts_or_not(layers: Layers, why: str) -> None:
    check = lambda: signed.check(file(layers), DIGEST, Signer(signing.public(OURS)), "oci://x")  # noqa: E731
    if not why:
        check()
        return
    with pytest.raises(Stalled) as refused:
        check()
    assert (refused.value.reason, refused.value.message) == ("ChartUntrusted", f"oci://x is not trusted: {why}")


@pytest.mark.parametrize("kind", ["ec", "rsa", "ed25519"])
@pytest.mark.parametrize("sign", [signing.simple, signing.bundle])
def test_kinds_of_keys(kind: str, sign: Callable[..., signing.Layer]) -> None:
    key = signing.made(kind)
    signed.check(file([sign(key, DIGEST)]), DIGEST, Signer(signing.public(key)), "oci://x")


@pytest.mark.parametrize("key", [b"", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", b"\0" * 99])
def test_what_is_no_key_is_said(key: bytes) -> None:
    with pytest.raises(Stalled, match="cosignKey is no public key"):
        signed.check(file([signing.simple(OURS, DIGEST)]), DIGEST, Signer(key), "oci://x")


# In a profile


KEYED = {"verify": {"cosignKey": "cosign.pub"}}
ENTRY = f"{OCI} 1.2.3"


@pytest.mark.parametrize(
    ("pack", "locked", "told"),
    [
        (oci(**KEYED), {ENTRY: Locked(f"sha256:{DIGEST}", "1.2.3")}, ("NID193", "/spec/packs/0/helm/chart/verify")),
        (oci(**KEYED), None, ("NID193", "/spec/packs/0/helm/chart")),
        (oci(**KEYED, digest=f"sha256:{OTHER}"), {ENTRY: Locked(f"sha256:{DIGEST}", "1.2.3", f"sha256:{OTHER}")},
         ("NID193", "/spec/packs/0/helm/chart/verify")),
        (helm(**KEYED, digest=f"sha256:{DIGEST}"), None, ("NID125", "/spec/packs/0/helm/chart/verify/cosignKey")),
        (oci(verify={"identity": {"issuer": "x"}}), None, ("NID123", "/spec/packs/0/helm/chart/verify/identity")),
        (helm(verify={"provenance": "a.gpg"}, digest=f"sha256:{DIGEST}"), None, ("NID193", "/spec/packs/0/helm/chart/verify")),
        (oci(verify={"provenance": "a.gpg"}, digest=f"sha256:{DIGEST}"), None, ("NID150", "/spec/packs/0/helm/chart/verify/provenance")),
        (oci(verify={"provenance": "a.gpg", "cosignKey": "b.pub"}), None, ("NID123", "/spec/packs/0/helm/chart/verify")),
    ],
    ids=["not locked", "nothing locked", "another digest", "no registry", "identity", "provenance", "no file", "both"],
)  # fmt: skip
def test_what_a_profile_lacks_is_said(
    pack: dict[str, Any], locked: dict[str, Locked] | None, told: tuple[str, str]
) -> None:
    found = [(str(one.code), one.pointer) for one in wrong(pack, locked)]
    assert told in found


def test_a_key_that_is_not_there_is_said() -> None:
    found = wrong(oci(**KEYED), {ENTRY: Locked(f"sha256:{DIGEST}", "1.2.3", f"sha256:{OTHER}")})
    assert [(one.code, one.message) for one in found] == [("NID150", "cosign.pub is not there")]


def test_the_entry_of_the_lock_file_is_read_as_it_is_written() -> None:
    entry = {ENTRY: Locked(f"sha256:{DIGEST}", "1.2.3", f"sha256:{OTHER}")}
    assert lock.read(lock.text(entry), Limits())[0] == entry


# With a registry


@pytest.fixture(scope="module")
def renderers() -> Iterator[Callable[[Means], Renderer]]:
    made: list[Renderer] = []

    def renderer(with_: Means) -> Renderer:
        made.append(Renderer(1, content=Direct(with_, progress=lambda remote, size: None)))
        return made[-1]

    yield renderer
    for each in made:
        each.close()


TEMPLATE = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: signed}\n"


def pushed(open_one: Registry, name: str) -> str:
    return open_one.push(f"acme/{name}", "1.2.3", packed("web", "1.2.3", {"templates/made.yaml": TEMPLATE}))


@real
@pytest.mark.parametrize("way", ["tag", "bundle"])
def test_a_signed_chart_is_locked_and_rendered(
    open_one: Registry, way: str, tmp_path: Path, renderers: Callable[[Means], Renderer]
) -> None:
    digest = pushed(open_one, way)
    if way == "tag":
        open_one.attach(f"acme/{way}", f"sha256-{digest}.sig", [signing.simple(OURS, digest)])
    else:
        theirs = open_one.attach(f"acme/{way}", "theirs", [signing.bundle(THEIRS, digest)])
        ours = open_one.attach(f"acme/{way}", "ours", [signing.bundle(OURS, digest)])
        open_one.index(f"acme/{way}", f"sha256-{digest}", [(signing.BUNDLE, theirs), (signing.BUNDLE, ours)])
    address = f"oci://{open_one.host}/acme/{way}"
    chart = ChartRef(oci=address, version="1.2.3")
    found = locking.resolve(
        chart, means(tmp_path / "lock", local(open_one)), lambda size: None, Signer(signing.public(OURS))
    )
    assert found.digest == f"sha256:{digest}" and found.signature
    files = {
        "p.yaml": profile(
            {"name": "front", "namespace": "web", "helm": {"chart": {"oci": address, "version": "1.2.3", **KEYED}}}
        ),
        "a.yaml": cluster("a"),
        "cosign.pub": signing.public(OURS).decode(),
        lock.FILE: lock.text({lock.of_chart(chart): found}).decode(),
    }
    renderer = renderers(
        means(tmp_path / "pass", local(open_one))
    )  # a store of its own: all of it is fetched by digest
    [made] = renderer.render(layer(files), blobs(files), host_version="v1.36.0")
    assert made["metadata"]["name"] == "signed"
    files["cosign.pub"] = signing.public(THEIRS).decode()
    if way == "tag":
        with pytest.raises(Stalled, match=ANOTHER_KEY) as refused:
            renderer.render(layer(files), blobs(files), host_version="v1.36.0")
        assert refused.value.reason == "ChartUntrusted"


@real
@pytest.mark.parametrize(
    ("layers", "why"),
    [(None, "nobody signed it"), ([signing.simple(THEIRS, DIGEST)], ANOTHER_KEY)],
    ids=["none", "other key"],
)
def test_an_unsigned_chart_is_not_locked(open_one: Registry, layers: Layers | None, why: str, tmp_path: Path) -> None:
    name = f"unsigned{len(layers or ())}"
    digest = pushed(open_one, name)
    if layers:
        open_one.attach(f"acme/{name}", f"sha256-{digest}.sig", layers)
    chart = ChartRef(oci=f"oci://{open_one.host}/acme/{name}", version="1.2.3")
    with pytest.raises(Stalled) as refused:
        locking.resolve(chart, means(tmp_path, local(open_one)), lambda size: None, Signer(signing.public(OURS)))
    assert refused.value.reason == "ChartUntrusted" and why in refused.value.message


@real
def test_lock_then_validate_as_a_user_does_it(
    open_one: Registry, here: Path, tls: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    digest = pushed(open_one, "cli")
    tag = open_one.attach("acme/cli", f"sha256-{digest}.sig", [signing.simple(OURS, digest)])
    address = f"oci://{open_one.host}/acme/cli"
    chart = {"oci": address, "version": "1.2.3", **KEYED}
    (here / "p.yaml").write_text(profile({"name": "front", "namespace": "web", "helm": {"chart": chart}}))
    (here / "a.yaml").write_text(cluster("a"))
    (here / "cosign.pub").write_bytes(signing.public(OURS))
    given = allowing(open_one, here, tls)
    assert main(["validate", "--config", given]) == 1
    assert main(["lock", "--config", given]) == 0
    found = lock.read((here / lock.FILE).read_bytes(), Limits())[0]
    assert found == {f"{address} 1.2.3": Locked(f"sha256:{digest}", "1.2.3", f"sha256:{tag}")}
    assert main(["validate", "--config", given]) == 0
    assert main(["lock", "--config", given]) == 0
    (here / "cosign.pub").write_bytes(signing.public(THEIRS))
    capsys.readouterr()
    assert main(["validate", "--config", given]) == 1
    assert ANOTHER_KEY in capsys.readouterr().out
    assert main(["lock", "--upgrade", "--config", given]) == 1
    assert ANOTHER_KEY in capsys.readouterr().err


@real
@pytest.mark.parametrize("first", ["p.yaml", "q.yaml"])
def test_a_signature_is_locked_whichever_profile_asks_for_it(
    open_one: Registry, here: Path, tls: Path, first: str
) -> None:
    """The same chart without `verify` has an entry already; another version of the profile verifies it."""
    digest = pushed(open_one, "late")
    tag = open_one.attach("acme/late", f"sha256-{digest}.sig", [signing.simple(OURS, digest)])
    key, given = f"oci://{open_one.host}/acme/late 1.2.3", allowing(open_one, here, tls)
    second = next(iter({"p.yaml", "q.yaml"} - {first}))
    (here / first).write_text(of_one(open_one, "late", "1.0.0"))
    (here / "a.yaml").write_text(cluster("a"))
    assert main(["lock", "--config", given]) == 0
    assert lock.read((here / lock.FILE).read_bytes(), Limits())[0] == {key: Locked(f"sha256:{digest}", "1.2.3")}
    (here / second).write_text(of_one(open_one, "late", "1.1.0", **KEYED))
    (here / "cosign.pub").write_bytes(signing.public(OURS))
    assert main(["validate", "--config", given]) == 1
    assert main(["lock", "--config", given]) == 0
    wanted = Locked(f"sha256:{digest}", "1.2.3", f"sha256:{tag}")
    assert lock.read((here / lock.FILE).read_bytes(), Limits())[0] == {key: wanted}
    assert main(["validate", "--config", given]) == 0


@real
def test_one_entry_is_for_the_keys_of_all_profiles(
    open_one: Registry, here: Path, tls: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    digest = pushed(open_one, "two")
    open_one.attach("acme/two", f"sha256-{digest}.sig", [signing.simple(OURS, digest)])
    given = allowing(open_one, here, tls)
    for name, version, key in (("ours", "1.0.0", OURS), ("theirs", "1.1.0", THEIRS)):
        verify = {"cosignKey": f"{name}.pub"}
        (here / f"{name}.yaml").write_text(of_one(open_one, "two", version, verify=verify))
        (here / f"{name}.pub").write_bytes(signing.public(key))
    assert main(["lock", "--config", given]) == 1
    told = "documents verify it with 2 keys, and no manifest of signatures is by all of them"
    assert told in capsys.readouterr().err
    assert not (here / lock.FILE).exists()
    both = [signing.simple(OURS, digest), signing.simple(THEIRS, digest)]
    tag = open_one.attach("acme/two", f"sha256-{digest}.sig", both)
    assert main(["lock", "--config", given]) == 0
    (found,) = lock.read((here / lock.FILE).read_bytes(), Limits())[0].values()
    assert found.signature == f"sha256:{tag}"


def test_two_digests_of_one_chart_are_refused(here: Path, tls: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, version, digest in (("p", "1.0.0", DIGEST), ("q", "1.1.0", OTHER)):
        text = profile(oci(**KEYED, digest=f"sha256:{digest}"), version=version)
        (here / f"{name}.yaml").write_text(text)
    (here / "cosign.pub").write_bytes(signing.public(OURS))
    assert main(["lock"]) == 1
    told = f"documents verify it with 2 digests, sha256:{DIGEST} and sha256:{OTHER}, and an entry has one"
    assert told in capsys.readouterr().err


def of_one(open_one: Registry, name: str, version: str, **chart: Any) -> str:
    """A version of a profile with a chart of the registry."""
    return profile(oci(oci=f"oci://{open_one.host}/acme/{name}", **chart), version=version)


def allowing(open_one: Registry, here: Path, tls: Path) -> str:
    """A configuration that allows the registry; its name."""
    given = Path(serves(here, tls))
    told = yaml.safe_load(given.read_text())
    told["spec"]["content"] = {"allow": [{"prefix": f"oci://{open_one.host}/acme/", "plainHTTP": True}]}
    given.write_text(yaml.safe_dump(told))
    return str(given)


def layer(files: dict[str, str]) -> Layer:
    """The layer of the pack, as it is resolved."""
    found = snapshot(files, rules=ANYWHERE)[0]
    assert not found.violations
    [(made, _)] = resolve.packs("a", found.content, ANYWHERE, FACTS)
    return made


def blobs(files: dict[str, str]) -> Read:
    data = tree(files)[1]
    return lambda oids: {oid: data[oid] for oid in oids}
