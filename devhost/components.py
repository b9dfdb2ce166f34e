"""The command line of each component: pure functions from paths and ports to argv.

Used for the host itself and for the control planes nested in it, so nothing here knows a folder's layout.
Every server listens on 127.0.0.1 alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

SERVICE_CIDR = "10.96.0.0/16"
POD_CIDR = "10.244.0.0/16"
LOOPBACK = "127.0.0.1"

ADMISSION = ("ServiceAccount", "ResourceQuota", "LimitRanger", "PodSecurity", "ValidatingAdmissionPolicy")
"""Named although on by default: a host that lacks one must fail to start, not teach a wrong lesson."""

WHOLE_MB = 100_000
"""The audit log is read from an offset on: it must never be rotated, which the server does at 100 MB unless told."""


def etcd(binary: Path, *, data: Path, certificate: Path, key: Path, ca: Path, client: int, peer: int) -> list[str]:
    """One member, TLS with client certificates of `ca`; no fsync, since a host's storage may be lost with its machine."""
    clients, peers = f"https://{LOOPBACK}:{client}", f"https://{LOOPBACK}:{peer}"
    return [
        str(binary),
        "--name=host",
        f"--data-dir={data}",
        "--unsafe-no-fsync",
        f"--listen-client-urls={clients}",
        f"--advertise-client-urls={clients}",
        f"--listen-peer-urls={peers}",
        f"--initial-advertise-peer-urls={peers}",
        f"--initial-cluster=host={peers}",
        f"--cert-file={certificate}",
        f"--key-file={key}",
        f"--trusted-ca-file={ca}",
        "--client-cert-auth",
        f"--peer-cert-file={certificate}",
        f"--peer-key-file={key}",
        f"--peer-trusted-ca-file={ca}",
        "--peer-client-cert-auth",
        "--log-level=warn",
    ]


def storage(*, server: str, certificate: Path, key: Path, ca: Path, prefix: str = "/registry") -> list[str]:
    """The API server's flags for keeping its objects in etcd at `server` under `prefix`."""
    return [
        f"--etcd-servers={server}",
        f"--etcd-certfile={certificate}",
        f"--etcd-keyfile={key}",
        f"--etcd-cafile={ca}",
        f"--etcd-prefix={prefix}",
    ]


def apiserver(
    binary: Path, *, pki: Path, port: int, store: Sequence[str], cidr: str = SERVICE_CIDR, extra: Sequence[str] = ()
) -> list[str]:
    """An API server; `pki` holds ca, serving, sa, kubelet-client files (see pki.py), `store` is what storage() returns."""
    return [
        str(binary),
        *store,
        f"--bind-address={LOOPBACK}",
        f"--advertise-address={LOOPBACK}",
        f"--secure-port={port}",
        f"--service-cluster-ip-range={cidr}",
        f"--tls-cert-file={pki / 'serving.crt'}",
        f"--tls-private-key-file={pki / 'serving.key'}",
        f"--client-ca-file={pki / 'ca.crt'}",
        f"--token-auth-file={pki / 'tokens.csv'}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={pki / 'sa.pub'}",
        f"--service-account-signing-key-file={pki / 'sa.key'}",
        f"--kubelet-client-certificate={pki / 'admin.crt'}",
        f"--kubelet-client-key={pki / 'admin.key'}",
        f"--kubelet-certificate-authority={pki / 'ca.crt'}",
        "--kubelet-preferred-address-types=InternalIP",
        "--authorization-mode=Node,RBAC",
        f"--enable-admission-plugins={','.join(ADMISSION)}",
        "--allow-privileged",
        "--endpoint-reconciler-type=none",  # 127.0.0.1 is no valid endpoint address; nothing here routes to it
        "--enable-priority-and-fairness=true",
        *extra,
    ]


def audit(policy: Path, log: Path) -> list[str]:
    """The API server's flags for writing the audit log that `policy` asks for, one JSON event a line, at once."""
    return [
        f"--audit-policy-file={policy}",
        f"--audit-log-path={log}",
        "--audit-log-mode=blocking",
        f"--audit-log-maxsize={WHOLE_MB}",
    ]


def controller_manager(binary: Path, *, pki: Path, kubeconfig: Path, port: int, extra: Sequence[str] = ()) -> list[str]:
    """The controller manager with every default controller, each under a service account of its own."""
    return [
        *_controller(binary, pki, kubeconfig, port),
        f"--root-ca-file={pki / 'ca.crt'}",
        f"--service-account-private-key-file={pki / 'sa.key'}",
        f"--cluster-signing-cert-file={pki / 'ca.crt'}",
        f"--cluster-signing-key-file={pki / 'ca.key'}",
        "--use-service-account-credentials",
        "--node-monitor-grace-period=2m",  # a busy machine must not make fake nodes look dead
        *extra,
    ]


def scheduler(binary: Path, *, pki: Path, kubeconfig: Path, port: int) -> list[str]:
    """The scheduler with its default profile."""
    return _controller(binary, pki, kubeconfig, port)


def _controller(binary: Path, pki: Path, kubeconfig: Path, port: int) -> list[str]:
    """What works on the API server's objects, alone of its kind: nobody leads, and nobody is slowed down."""
    return [
        str(binary),
        f"--kubeconfig={kubeconfig}",
        f"--bind-address={LOOPBACK}",
        f"--secure-port={port}",
        f"--tls-cert-file={pki / 'serving.crt'}",
        f"--tls-private-key-file={pki / 'serving.key'}",
        "--authentication-skip-lookup",
        "--leader-elect=false",
        "--kube-api-qps=500",
        "--kube-api-burst=1000",
        "--profiling=false",
    ]


def kwok(binary: Path, *, pki: Path, kubeconfig: Path, config: Path, port: int, extra: Sequence[str] = ()) -> list[str]:
    """kwok playing the kubelet of every node, with the stages of `config`; its own server answers port-forward on `port`."""
    return [
        str(binary),
        f"--kubeconfig={kubeconfig}",
        f"--config={config}",
        "--manage-all-nodes=true",
        f"--cidr={POD_CIDR}",
        f"--node-ip={LOOPBACK}",
        f"--node-port={port}",
        f"--server-address={LOOPBACK}:{port}",
        f"--tls-cert-file={pki / 'serving.crt'}",
        f"--tls-private-key-file={pki / 'serving.key'}",
        "--node-lease-duration-seconds=40",
        *extra,
    ]
