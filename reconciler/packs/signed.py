"""Signatures of charts in registries (K4): cosign's (SIGNATURE_SPEC.md), and bundles of sigstore with a DSSE envelope.

A signature counts where the key signed it, or the one that a certificate names (`packs.keyless`), and what it signs names the chart's own
manifest by digest. Who else signed it, and when, does not matter; nobody is asked over the network.
"""

import base64
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import msgspec
from msgspec import Struct

from reconciler import decoding
from reconciler.errors import UNREADABLE, Stalled

SIMPLE = "application/vnd.dev.cosign.simplesigning.v1+json"
BUNDLE = "application/vnd.dev.sigstore.bundle"
STATEMENT = "application/vnd.in-toto+json"
SIGNS = "https://sigstore.dev/cosign/sign/v1"
"""The kind of a statement that signs; others with the same key say something else of a chart, such as what it is made of."""
_ANNOTATION = "dev.cosignproject.cosign/signature"
_CERTIFICATE = "dev.sigstore.cosign/certificate"
_FORM = "its signature has a form that is not read here"
_OLDER = "it is signed without a key in the older form of cosign, which is not read here: sign it with `cosign sign --new-bundle-format`"
_KEYED = "it is signed with a key, and an identity has to have signed it"
_TYPES = ("cosign container image signature", "atomic container signature")
_HINT = (
    "sign the chart with that key (cosign sign --key, helm package --sign) or as that identity, or name who signed it; "
    "then run `nidus lock`"
)

Verify = Callable[[bytes, bytes], None]
"""(signature, message); raises InvalidSignature."""


class Signer(Struct, frozen=True):
    """By whom a chart has to be signed: the public key (PEM) in `keys`; or, where an identity is named, `subject` as `issuer` knows it, and
    `keys` are the trusted root of sigstore."""

    keys: bytes
    subject: str = ""
    issuer: str = ""


class _Layer(Struct):
    mediaType: str = ""  # noqa: N815 (the format's own name)
    annotations: dict[str, str] = {}


class _Manifest(Struct):
    layers: list[_Layer] = []


class _Image(Struct):
    digest: str = msgspec.field(name="docker-manifest-digest")


class _Critical(Struct):
    image: _Image
    type: str = ""


class _Simple(Struct):
    critical: _Critical


class _Signature(Struct):
    sig: bytes


class _Envelope(Struct):
    payload: bytes
    payloadType: str  # noqa: N815
    signatures: list[_Signature]


class _Bundle(Struct):
    dsseEnvelope: _Envelope | None = None  # noqa: N815


class _Subject(Struct):
    digest: dict[str, str] = {}


class _Statement(Struct):
    predicateType: str  # noqa: N815
    subject: list[_Subject]


class _No(Exception):
    """Why one signature does not count."""


def packed(parts: Sequence[bytes]) -> bytes:
    """A manifest of signatures and what it names, in its order, as one file."""
    return msgspec.json.encode(list(parts))


def check(data: bytes, digest: str, signer: Signer, name: str) -> None:
    """That one of the signatures (`packed`) is by the signer, of what has this hex digest. `name` is the chart's.

    Raises Stalled(ChartUntrusted) with what is wrong with the last of them.
    """
    found = _by_identity(signer, name) if signer.subject else partial(_by_key, verify=_verifier(signer.keys, name))
    why = "nobody signed it"
    for one in _each(data):
        try:
            if found(*one) != f"sha256:{digest}":
                raise _No("its signature is of another digest")
        except _No as error:
            why = str(error)
        else:
            return
    raise untrusted(name, why)


def untrusted(name: str, why: str) -> Stalled:
    return Stalled(f"{name} is not trusted: {why}", reason="ChartUntrusted", hint=_HINT)


def _each(data: bytes) -> Iterator[tuple[_Layer, bytes]]:
    """Each signature's place in the manifest, and its bytes."""
    try:
        manifest, *blobs = decoding.decoded(data, list[bytes])
        yield from zip(decoding.decoded(manifest, _Manifest).layers, blobs, strict=True)
    except UNREADABLE:
        return


def _by_key(layer: _Layer, blob: bytes, verify: Verify) -> str:
    """The digest that the key signed."""
    if layer.mediaType == SIMPLE:
        return _simple(layer, blob, verify)
    if layer.mediaType.startswith(BUNDLE):
        return _bundled(blob, verify)
    raise _No(_FORM)


def _by_identity(signer: Signer, name: str) -> Callable[[_Layer, bytes], str]:
    """What gives the digest that the identity signed."""
    from reconciler.packs import keyless

    try:
        verify = keyless.verifier(signer.keys, signer.subject, signer.issuer)
    except keyless.Unverified as error:
        raise untrusted(name, str(error)) from None

    def found(layer: _Layer, blob: bytes) -> str:
        if layer.mediaType == SIMPLE:
            raise _No(_OLDER if _CERTIFICATE in layer.annotations else _KEYED)
        if not layer.mediaType.startswith(BUNDLE):
            raise _No(_FORM)
        try:
            return _stated(*verify(blob))
        except keyless.Unverified as error:
            raise _No(str(error)) from None

    return found


def _simple(layer: _Layer, blob: bytes, verify: Verify) -> str:
    """The digest that a payload of cosign signs; the signature stands beside it."""
    try:
        signature = base64.b64decode(layer.annotations.get(_ANNOTATION, ""), validate=True)
    except ValueError:
        raise _No("its signature is damaged") from None
    _signed(signature, blob, verify)
    payload: _Simple = _read(blob, _Simple)
    if payload.critical.type not in _TYPES:
        raise _No("what is signed is no signature of cosign")
    return payload.critical.image.digest


def _bundled(blob: bytes, verify: Verify) -> str:
    """The digest that the statement of a bundle signs (DSSE's PAE)."""
    bundle: _Bundle = _read(blob, _Bundle)
    envelope = bundle.dsseEnvelope
    if envelope is None or len(envelope.signatures) != 1:
        raise _No(_FORM)
    kind = envelope.payloadType.encode()
    message = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(envelope.payload), envelope.payload)
    _signed(envelope.signatures[0].sig, message, verify)
    return _stated(envelope.payloadType, envelope.payload)


def _stated(kind: str, payload: bytes) -> str:
    """The digest that a signed statement names."""
    statement: _Statement = _read(payload, _Statement)
    if kind != STATEMENT or statement.predicateType != SIGNS or len(statement.subject) != 1:
        raise _No("what is signed is no signature of cosign")
    return f"sha256:{statement.subject[0].digest.get('sha256', '')}"


def _read(data: bytes, kind: type[Any]) -> Any:
    try:
        return decoding.decoded(data, kind)
    except UNREADABLE:
        raise _No("its signature is damaged") from None


def _signed(signature: bytes, message: bytes, verify: Verify) -> None:
    from cryptography.exceptions import InvalidSignature

    try:
        verify(signature, message)
    except InvalidSignature:
        raise _No("its signature is by another key, or was changed") from None


def _verifier(key: bytes, name: str) -> Verify:
    """What checks signatures by a public key, with SHA-256 as cosign does."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

    try:
        public = serialization.load_pem_public_key(key)
    except (ValueError, UnsupportedAlgorithm):
        raise untrusted(name, "the file of its cosignKey is no public key (cosign.pub)") from None
    if isinstance(public, ec.EllipticCurvePublicKey):
        return lambda signature, message: public.verify(signature, message, ec.ECDSA(hashes.SHA256()))
    if isinstance(public, rsa.RSAPublicKey) and public.key_size >= 2048:
        return lambda signature, message: public.verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
    if isinstance(public, ed25519.Ed25519PublicKey):
        return public.verify
    raise untrusted(name, "its cosignKey is of a kind that is not used here: ECDSA, Ed25519, or RSA from 2048 bits on")
