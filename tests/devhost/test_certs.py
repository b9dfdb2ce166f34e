"""Certificates that OpenSSL's strict checks accept, kubeconfigs, and the audit policy: no host needed."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from pathlib import Path

import pytest

from devhost import certs, pki
from devhost.bringup import audit_policy
from devhost.certs import Pair
from devhost.errors import HostError


def stored(folder: Path, name: str, pair: Pair) -> tuple[str, str]:
    """Write `pair` into `folder`; return the names of the certificate's and the key's file."""
    certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
    certificate.write_bytes(pair.certificate)
    key.write_bytes(pair.key)
    return str(certificate), str(key)


def test_strict_client_and_server_trust_each_other(tmp_path: Path) -> None:
    ca = certs.authority("some-ca")
    served = stored(tmp_path, "server", certs.issue(ca, "server", dns=("name.ns",)))
    user = stored(tmp_path, "user", certs.issue(ca, "jane", orgs=("ops",)))
    trusted = stored(tmp_path, "ca", ca)[0]
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=trusted)
    client = ssl.create_default_context(cafile=trusted)
    for context, pair in ((server, served), (client, user)):
        context.load_cert_chain(*pair)
        context.verify_mode = ssl.CERT_REQUIRED
        context.verify_flags |= ssl.VERIFY_X509_STRICT
    near, far = socket.socketpair()
    seen: list[object] = []

    def serve() -> None:
        with server.wrap_socket(far, server_side=True) as line:
            seen.append(line.getpeercert())
            line.recv(1)

    thread = threading.Thread(target=serve)
    thread.start()
    with client.wrap_socket(near, server_hostname="name.ns") as line:
        line.send(b"x")
    thread.join(60)
    assert "jane" in str(seen) and "ops" in str(seen)


def test_kubeconfig_has_both_ways_in() -> None:
    ca = certs.authority("some-ca")
    config = json.loads(
        certs.kubeconfig("https://127.0.0.1:1", ca.certificate, certs.issue(ca, "jane"), token="secret")
    )
    assert [context["name"] for context in config["contexts"]] == ["host", "host-token"]
    assert config["users"][1]["user"] == {"token": "secret"} and config["current-context"] == "host"


def test_keys_are_kept_when_whole_and_made_anew_when_not(tmp_path: Path) -> None:
    folder = tmp_path / "pki"
    pki.ensure(folder)
    first = (folder / "ca.crt").read_bytes()
    pki.ensure(folder)
    assert (folder / "ca.crt").read_bytes() == first
    (folder / "ca.crt").write_bytes(first[:100])
    pki.ensure(folder)
    assert (folder / "ca.crt").read_bytes() not in (first, first[:100])
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


def test_audit_policy_names_users_and_groups() -> None:
    rules = audit_policy(["jane", "system:serviceaccount:*", "system:serviceaccount:apps:*"])["rules"]
    named: list[dict[str, list[str]]] = [
        {"users": ["jane"]},
        {"userGroups": ["system:serviceaccounts"]},
        {"userGroups": ["system:serviceaccounts:apps"]},
    ]
    reads = {"level": "Metadata", "verbs": ["get", "list", "watch"]}
    assert rules == [
        *({**reads, **who} for who in named),
        *({"level": "Request", **who} for who in named),
        {"level": "None"},
    ]


@pytest.mark.parametrize("pattern", ["*", "jane*", "system:serviceaccount:a:b:*", "system:node:*"])
def test_audit_policy_refuses_other_patterns(pattern: str) -> None:
    with pytest.raises(HostError, match=r"^audit: "):
        audit_policy([pattern])
