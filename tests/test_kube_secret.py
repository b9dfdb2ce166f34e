"""The engine's Secret is hostile input (A8, M15): fields of the right shape, or a refusal that shows no value."""

import base64
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from devhost import certs
from reconciler.errors import Stalled
from reconciler.kube import edge
from reconciler.kube.secret import VALUE_LIMIT, context, credentials

CA = certs.authority("tenant-ca")
OTHER = certs.authority("other-ca")
USER = certs.issue(CA, "admin")


def secret(**data: Any) -> dict[str, Any]:
    whole = {
        "certificate-authority": CA.certificate,
        "client-certificate": USER.certificate,
        "client-key": USER.key,
        **{key.replace("_", "-"): value for key, value in data.items()},
    }
    kept = {key: value for key, value in whole.items() if value is not None}
    return {"data": {k: base64.b64encode(v).decode() if isinstance(v, bytes) else v for k, v in kept.items()}}


def test_certificate_and_key_are_taken_before_a_token() -> None:
    found = credentials(secret(token=b"abc.def"))
    assert (found.certificate.encode(), found.key.encode(), found.token) == (USER.certificate, USER.key, "")
    assert context(found).verify_mode.name == "CERT_REQUIRED"
    assert context(found).check_hostname


def test_a_token_will_do() -> None:
    found = credentials(secret(client_certificate=None, client_key=None, token=b"abc.def"))
    assert (found.token, found.certificate) == ("abc.def", "")


ENCRYPTED = USER.key.replace(b"\n", b"\nProc-Type: 4,ENCRYPTED\n", 1)
HOSTILE = {
    "no CA": secret(certificate_authority=None),
    "empty CA": secret(certificate_authority=b""),
    "CA is a path": secret(certificate_authority=b"/etc/ssl/certs/ca-certificates.crt"),
    "CA climbs out": secret(certificate_authority=b"../../../../etc/passwd"),
    "CA with a tail": secret(certificate_authority=CA.certificate + b"\nexec: {command: touch}\n"),
    "CA holds a key": secret(certificate_authority=CA.key),
    "CA not base64": secret(certificate_authority="%%%"),
    "CA a number": secret(certificate_authority=7),
    "CA a list": secret(certificate_authority=["a"]),
    "CA huge": secret(certificate_authority=CA.certificate * (VALUE_LIMIT // len(CA.certificate) + 1)),
    "CA garbage in PEM": secret(
        certificate_authority=b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    ),
    "key encrypted": secret(client_key=ENCRYPTED),
    "key of another": secret(client_key=OTHER.key),
    "key a certificate": secret(client_key=USER.certificate),
    "only a certificate": secret(client_key=None),
    "token with a header": secret(client_certificate=None, client_key=None, token=b"a\r\nX-Remote-User: admin"),
    "token with a space": secret(client_certificate=None, client_key=None, token=b"a b"),
    "nothing": {"data": {}},
    "no data": {},
    "data a list": {"data": ["x"]},
}


@pytest.mark.parametrize("given", HOSTILE.values(), ids=HOSTILE.keys())
def test_anything_else_is_refused_without_its_value(given: dict[str, Any]) -> None:
    with pytest.raises(Stalled) as refusal:
        context(credentials(given))
    assert refusal.value.reason == "CredentialsInvalid"
    assert "BEGIN" not in refusal.value.message
    assert "passwd" not in refusal.value.message


@pytest.fixture
def no_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Any attempt to start a program fails the test."""

    def started(*args: Any, **rest: Any) -> None:
        raise AssertionError(f"a program was started: {args}")

    monkeypatch.setattr(subprocess, "Popen", started)
    yield


def test_its_kubeconfig_is_never_read(tmp_path: Path, no_process: None) -> None:
    mark = tmp_path / "ran"
    config = f"""{{"users": [{{"name": "x", "user": {{"exec": {{"command": "touch", "args": ["{mark}"]}}}}}}],
        "clusters": [{{"name": "x", "cluster": {{"server": "https://evil.example", "insecure-skip-tls-verify": true}}}}]}}"""
    client = edge.nested(secret(config=config.encode(), server=b"https://evil.example"), "red", "vcluster-red")
    access = client.transport.api.access
    assert (access.server, access.verify) == ("https://red.vcluster-red:443", True)
    assert not mark.exists()
    client.close()


def test_representations_hide_keys() -> None:
    shown = repr(credentials(secret()))
    assert "PRIVATE" not in shown
