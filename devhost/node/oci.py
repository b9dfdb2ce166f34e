"""Makes an image of local files, without a daemon or a registry: an OCI image layout of one layer, in one archive.

What is in it follows from the files and the configuration alone: the same ones give the same digest. The format is
github.com/opencontainers/image-spec (image-layout.md, manifest.md, config.md, layer.md).
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import re
import stat
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

from devhost.errors import HostError

PATH_VARIABLE: Final = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}
_MEDIA: Final = "application/vnd.oci.image"
_NAME: Final = re.compile(
    r"(?:(?P<domain>[A-Za-z0-9][\w.-]*(?::\d+)?)/)?(?P<path>[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
    r"(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*)(?::(?P<tag>\w[\w.-]{0,127}))?",
    re.ASCII,
)
_DELETES: Final = ".wh."
"""A name that begins so says in a layer that another file is gone (image-spec, layer.md, whiteouts)."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One path in the image: a folder, a symbolic link (`link`), or a file with what `source` holds."""

    path: str
    mode: int = 0o755
    source: Path | bytes | None = None
    link: str = ""


@dataclass(frozen=True, slots=True)
class Config:
    """How a container of the image starts; see the OCI image configuration for each field."""

    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    environment: tuple[str, ...] = (PATH_VARIABLE,)
    user: str = ""
    folder: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


def write(target: Path, name: str, entries: Iterator[Entry], config: Config) -> str:
    """Write the image `name` to the archive `target`; return the digest of its manifest.

    Folders on the way to an entry are made where no entry before it was one; of two entries of a path the first counts. Raises
    HostError when a file cannot be read.
    """
    full = full_name(name)
    try:
        with tempfile.TemporaryFile(dir=target.parent) as layer, tarfile.open(target, "w") as archive:
            digest = _write_layer(layer, entries)
            size = layer.tell()
            layer.seek(0)
            _add(archive, _blob(digest), size, layer)
            return _finish(archive, full, digest, size, config)
    except (OSError, HostError) as error:
        target.unlink(missing_ok=True)
        if isinstance(error, HostError):
            raise
        raise HostError(
            f"the image {name} cannot be made: {error.filename or ''}: {error.strerror or error}"
        ) from error


def full_name(name: str) -> str:
    """Return `name` as container runtimes complete it: nidus:1 -> docker.io/library/nidus:1. Raises HostError for none."""
    found = _NAME.fullmatch(name)
    if found is None or len(name) > 255:
        raise HostError(f"{name!r} is not the name of an image: write one such as nidus.local/base:1")
    domain, path, tag = found["domain"] or "", found["path"], found["tag"] or "latest"
    if domain and not re.search(r"[.:]|^localhost$", domain):
        domain, path = "", f"{domain}/{path}"
    if not domain:
        domain, path = "docker.io", path if "/" in path else f"library/{path}"
    return f"{domain}/{path}:{tag}"


def folder_entries(root: Path, below: str = "") -> Iterator[Entry]:
    """Yield what the folder `root` holds, as it shall lie below the path `below`, in the order of names.

    Raises HostError for what is neither folder, file nor link, and for a name that would delete another file of the image.
    """
    for found in sorted(os.scandir(root), key=lambda one: one.name):
        path = f"{below}/{found.name}".lstrip("/")
        if found.name.startswith(_DELETES):
            raise HostError(f"{found.path} has a name that no file of an image may have: it begins with {_DELETES}")
        status = found.stat(follow_symlinks=False)
        mode = stat.S_IMODE(status.st_mode)
        if found.is_symlink():
            yield Entry(path, link=str(Path(found.path).readlink()))
        elif found.is_dir():
            yield Entry(path, mode)
            yield from folder_entries(Path(found.path), path)
        elif found.is_file():
            yield Entry(path, mode, Path(found.path))
        else:
            raise HostError(f"{found.path} is neither a file, a folder nor a link: an image holds nothing else")


def _write_layer(layer: IO[bytes], entries: Iterator[Entry]) -> str:
    """Write the layer's tar; return its digest. Everything belongs to root and has the time 0."""
    written: set[str] = set()
    with tarfile.open(fileobj=layer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for one in entries:
            path = one.path.strip("/")
            for parent in reversed(list(Path(path).parents)[:-1]):
                if str(parent) not in written:
                    _write_entry(archive, Entry(str(parent)))
                    written.add(str(parent))
            if path not in written:
                _write_entry(archive, one)
                written.add(path)
    layer.seek(0)
    digest = hashlib.file_digest(layer, "sha256").hexdigest()  # type: ignore[arg-type]
    return f"sha256:{digest}"


def _write_entry(archive: tarfile.TarFile, one: Entry) -> None:
    member = tarfile.TarInfo(one.path.strip("/"))
    member.mode = one.mode
    if one.link:
        member.type, member.linkname, member.mode = tarfile.SYMTYPE, one.link, 0o777
        archive.addfile(member)
    elif one.source is None:
        member.type = tarfile.DIRTYPE
        archive.addfile(member)
    elif isinstance(one.source, bytes):
        member.size = len(one.source)
        archive.addfile(member, io.BytesIO(one.source))
    else:
        with one.source.open("rb") as file:
            member.size = os.fstat(file.fileno()).st_size
            archive.addfile(member, file)


def _finish(archive: tarfile.TarFile, name: str, layer: str, size: int, config: Config) -> str:
    machine = {"architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()), "os": "linux"}
    described = _put(archive, "config.v1+json", _configuration(layer, config) | machine)
    layers = [{"mediaType": f"{_MEDIA}.layer.v1.tar", "digest": layer, "size": size}]
    manifest = {"schemaVersion": 2, "mediaType": f"{_MEDIA}.manifest.v1+json", "config": described, "layers": layers}
    listed = _put(archive, "manifest.v1+json", manifest)
    named = {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name.rpartition(":")[2]}
    index = {"schemaVersion": 2, "manifests": [listed | {"platform": machine, "annotations": named}]}
    _add_bytes(archive, "index.json", json.dumps(index).encode())
    _add_bytes(archive, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
    return str(listed["digest"])


def _configuration(layer: str, config: Config) -> dict[str, Any]:
    parts = {
        "Entrypoint": list(config.entrypoint),
        "Cmd": list(config.command),
        "Env": list(config.environment),
        "User": config.user,
        "WorkingDir": config.folder,
        "Labels": dict(config.labels),
    }
    started = {key: value for key, value in parts.items() if value}
    return {"config": started, "rootfs": {"type": "layers", "diff_ids": [layer]}}


def _put(archive: tarfile.TarFile, kind: str, document: dict[str, Any]) -> dict[str, Any]:
    data = json.dumps(document).encode()
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    _add_bytes(archive, _blob(digest), data)
    return {"mediaType": f"{_MEDIA}.{kind}", "digest": digest, "size": len(data)}


def _blob(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def _add_bytes(archive: tarfile.TarFile, path: str, data: bytes) -> None:
    _add(archive, path, len(data), io.BytesIO(data))


def _add(archive: tarfile.TarFile, path: str, size: int, data: IO[bytes]) -> None:
    member = tarfile.TarInfo(path)
    member.size = size
    archive.addfile(member, data)
