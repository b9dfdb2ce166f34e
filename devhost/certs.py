"""Certificates and kubeconfigs of the embedded host: EC keys, one authority, short subjects as Kubernetes reads them.

Kubernetes takes the common name of a client certificate as the user and its organizations as the groups.
"""

from __future__ import annotations

import base64
import ipaddress
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFE = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its private key, both PEM."""

    certificate: bytes
    key: bytes


def authority(name: str) -> Pair:
    """Return a new self-signed authority with common name `name`."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _subject(name, ())
    certificate = (
        _builder(subject, subject, key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Pair(certificate.public_bytes(serialization.Encoding.PEM), _pem(key))


def issue(
    ca: Pair, name: str, orgs: Sequence[str] = (), dns: Sequence[str] = (), ips: Sequence[str] = ("127.0.0.1",)
) -> Pair:
    """Return a certificate signed by `ca`, good as a client (`name` the user, `orgs` its groups) and as a server (`dns`, `ips`)."""
    signer = x509.load_pem_x509_certificate(ca.certificate)
    signer_key = serialization.load_pem_private_key(ca.key, None)
    assert isinstance(signer_key, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    names = [*map(x509.DNSName, dns), *(x509.IPAddress(ipaddress.ip_address(ip)) for ip in ips)]
    both = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
    builder = (
        _builder(_subject(name, orgs), signer.subject, key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(both), critical=False)
        .add_extension(_signed_by(signer), critical=False)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return Pair(builder.sign(signer_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM), _pem(key))


def key_pair() -> tuple[bytes, bytes]:
    """Return a new (private, public) key as PEM, for signing service-account tokens."""
    key = ec.generate_private_key(ec.SECP256R1())
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    return _pem(key), key.public_key().public_bytes(serialization.Encoding.PEM, spki)


def kubeconfig(server: str, ca: bytes, user: Pair, token: str = "", context: str = "host") -> str:
    """Return a kubeconfig (JSON, which is YAML) for `server`, trusting `ca`.

    Its current context `context` authenticates by certificate; with a `token`, `<context>-token` does by token.
    """
    users: dict[str, dict[str, str]] = {
        context: {"client-certificate-data": _base64(user.certificate), "client-key-data": _base64(user.key)}
    }
    if token:
        users[f"{context}-token"] = {"token": token}
    body = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": context, "cluster": {"server": server, "certificate-authority-data": _base64(ca)}}],
        "users": [{"name": name, "user": data} for name, data in users.items()],
        "contexts": [{"name": name, "context": {"cluster": context, "user": name}} for name in users],
        "current-context": context,
    }
    return json.dumps(body, indent=2) + "\n"


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))  # clocks of tests step back
        .not_valid_after(now + LIFE)
    )


def _subject(name: str, orgs: Sequence[str]) -> x509.Name:
    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, org) for org in orgs]
    return x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _signed_by(signer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    identifier = signer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=not signs_certificates,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    # SEC1 ("EC PRIVATE KEY"): what client-go's and the controller manager's key readers take without guessing
    form = serialization.PrivateFormat.TraditionalOpenSSL
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
