"""Charts signed by an identity and no key (K4): by the right one, another one, under another root, tampered, expired, not logged."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from reconciler.__main__ import main
from reconciler.errors import Stalled
from reconciler.model import Limits
from reconciler.packs import signed
from reconciler.packs.signed import Signer
from reconciler.spec import lock
from tests.content import keyless, signing
from tests.content.keyless import NOW, Sigstore
from tests.content.registry import Registry, real
from tests.content.server import packed
from tests.content.test_lock import helm, oci, wrong
from tests.content.test_lock import here as here
from tests.content.test_signed import DIGEST, OTHER, TEMPLATE, allowing, file
from tests.documents import cluster, profile

SUBJECT, ISSUER = "https://ci.example/acme/web", "https://tokens.example"
OURS, THEIRS = Sigstore(), Sigstore()
IDENTITY = {"subject": SUBJECT, "issuer": ISSUER, "trustedRoot": "root.json"}
Change = Callable[[dict[str, Any]], None]


def changed(layer: signing.Layer, change: Change) -> signing.Layer:
    kind, notes, data = layer
    body = json.loads(data)
    change(body)
    return kind, notes, json.dumps(body).encode()


def other_digest(body: dict[str, Any]) -> None:
    envelope = body["dsseEnvelope"]
    text = base64.b64decode(envelope["payload"]).replace(OTHER.encode(), DIGEST.encode())
    envelope["payload"] = base64.b64encode(text).decode()


def other_time(body: dict[str, Any]) -> None:
    body["verificationMaterial"]["tlogEntries"][0]["integratedTime"] = str(int(NOW.timestamp()) + 1)


def no_promise(body: dict[str, Any]) -> None:
    del body["verificationMaterial"]["tlogEntries"][0]["inclusionPromise"]


def older(layer: signing.Layer) -> signing.Layer:
    """As `cosign sign` without a key leaves it at the tag, before there were bundles."""
    kind, notes, data = layer
    return kind, notes | {"dev.sigstore.cosign/certificate": "-----BEGIN CERTIFICATE-----\n"}, data


COUNTS, READ = "its signature does not count: ", "its signature cannot be read"
FORM = "its signature has a form that is not read here"
OLDER = "it is signed without a key in the older form of cosign, which is not read here: sign it with `cosign sign --new-bundle-format`"
TABLE: dict[str, tuple[signing.Layer, str]] = {
    "good": (OURS.bundle(DIGEST), ""),
    "another subject": (OURS.bundle(DIGEST, f"{SUBJECT}x"), COUNTS),
    "another issuer": (OURS.bundle(DIGEST, issuer="https://tokens.other"), COUNTS),
    "another root": (THEIRS.bundle(DIGEST), COUNTS),
    "another authority, the same log": (Sigstore(certificates=OURS.certificates, log=OURS.log).bundle(DIGEST), COUNTS),
    "another log": (Sigstore(OURS.authority, OURS.certificates).bundle(DIGEST), COUNTS),
    "another log of certificates": (Sigstore(OURS.authority, log=OURS.log).bundle(DIGEST), COUNTS),
    "after its certificate ended": (OURS.bundle(DIGEST, at=NOW + timedelta(hours=1)), COUNTS),
    "not logged": (OURS.bundle(DIGEST, logged=False), READ),
    "another digest": (OURS.bundle(OTHER), "its signature is of another digest"),
    "tampered": (changed(OURS.bundle(OTHER), other_digest), COUNTS),
    "a changed time": (changed(OURS.bundle(DIGEST), other_time), COUNTS),
    "no promise of the log": (changed(OURS.bundle(DIGEST), no_promise), READ),
    "about something else": (OURS.bundle(DIGEST, statement="https://spdx.dev/Document"), "what is signed is no signature of cosign"),
    "by a key": (signing.bundle(signing.made(), DIGEST), READ),
    "another form": (("application/x", {}, b"{}"), FORM),
    "the older form": (older(signing.simple(signing.made(), DIGEST)), OLDER),
    "the older form, by a key": (signing.simple(signing.made(), DIGEST), "it is signed with a key, and an identity has to have signed it"),
    "no JSON": ((signing.BUNDLE, {}, b"[" * 100_000), READ),
    "nothing": ((signing.BUNDLE, {}, b""), READ),
}  # fmt: skip


@pytest.mark.parametrize(("layer", "why"), TABLE.values(), ids=TABLE)
def test_a_signature_counts_or_not(layer: signing.Layer, why: str) -> None:
    check = lambda: signed.check(file([layer]), DIGEST, Signer(OURS.trusted(), SUBJECT, ISSUER), "oci://x")  # noqa: E731
    if not why:
        check()
        return
    with pytest.raises(Stalled) as refused:
        check()
    assert refused.value.reason == "ChartUntrusted"
    assert refused.value.message.startswith(f"oci://x is not trusted: {why}")
    assert refused.value.message.isprintable()


@pytest.mark.parametrize("root", [b"", b"{}", b"[" * 100_000, keyless.canonical({"mediaType": "x"})])
def test_what_is_no_trusted_root_is_said(root: bytes) -> None:
    with pytest.raises(Stalled, match="the file of its trustedRoot is no trusted root of sigstore"):
        signed.check(file([OURS.bundle(DIGEST)]), DIGEST, Signer(root, SUBJECT, ISSUER), "oci://x")


@pytest.mark.parametrize(
    ("pack", "told"),
    [
        (oci(verify={"identity": IDENTITY}), ("NID193", "/spec/packs/0/helm/chart")),
        (helm(verify={"identity": IDENTITY}, digest=f"sha256:{DIGEST}"), ("NID125", "/spec/packs/0/helm/chart/verify/identity")),
        (oci(verify={"identity": {**IDENTITY, "issuer": "tokens"}}), ("NID125", "/spec/packs/0/helm/chart/verify/identity/issuer")),
        (oci(verify={"identity": {**IDENTITY, "subject": "a b"}}), ("NID125", "/spec/packs/0/helm/chart/verify/identity/subject")),
        (oci(verify={"identity": IDENTITY}, digest=f"sha256:{DIGEST}"), ("NID150", "/spec/packs/0/helm/chart/verify/identity/trustedRoot")),
        (oci(verify={"identity": IDENTITY, "cosignKey": "b.pub"}), ("NID123", "/spec/packs/0/helm/chart/verify")),
    ],
    ids=["nothing locked", "no registry", "issuer", "subject", "no file", "both"],
)  # fmt: skip
def test_what_a_profile_lacks_is_said(pack: dict[str, Any], told: tuple[str, str]) -> None:
    assert told in [(str(one.code), one.pointer) for one in wrong(pack, None)]


@real
def test_lock_then_validate_as_a_user_does_it(
    open_one: Registry, here: Path, tls: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    digest = open_one.push("acme/keyless", "1.2.3", packed("web", "1.2.3", {"templates/made.yaml": TEMPLATE}))
    theirs = open_one.attach("acme/keyless", "theirs", [THEIRS.bundle(digest)])
    ours = open_one.attach("acme/keyless", "ours", [OURS.bundle(digest)])
    open_one.index("acme/keyless", f"sha256-{digest}", [(signing.BUNDLE, theirs), (signing.BUNDLE, ours)])
    chart = {"oci": f"oci://{open_one.host}/acme/keyless", "version": "1.2.3", "verify": {"identity": IDENTITY}}
    (here / "p.yaml").write_text(profile({"name": "front", "namespace": "web", "helm": {"chart": chart}}))
    (here / "a.yaml").write_text(cluster("a"))
    (here / "root.json").write_bytes(OURS.trusted())
    given = allowing(open_one, here, tls)
    assert main(["lock", "--config", given]) == 0
    (found,) = lock.read((here / lock.FILE).read_bytes(), Limits())[0].values()
    assert found.signature == f"sha256:{ours}"
    assert main(["validate", "--config", given]) == 0, capsys.readouterr().out
    (here / "root.json").write_bytes(THEIRS.trusted())
    capsys.readouterr()
    assert main(["validate", "--config", given]) == 1
    assert COUNTS in capsys.readouterr().out
