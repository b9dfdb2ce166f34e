"""Gives pending claims a PersistentVolume, as a storage driver would; their data ends with the volume.

The controller manager does the binding itself (it sees a volume that names the claim) and releases the volume when the
claim is gone; then this actor deletes data and volume. Growing a claim grows its volume.
"""

from __future__ import annotations

import shutil
import threading
from pathlib import Path
from typing import Final

from devhost.api import ApiError, Client, Object
from devhost.following import Reflector, Workers, key_of

PROVISIONER: Final = "devhost.nidus.dev/volumes"
STORAGE_CLASS: Final = "standard"


def storage_class() -> Object:
    """The default StorageClass of the host."""
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": STORAGE_CLASS, "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
        "provisioner": PROVISIONER,
        "reclaimPolicy": "Delete",
        "allowVolumeExpansion": True,
        "volumeBindingMode": "Immediate",
    }


def start(client: Client, data: Path, stop: threading.Event, mounted: bool = False) -> None:
    """Follow claims and volumes; the data of the claim with uid U lives in `data`/U, made with the volume where it is `mounted`.

    A folder that pods mount may be written to by all of them: a hostPath knows no owner (fsGroup) of its own.
    """
    claims: Workers[tuple[str, str]] = Workers(
        "claim", lambda key: _claim(client, data if mounted else None, followed.items.get(key)), stop
    ).start()
    volumes: Workers[tuple[str, str]] = Workers(
        "volume", lambda key: _volume(client, data, released.items.get(key)), stop
    ).start()
    followed = Reflector(client, "v1", "PersistentVolumeClaim", lambda _, item: claims.add(key_of(item)), stop)
    released = Reflector(client, "v1", "PersistentVolume", lambda _, item: volumes.add(key_of(item)), stop)
    followed.start()
    released.start()


def volume_name(uid: str) -> str:
    """The name of the volume made for the claim with this uid."""
    return f"pvc-{uid}"


def _claim(client: Client, data: Path | None, claim: Object | None) -> None:
    if claim is None or claim["metadata"].get("deletionTimestamp"):
        return
    if claim["spec"].get("volumeName"):
        _grow(client, claim)
    elif claim["metadata"].get("annotations", {}).get("volume.kubernetes.io/storage-provisioner") == PROVISIONER:
        _provide(client, data, claim)


def _provide(client: Client, data: Path | None, claim: Object) -> None:
    meta = claim["metadata"]
    if data is not None:
        (data / meta["uid"]).mkdir(exist_ok=True)
        (data / meta["uid"]).chmod(0o777)
    try:
        client.create(
            _new_volume(meta, claim["spec"], _reclaim_policy(client, claim["spec"].get("storageClassName", "")))
        )
    except ApiError as error:
        if error.status != 409:
            raise


def _reclaim_policy(client: Client, name: str) -> str:
    found = client.get("storage.k8s.io/v1", "StorageClass", name)
    return (found or {}).get("reclaimPolicy") or "Delete"


def _new_volume(meta: Object, spec: Object, policy: str) -> Object:
    reference = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "uid": meta["uid"]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {
            "name": volume_name(meta["uid"]),
            "annotations": {"pv.kubernetes.io/provisioned-by": PROVISIONER},
        },
        "spec": {
            "accessModes": spec["accessModes"],
            "capacity": {"storage": spec["resources"]["requests"]["storage"]},
            "claimRef": reference | {"namespace": meta["namespace"], "name": meta["name"]},
            "persistentVolumeReclaimPolicy": policy,
            "storageClassName": spec["storageClassName"],
            "volumeMode": spec.get("volumeMode", "Filesystem"),
            "hostPath": {"path": f"/var/lib/devhost/{meta['uid']}"},
        },
    }


def _grow(client: Client, claim: Object) -> None:
    wanted = claim["spec"]["resources"]["requests"]["storage"]
    have = claim.get("status", {}).get("capacity", {}).get("storage")
    if claim["spec"].get("storageClassName") != STORAGE_CLASS or have in (None, wanted):
        return
    namespace, name = key_of(claim)
    client.patch("v1", "PersistentVolume", claim["spec"]["volumeName"], "", {"spec": {"capacity": {"storage": wanted}}})
    status = {"status": {"capacity": {"storage": wanted}, "conditions": []}}
    client.patch("v1", "PersistentVolumeClaim", name, namespace, status, subresource="status")


def _volume(client: Client, data: Path, volume: Object | None) -> None:
    if volume is None or volume["spec"].get("persistentVolumeReclaimPolicy") != "Delete":
        return
    ours = volume["metadata"].get("annotations", {}).get("pv.kubernetes.io/provisioned-by") == PROVISIONER
    if ours and volume.get("status", {}).get("phase") in ("Released", "Failed"):
        shutil.rmtree(data / volume["spec"]["claimRef"]["uid"], ignore_errors=True)
        client.delete("v1", "PersistentVolume", volume["metadata"]["name"], uid=volume["metadata"]["uid"])
