"""Images made of local files: what is in them follows from the files alone, and any tool for the format can read them."""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
import tomllib
from pathlib import Path
from typing import Any

import pytest

from devhost.errors import HostError
from devhost.node import engine, oci, settings
from devhost.node.images import base, libraries
from devhost.node.oci import Config, Entry
from devhost.pins import HELM, KINE, KUBERNETES


def tree(root: Path) -> Path:
    """A small file tree with a program, a private file, a link and an empty folder."""
    (root / "usr/bin").mkdir(parents=True)
    (root / "usr/bin/shop").write_text("#!/bin/sh\necho open\n")
    (root / "usr/bin/shop").chmod(0o755)
    (root / "etc").mkdir()
    (root / "etc/secret").write_text("x")
    (root / "etc/secret").chmod(0o600)
    (root / "bin").symlink_to("usr/bin")
    (root / "var").mkdir(mode=0o700)
    return root


def read(archive: Path) -> tuple[dict[str, Any], dict[str, Any], dict[str, tarfile.TarInfo]]:
    """Return index, configuration and the layer's members; each blob is checked against its digest and size."""
    with tarfile.open(archive) as layout:
        files = {one.name: layout.extractfile(one).read() for one in layout if one.isfile()}  # type: ignore[union-attr]

    def blob(described: dict[str, Any]) -> bytes:
        data = files[f"blobs/{described['digest'].replace(':', '/')}"]
        assert (len(data), f"sha256:{hashlib.sha256(data).hexdigest()}") == (described["size"], described["digest"])
        return data

    assert json.loads(files["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    index = json.loads(files["index.json"])
    manifest = json.loads(blob(index["manifests"][0]))
    config = json.loads(blob(manifest["config"]))
    [layer] = manifest["layers"]
    assert config["rootfs"]["diff_ids"] == [layer["digest"]]
    (archive.parent / "layer.tar").write_bytes(blob(layer))
    with tarfile.open(archive.parent / "layer.tar") as members:
        return index, config, {one.name: one for one in members}


def test_archive_is_an_oci_layout_of_the_folder(tmp_path: Path) -> None:
    root, archive = tree(tmp_path / "root"), tmp_path / "image.tar"
    config = Config(entrypoint=("/usr/bin/shop",), user="65532", folder="/var")
    digest = oci.write(archive, "shop:1", oci.folder_entries(root), config)
    index, made, members = read(archive)
    assert index["manifests"][0]["digest"] == digest
    assert index["manifests"][0]["annotations"]["io.containerd.image.name"] == "docker.io/library/shop:1"
    assert made["config"]["Entrypoint"] == ["/usr/bin/shop"] and made["config"]["User"] == "65532"
    assert {name: oct(one.mode) for name, one in members.items()} == {
        "bin": "0o777",
        "etc": "0o755",
        "etc/secret": "0o600",
        "usr": "0o755",
        "usr/bin": "0o755",
        "usr/bin/shop": "0o755",
        "var": "0o700",
    }
    assert members["bin"].linkname == "usr/bin"
    assert {(one.uid, one.gid, one.mtime) for one in members.values()} == {(0, 0, 0)}


def test_same_files_give_the_same_digest_and_others_another(tmp_path: Path) -> None:
    one, other = tree(tmp_path / "one"), tree(tmp_path / "other")
    os.utime(other / "etc/secret", (1, 1))
    digests = [oci.write(tmp_path / "i.tar", "shop:1", oci.folder_entries(root), Config()) for root in (one, other)]
    (other / "etc/secret").write_text("y")
    digests.append(oci.write(tmp_path / "i.tar", "shop:1", oci.folder_entries(other), Config()))
    assert digests[0] == digests[1] != digests[2]


def test_folders_on_the_way_are_made_once(tmp_path: Path) -> None:
    entries = iter([Entry("a/b/one", 0o644, b"1"), Entry("/a/b/two", 0o644, b"2"), Entry("a/b/one", 0o644, b"not me")])
    oci.write(tmp_path / "image.tar", "shop:1", entries, Config())
    members = read(tmp_path / "image.tar")[2]
    assert list(members) == ["a", "a/b", "a/b/one", "a/b/two"] and members["a/b/one"].size == 1


def test_what_no_image_holds_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    root = tree(tmp_path / "root")
    os.mkfifo(root / "etc/pipe")
    with pytest.raises(HostError, match="etc/pipe is neither a file, a folder nor a link"):
        oci.write(tmp_path / "image.tar", "shop:1", oci.folder_entries(root), Config())
    assert not (tmp_path / "image.tar").exists()


def test_a_name_that_deletes_another_file_is_refused(tmp_path: Path) -> None:
    """Before, the image had neither of the two files, without a word."""
    root = tree(tmp_path / "root")
    (root / "etc/.wh.secret").write_text("")
    with pytest.raises(HostError, match=r"etc/\.wh\.secret has a name that no file of an image may have"):
        oci.write(tmp_path / "image.tar", "shop:1", oci.folder_entries(root), Config())


def test_names_of_files_are_taken_as_they_are(tmp_path: Path) -> None:
    names = ["-rf", "--", "a\nb", 'q"', "a\\b", os.fsdecode(b"\xff"), "\x1b[31m", "..x"]
    for name in names:
        (tmp_path / "root").mkdir(exist_ok=True)
        (tmp_path / "root" / name).write_text("")
    oci.write(tmp_path / "image.tar", "shop:1", oci.folder_entries(tmp_path / "root"), Config())
    assert sorted(read(tmp_path / "image.tar")[2]) == sorted(names)


def test_the_runtimes_configuration_says_the_hosts_folder_whatever_its_name() -> None:
    folder = Path('/tmp/a"b\\c\n[plugins]\ndü')
    found = tomllib.loads(settings.containerd(folder, Path("/usr/lib/cni")))
    assert found["root"] == f"{folder}/containerd"
    runtime = found["plugins"]["io.containerd.grpc.v1.cri"]
    assert runtime["cni"] == {"bin_dir": "/usr/lib/cni", "conf_dir": f"{folder}/cni"}
    assert runtime["registry"] == {"config_path": f"{folder}/registries"}


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(HostError, match=r"the image shop:1 cannot be made: .*/nowhere: No such file or directory"):
        oci.write(tmp_path / "image.tar", "shop:1", oci.folder_entries(tmp_path / "nowhere"), Config())


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("shop", "docker.io/library/shop:latest"),
        ("team/shop:1.2", "docker.io/team/shop:1.2"),
        ("example.com/shop:1", "example.com/shop:1"),
        ("localhost/shop:1", "localhost/shop:1"),
        ("registry:5000/a/b-c__d", "registry:5000/a/b-c__d:latest"),
    ],
)
def test_names_are_completed_as_runtimes_do(name: str, full: str) -> None:
    assert oci.full_name(name) == full


@pytest.mark.parametrize(
    "name", ["", "Shop", "shop:", "shop@sha256:1", "a//b", "../x", "shop:1 --all", "shöp.de/x:1", "shop:ü", "x" * 300]
)
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(HostError, match="is not the name of an image"):
        oci.full_name(name)


def test_base_image_has_a_shell_with_every_library_it_loads(tmp_path: Path) -> None:
    oci.write(tmp_path / "image.tar", "base:1", base(), Config())
    members = read(tmp_path / "image.tar")[2]
    assert {"bin/sh", "etc/passwd", "tmp"} <= members.keys() and members["tmp"].mode == 0o1777
    assert libraries("/bin/sh") and {path.lstrip("/") for path in libraries("/bin/sh")} <= members.keys()


def says(path: Path, answer: str) -> Path:
    """An executable that prints `answer`, whatever it is asked."""
    path.write_text(f"#!/bin/sh\necho '{answer}'\n")
    path.chmod(0o755)
    return path


def test_programs_of_one_binary_are_links_in_the_engines_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    says(tmp_path / "kube-apiserver", f"Kubernetes v{KUBERNETES}")
    for name in ("kube-controller-manager", "kube-scheduler"):
        (tmp_path / name).symlink_to("kube-apiserver")
    says(tmp_path / "kine", f"kine version v{KINE}")
    says(tmp_path / "helm", f"v{HELM}")
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))
    found = {one.path: one for one in engine.programs() if one.path.startswith("kubernetes/")}
    assert found.keys() == {f"kubernetes/{name}" for name in engine.PROGRAMS}
    assert found["kubernetes/kube-apiserver"].source == tmp_path / "kube-apiserver"
    assert found["kubernetes/kube-scheduler"].link == "kube-apiserver"
    assert found["kubernetes/kine"].source == tmp_path / "kine"


def test_a_binary_that_is_no_engine_is_told(tmp_path: Path) -> None:
    assert engine.version(says(tmp_path / "vcluster", "0.36.1")) == "0.36.1"
    for other in (says(tmp_path / "other", "hello"), tmp_path / "none"):
        with pytest.raises(HostError, match="does not say its version"):
            engine.version(other)
