"""Packed subcharts (`charts/NAME.tgz`), packed anew before Helm reads them.

Two readers of one archive may see other files in it: several gzip streams one after the other, members of unknown kinds, global
headers. What was looked at and what Helm loads is the same only where we wrote it.
"""

import gzip
import io
import posixpath
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import PurePosixPath

from reconciler.errors import Stalled

_DEEPEST = 8  # archives in archives
_UNPACKED = 64 << 20  # bytes of all archives of one chart together
_FILES = 10_000  # of the archive of a whole chart
_HINT = "pack the subchart again with `helm package`, or commit its folder below charts/"

Look = Callable[[str, bytes], None]


def repacked(files: Mapping[str, bytes], look: Look) -> dict[str, bytes]:
    """The files of a chart by path, each packed subchart with the files that we found in it. `look` is called with every file, those
    in archives too. Raises Stalled(ChartInvalid), and what `look` raises."""
    return dict(_looked(files.items(), look, 0, [_UNPACKED]))


def unpacked(path: str, data: bytes) -> dict[str, bytes]:
    """The files of a whole chart's archive, by their path inside the chart's folder. Raises Stalled(ChartInvalid)."""
    found: dict[str, bytes] = {}
    for name, content in _members(path, data, [_UNPACKED]):
        inside = name.partition("/")[2]
        if inside and len(found) < _FILES:
            found[inside] = content
        elif inside:
            raise _refused(path, f"holds more than {_FILES} files")
    if "Chart.yaml" not in found:
        raise _refused(path, "has no Chart.yaml in a folder of the chart's name")
    return found


def _looked(files: Iterable[tuple[str, bytes]], look: Look, depth: int, left: list[int]) -> Iterator[tuple[str, bytes]]:
    for path, data in files:
        look(path, data)
        yield path, _again(path, data, look, depth, left) if _is_packed(path) else data


def _is_packed(path: str) -> bool:
    """Whether Helm loads this file as a chart."""
    return path.endswith(".tgz") and PurePosixPath(path).parent.name == "charts"


def _again(path: str, data: bytes, look: Look, depth: int, left: list[int]) -> bytes:
    if depth >= _DEEPEST:
        raise _refused(path, "archives lie in archives too deep")
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", format=tarfile.GNU_FORMAT, compresslevel=1) as archive:
        inside = ((f"{path}/{name}", found) for name, found in _members(path, data, left))
        for name, found in _looked(inside, look, depth + 1, left):
            member = tarfile.TarInfo(name.removeprefix(f"{path}/"))
            member.size = len(found)
            archive.addfile(member, io.BytesIO(found))
    return out.getvalue()


def _members(path: str, data: bytes, left: list[int]) -> Iterator[tuple[str, bytes]]:
    """The files of one archive; sizes are counted as they are read. A sparse file would be larger than what holds it."""
    try:
        whole = _unzipped(path, data, left)
        with tarfile.open(fileobj=io.BytesIO(whole), mode="r:") as archive:
            for member in archive:
                if member.isreg() and not member.issparse() and member.size <= len(whole):
                    found = archive.extractfile(member)
                    yield _name(path, member.name), found.read() if found else b""
                elif not member.isdir():
                    raise _refused(path, f"holds what is no file: {member.name[:100]!r}")
    except (tarfile.TarError, OSError, EOFError, ValueError, zlib.error) as error:
        raise _refused(path, f"cannot be unpacked: {type(error).__name__}") from None


def _unzipped(path: str, data: bytes, left: list[int]) -> bytes:
    with gzip.GzipFile(fileobj=io.BytesIO(data)) as packed:
        found = packed.read(left[0] + 1)
    left[0] -= len(found)
    if left[0] < 0:
        raise _refused(path, "its archives are too large")
    return found


def _name(path: str, name: str) -> str:
    if name.startswith("/") or "\\" in name or ".." in name.split("/"):
        raise _refused(path, f"holds a file of an odd name: {name[:100]!r}")
    return posixpath.normpath(name)


def _refused(path: str, what: str) -> Stalled:
    return Stalled(f"{path}: {what}", reason="ChartInvalid", hint=_HINT)
