"""The configuration of containerd, the network plugins, kubelet and kube-proxy. Pure: from paths to what the files hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from devhost.node import place

PAUSE: Final = "nidus.local/pause:1"
MOST_MEMORY: Final = 8 * 2**30
"""Bytes for all pods together; half of the machine's where that is less."""
MOST_PROCESSES: Final = 4096
"""In one pod, threads counted too: the machine's own are not used up by one that does not stop."""

Object = dict[str, Any]


def containerd(folder: Path, plugins: Path) -> str:
    """containerd's, in version 2 of its format: what 1.6 and 1.7 read. Images and layers lie in `folder`; nothing is pulled."""
    return f"""\
version = 2
root = {_quoted(folder / "containerd")}
state = "/run/containerd"
disabled_plugins = ["io.containerd.internal.v1.opt"]
[grpc]
  address = "{place.SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE}"
  disable_apparmor = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = {_quoted(plugins)}
    conf_dir = {_quoted(folder / "cni")}
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = {_quoted(folder / "registries")}
"""


def _quoted(path: Path) -> str:
    """A string of TOML, whose escapes are JSON's."""
    return json.dumps(str(path), ensure_ascii=False)


def network() -> Object:
    """The pods' network: a link of its own from each pod to the node, which routes between them.

    So Service addresses work without br_netfilter, a module that would change how the machine filters its own bridges.
    """
    ranges = [[{"subnet": place.POD_CIDR}]]
    addresses = {"type": "host-local", "dataDir": "/run/cni", "ranges": ranges, "routes": [{"dst": "0.0.0.0/0"}]}
    pods = {"type": "ptp", "ipMasq": False, "ipam": addresses}
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    return {"cniVersion": "1.0.0", "name": "nidus", "plugins": [pods, ports]}


def kubelet(folder: Path, ca: Path, group: str, machine_memory: int, tainted: bool) -> Object:
    """The kubelet's. `tainted`: pods come only when they tolerate it. Raises nothing; memory in bytes."""
    room = min(machine_memory // 2, MOST_MEMORY)
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": place.ADDRESS,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(ca)},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(folder / "kubelet.crt"),
        "tlsPrivateKeyFile": str(folder / "kubelet.key"),
        "containerRuntimeEndpoint": f"unix://{place.SOCKET}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{group}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "enforceNodeAllocatable": ["pods"],
        "systemReserved": {"memory": str(machine_memory - room)},
        "protectKernelDefaults": True,
        "oomScoreAdj": 0,
        "clusterDNS": [place.DNS_ADDRESS],
        "clusterDomain": "cluster.local",
        "resolvConf": str(folder / "resolv.conf"),
        "registerWithTaints": [{"key": place.TAINT, "effect": "NoSchedule"}] if tainted else [],
        "podLogsDir": str(folder / "pod-logs"),
        "volumePluginDir": str(folder / "volume-plugins"),
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "evictionHard": {"memory.available": "50Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "maxPods": 110,
        "podPidsLimit": MOST_PROCESSES,
    }


def proxy(folder: Path) -> Object:
    """kube-proxy's: rules of nftables, in the node's network alone; nothing that is set for the whole machine."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "bindAddress": place.ADDRESS,
        "healthzBindAddress": f"{place.ADDRESS}:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        "clusterCIDR": place.POD_CIDR,
        "hostnameOverride": place.NODE,
        "clientConnection": {"kubeconfig": str(folder / "kube-proxy.kubeconfig")},
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    }


def resolver() -> str:
    """The resolver of the node itself, as resolv.conf(5): nobody listens there, for the node's network has no way out.

    It refuses at once, and a DNS inside a nested cluster, which sends there what it does not know, does not start without one.
    """
    return f"nameserver {place.ADDRESS}\n"


def egress() -> Object:
    """The API server's: kubelets, pods and Services are reached by the socket of connect.py, a name relative to the host's folder."""
    transport = {"uds": {"udsName": str(place.egress(Path()))}}
    connection = {"proxyProtocol": "HTTPConnect", "transport": transport}
    body = {"apiVersion": "apiserver.k8s.io/v1beta1", "kind": "EgressSelectorConfiguration"}
    return body | {"egressSelections": [{"name": "cluster", "connection": connection}]}


def apiserver_flags(host: Path) -> list[str]:
    """What the API server needs besides: Service `kubernetes` leads to the node's address, where connect.py listens."""
    return [
        f"--advertise-address={place.ADDRESS}",
        "--endpoint-reconciler-type=lease",
        f"--egress-selector-config-file={place.folder(host) / 'egress.yaml'}",
    ]


def kwok_flags() -> list[str]:
    """kwok keeps the nodes with its label alone."""
    return ["--manage-all-nodes=false", f"--manage-nodes-with-label-selector={place.FAKE}=true"]


def kubelet_command(binary: Path, folder: Path) -> list[str]:
    """The kubelet's command line."""
    return [
        str(binary),
        f"--config={folder / 'kubelet.yaml'}",
        f"--kubeconfig={folder / 'kubelet.kubeconfig'}",
        f"--root-dir={folder / 'kubelet'}",
        f"--hostname-override={place.NODE}",
        f"--node-ip={place.ADDRESS}",
        f"--node-labels={place.LABEL}=real",
    ]
