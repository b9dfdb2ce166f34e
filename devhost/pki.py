"""The keys and certificates of a host, made once and kept as long as its folder."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509

from devhost import certs
from devhost.certs import Pair
from devhost.state import replace

SERVING_NAMES = ("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc")
SERVING_ADDRESSES = ("127.0.0.1", "10.96.0.1")

CLIENTS = {
    "admin": ("nidus-admin", "system:masters"),
    "controller-manager": ("system:kube-controller-manager", ""),
    "scheduler": ("system:kube-scheduler", ""),
    "kwok": ("kwok", "system:masters"),
    "actors": ("nidus-actors", "system:masters"),
}
"""File name -> user and group. Every component is a user of its own, so that an audit log tells them apart."""


def ensure(folder: Path) -> None:
    """Make every file in `folder` unless all are there and live another day; half a set is made anew."""
    complete = folder / "complete"
    if complete.exists() and _lives_on(folder / "ca.crt"):
        return
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    ca, etcd_ca = certs.authority("nidus-host-ca"), certs.authority("nidus-host-etcd-ca")
    _write(folder, "ca", ca)
    _write(folder, "etcd-ca", etcd_ca)
    _write(folder, "etcd", certs.issue(etcd_ca, "etcd", dns=("localhost",)))
    _write(folder, "serving", certs.issue(ca, "nidus-host", dns=SERVING_NAMES, ips=SERVING_ADDRESSES))
    for name, (user, group) in CLIENTS.items():
        _write(folder, name, certs.issue(ca, user, orgs=(group,) if group else ()))
    private, public = certs.key_pair()
    replace(folder / "sa.key", private)
    replace(folder / "sa.pub", public)
    token = secrets.token_urlsafe(32)
    replace(folder / "tokens.csv", f'{token},nidus-admin,nidus-admin,"system:masters"\n'.encode())
    complete.touch(mode=0o600)


def load(folder: Path, name: str) -> Pair:
    """Return the pair stored under `name`."""
    return Pair((folder / f"{name}.crt").read_bytes(), (folder / f"{name}.key").read_bytes())


def write_kubeconfigs(folder: Path, server: str, admin: Path) -> None:
    """Write `NAME.kubeconfig` for each client, and the administrator's (which knows the token too) to `admin`."""
    ca = (folder / "ca.crt").read_bytes()
    for name in CLIENTS:
        text = certs.kubeconfig(server, ca, load(folder, name))
        replace(folder / f"{name}.kubeconfig", text.encode())
    token = (folder / "tokens.csv").read_text().split(",")[0]
    replace(admin, certs.kubeconfig(server, ca, load(folder, "admin"), token).encode())


def _write(folder: Path, name: str, pair: Pair) -> None:
    replace(folder / f"{name}.crt", pair.certificate)
    replace(folder / f"{name}.key", pair.key)


def _lives_on(certificate: Path) -> bool:
    try:
        read = x509.load_pem_x509_certificate(certificate.read_bytes())
    except (OSError, ValueError):
        return False
    return read.not_valid_after_utc - datetime.now(UTC) > timedelta(days=1)
