"""Hostile archives of whole charts: refused in one sentence, in memory that is bounded (H4)."""

import gzip
import io
import tarfile
from collections.abc import Callable

import pytest

from reconciler.errors import Stalled
from reconciler.packs import archives
from tests.content.server import CHART, packed

Entries = Callable[[tarfile.TarFile], None]


def archive(fill: Entries) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as made:
        put(made, "web/Chart.yaml", (CHART % ("web", "1.0.0")).encode())
        fill(made)
    return gzip.compress(out.getvalue(), 1)


def put(made: tarfile.TarFile, name: str, data: bytes = b"", kind: bytes = tarfile.REGTYPE, link: str = "") -> None:
    member = tarfile.TarInfo(name)
    member.size, member.type, member.linkname = len(data), kind, link
    made.addfile(member, io.BytesIO(data))


def many(made: tarfile.TarFile) -> None:
    for number in range(10_001):
        put(made, f"web/{number}")


def sparse(made: tarfile.TarFile) -> None:
    """An old GNU sparse file of 300 MiB in one block: nothing of it is stored."""
    put(made, "web/big", kind=tarfile.GNUTYPE_SPARSE)
    block = bytearray(made.fileobj.getvalue()[-512:])  # type: ignore[union-attr]
    for at, text in (
        (386, b"%011o\0" % (300 << 20)),
        (398, bytes(12)),
        (483, b"%011o\0" % (300 << 20)),
        (148, b" " * 8),
    ):
        block[at : at + len(text)] = text
    block[148:156] = b"%06o\0 " % sum(block)
    made.fileobj.seek(-512, io.SEEK_END)  # type: ignore[union-attr]
    made.fileobj.write(block)  # type: ignore[union-attr]


def sparse_by_pax(made: tarfile.TarFile) -> None:
    member = tarfile.TarInfo("web/big")
    member.pax_headers = {"GNU.sparse.size": str(300 << 20), "GNU.sparse.map": f"{300 << 20},0"}
    made.fileobj.write(member.tobuf(tarfile.PAX_FORMAT))  # type: ignore[union-attr]
    made.offset = made.fileobj.tell()  # type: ignore[union-attr]


HOSTILE: dict[str, tuple[Entries, str]] = {
    "a path out of it": (lambda made: put(made, "web/../../etc/passwd"), "odd name"),
    "a path from the root": (lambda made: put(made, "/etc/passwd"), "odd name"),
    "a path of another system": (lambda made: put(made, "web\\..\\x"), "odd name"),
    "a symbolic link": (lambda made: put(made, "web/values.yaml", kind=tarfile.SYMTYPE, link="/etc/passwd"), "no file"),
    "a hard link": (lambda made: put(made, "web/values.yaml", kind=tarfile.LNKTYPE, link="web/Chart.yaml"), "no file"),
    "a device": (lambda made: put(made, "web/null", kind=tarfile.CHRTYPE), "no file"),
    "a sparse file": (sparse, "no file"),
    "a sparse file of another form": (sparse_by_pax, "no file"),
    "more than fits": (lambda made: put(made, "web/big", bytes(65 << 20)), "too large"),
    "too many files": (many, "more than 10000 files"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_archive_is_refused(case: str) -> None:
    fill, told = HOSTILE[case]
    with pytest.raises(Stalled, match=told) as refused:
        archives.unpacked("https://charts.example.com web 1.0.0", archive(fill))
    assert refused.value.reason == "ChartInvalid"
    assert refused.value.message.startswith("https://charts.example.com web 1.0.0: ")


@pytest.mark.parametrize(
    "data",
    [b"", b"text", packed()[:200], gzip.compress(b"no tar"), packed(files={})[:-4]],
    ids=["empty", "text", "cut", "no tar", "cut at its end"],
)
def test_what_is_no_archive_of_a_chart_is_refused(data: bytes) -> None:
    with pytest.raises(Stalled) as refused:
        archives.unpacked("web", data)
    assert refused.value.reason == "ChartInvalid"


def test_files_are_named_inside_the_charts_folder() -> None:
    found = archives.unpacked("web", archive(lambda made: put(made, "./web/templates//a.yaml", b"a: b")))
    assert set(found) == {"Chart.yaml", "templates/a.yaml"}
    without = io.BytesIO()
    with tarfile.open(fileobj=without, mode="w") as made:
        put(made, "Chart.yaml", b"a: b")
    with pytest.raises(Stalled, match=r"has no Chart\.yaml in a folder"):
        archives.unpacked("web", gzip.compress(without.getvalue()))
