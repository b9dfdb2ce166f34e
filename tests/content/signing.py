"""Signs as cosign does: after SIGNATURE_SPEC.md of cosign, the protocol of DSSE, and the bundle of sigstore."""

from __future__ import annotations

import base64
import json
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

ANNOTATION = "dev.cosignproject.cosign/signature"
SIMPLE = "application/vnd.dev.cosign.simplesigning.v1+json"
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
SIGN = "https://sigstore.dev/cosign/sign/v1"
Key = Any
Layer = tuple[str, dict[str, str], bytes]


def made(kind: str = "ec") -> Key:
    if kind == "rsa":
        return rsa.generate_private_key(65537, 2048)
    return ed25519.Ed25519PrivateKey.generate() if kind == "ed25519" else ec.generate_private_key(ec.SECP256R1())


def public(key: Key) -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return bytes(key.public_key().public_bytes(serialization.Encoding.PEM, form))


def signature(key: Key, message: bytes) -> str:
    if isinstance(key, ec.EllipticCurvePrivateKey):
        found = key.sign(message, ec.ECDSA(hashes.SHA256()))
    elif isinstance(key, rsa.RSAPrivateKey):
        found = key.sign(message, padding.PKCS1v15(), hashes.SHA256())
    else:
        found = key.sign(message)
    return base64.b64encode(found).decode()


def simple(key: Key, digest: str, kind: str = "cosign container image signature") -> Layer:
    """A layer of a tag `sha256-DIGEST.sig`."""
    image = {"docker-manifest-digest": f"sha256:{digest}"}
    critical = {"identity": {"docker-reference": "ghcr.io/acme/web"}, "image": image, "type": kind}
    payload = json.dumps({"critical": critical, "optional": None}).encode()
    return SIMPLE, {ANNOTATION: signature(key, payload)}, payload


def bundle(key: Key, digest: str, predicate: str = SIGN, **more: Any) -> Layer:
    """The layer of what refers to the chart, with a statement in an envelope."""
    subject = [{"digest": {"sha256": digest}}]
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": subject,
        "predicateType": predicate,
        "predicate": {},
    }
    payload, kind = json.dumps(statement).encode(), "application/vnd.in-toto+json"
    message = f"DSSEv1 {len(kind)} {kind} {len(payload)} ".encode() + payload
    signatures = [{"sig": signature(key, message), "keyid": ""}]
    envelope = {"payload": base64.b64encode(payload).decode(), "payloadType": kind, "signatures": signatures}
    material = {"publicKey": {"hint": "x"}, "tlogEntries": []}
    body = {"mediaType": BUNDLE, "verificationMaterial": material, "dsseEnvelope": envelope, **more}
    return BUNDLE, {}, json.dumps(body).encode()
