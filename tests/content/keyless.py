"""Signs as cosign does without a key: a certificate of an authority for an identity, its proof of a log of certificates, and the entry of
a transparency log with its proof of inclusion, after sigstore's specifications (Fulcio, Rekor, RFC 6962). Everything is made here."""

from __future__ import annotations

import base64
import hashlib
import json
import struct
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from tests.content import signing

ISSUER = ObjectIdentifier("1.3.6.1.4.1.57264.1.8")
SCT = ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
ORIGIN = "log.example - 1"
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
Key = ec.EllipticCurvePrivateKey


def key() -> Key:
    return ec.generate_private_key(ec.SECP256R1())


def sign(by: Key, message: bytes) -> bytes:
    return by.sign(message, ec.ECDSA(hashes.SHA256()))


def spki(one: Key) -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return one.public_key().public_bytes(serialization.Encoding.DER, form)


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


@dataclass(slots=True)
class Sigstore:
    """An authority, a log of certificates and a transparency log of our own."""

    authority: Key = field(default_factory=key)
    certificates: Key = field(default_factory=key)
    log: Key = field(default_factory=key)

    @property
    def root(self) -> x509.Certificate:
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")])
        made = self._built(name, self.authority).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        mine = x509.SubjectKeyIdentifier.from_public_key(self.authority.public_key())
        whole = made.add_extension(usage, critical=True).add_extension(mine, critical=False)
        return whole.sign(self.authority, hashes.SHA256())

    def trusted(self) -> bytes:
        """The file of the trusted root."""
        whole = {"start": "2025-01-01T00:00:00Z"}
        logs = [
            {
                "baseUrl": "https://log.example",
                "hashAlgorithm": "SHA2_256",
                "publicKey": {
                    "rawBytes": text(spki(one)),
                    "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                    "validFor": whole,
                },
                "logId": {"keyId": text(hashlib.sha256(spki(one)).digest())},
            }
            for one in (self.log, self.certificates)
        ]
        authority = {
            "subject": {"organization": "o", "commonName": "authority"},
            "uri": "https://authority.example",
            "certChain": {"certificates": [{"rawBytes": text(self.root.public_bytes(serialization.Encoding.DER))}]},
            "validFor": whole,
        }
        body = {
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": logs[:1],
            "certificateAuthorities": [authority],
            "ctlogs": logs[1:],
            "timestampAuthorities": [],
        }
        return json.dumps(body).encode()

    def bundle(
        self,
        digest: str,
        identity: str = "https://ci.example/acme/web",
        issuer: str = "https://tokens.example",
        *,
        at: datetime = NOW,
        statement: str = signing.SIGN,
        logged: bool = True,
    ) -> signing.Layer:
        """A signature by an identity, as it is beside a chart in a registry. `at`: when the log took it in; `logged`: with its entry."""
        signer = key()
        certificate = self._certificate(signer, identity, issuer)
        payload = json.dumps(
            {
                "_type": "https://in-toto.io/Statement/v1",
                "subject": [{"digest": {"sha256": digest}}],
                "predicateType": statement,
                "predicate": {},
            }
        ).encode()
        kind = "application/vnd.in-toto+json"
        signature = sign(signer, f"DSSEv1 {len(kind)} {kind} {len(payload)} ".encode() + payload)
        pem = certificate.public_bytes(serialization.Encoding.PEM)
        entries = [self._entry(payload, signature, pem, at)] if logged else []
        body = {
            "mediaType": signing.BUNDLE,
            "verificationMaterial": {
                "certificate": {"rawBytes": text(certificate.public_bytes(serialization.Encoding.DER))},
                "tlogEntries": entries,
            },
            "dsseEnvelope": {
                "payload": text(payload),
                "payloadType": kind,
                "signatures": [{"sig": text(signature), "keyid": ""}],
            },
        }
        return signing.BUNDLE, {}, json.dumps(body).encode()

    def _built(self, name: x509.Name, owner: Key) -> x509.CertificateBuilder:
        issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")])
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(issuer).public_key(owner.public_key())
        ends = NOW + (timedelta(days=3000) if owner is self.authority else timedelta(minutes=10))
        return builder.serial_number(7).not_valid_before(NOW - timedelta(minutes=1)).not_valid_after(ends)

    def _certificate(self, signer: Key, identity: str, issuer: str) -> x509.Certificate:
        """A certificate with the promise of the log of certificates, which signs the certificate without it (RFC 6962, 3.2)."""
        usage = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
        builder = (
            self._built(x509.Name([]), signer)
            .add_extension(usage, critical=True)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.authority.public_key()), critical=False
            )
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
            .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(identity)]), critical=True)
            .add_extension(
                x509.UnrecognizedExtension(ISSUER, b"\x0c" + bytes([len(issuer)]) + issuer.encode()), critical=False
            )
        )
        before = builder.sign(self.authority, hashes.SHA256()).tbs_certificate_bytes
        stamp = int(NOW.timestamp() * 1000)
        hashed = hashlib.sha256(spki(self.authority)).digest()
        signed = struct.pack(">BBQH", 0, 0, stamp, 1) + hashed + len(before).to_bytes(3, "big") + before + b"\0\0"
        proof = sign(self.certificates, signed)
        body = b"\0" + hashlib.sha256(spki(self.certificates)).digest() + struct.pack(">QH", stamp, 0)
        body += b"\x04\x03" + struct.pack(">H", len(proof)) + proof
        listed = struct.pack(">H", len(body)) + body
        octets = struct.pack(">H", len(listed)) + listed
        value = (b"\x04" + (bytes([len(octets)]) if len(octets) < 128 else b"\x81" + bytes([len(octets)]))) + octets
        return builder.add_extension(x509.UnrecognizedExtension(SCT, value), critical=False).sign(
            self.authority, hashes.SHA256()
        )

    def _entry(self, payload: bytes, signature: bytes, pem: bytes, at: datetime) -> dict[str, Any]:
        """The only entry of the log: its leaf is the root of the tree."""
        spec = {
            "envelopeHash": {"algorithm": "sha256", "value": "0" * 64},
            "payloadHash": {"algorithm": "sha256", "value": hashlib.sha256(payload).hexdigest()},
            "signatures": [{"signature": text(signature), "verifier": text(pem)}],
        }
        body = canonical({"apiVersion": "0.0.1", "kind": "dsse", "spec": spec})
        root = hashlib.sha256(b"\0" + body).digest()
        known = hashlib.sha256(spki(self.log)).digest()
        note = f"{ORIGIN}\n1\n{text(root)}\n"
        checkpoint = f"{note}\n\u2014 {ORIGIN.split(' ')[0]} {text(known[:4] + sign(self.log, note.encode()))}\n"
        seconds = int(at.timestamp())
        promise = canonical({"body": text(body), "integratedTime": seconds, "logID": known.hex(), "logIndex": 0})
        return {
            "logIndex": "0",
            "logId": {"keyId": text(known)},
            "kindVersion": {"kind": "dsse", "version": "0.0.1"},
            "integratedTime": str(seconds),
            "inclusionPromise": {"signedEntryTimestamp": text(sign(self.log, promise))},
            "inclusionProof": {
                "logIndex": "0",
                "rootHash": text(root),
                "treeSize": "1",
                "hashes": [],
                "checkpoint": {"envelope": checkpoint},
            },
            "canonicalizedBody": text(body),
        }


def canonical(body: Any) -> bytes:
    return json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
