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


HOSTILE: dict[str, tuple[Entries, str]] = {
    "a path out of it": (lambda made: put(made, "web/../../etc/passwd"), "odd name"),
    "a path from the root": (lambda made: put(made, "/etc/passwd"), "odd name"),
    "a path of another system": (lambda made: put(made, "web\\..\\x"), "odd name"),
    "a symbolic link": (lambda made: put(made, "web/values.yaml", kind=tarfile.SYMTYPE, link="/etc/passwd"), "no file"),
    "a hard link": (lambda made: put(made, "web/values.yaml", kind=tarfile.LNKTYPE, link="web/Chart.yaml"), "no file"),
    "a device": (lambda made: put(made, "web/null", kind=tarfile.CHRTYPE), "no file"),
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


@pytest.mark.parametrize("data", [b"", b"text", packed()[:200], gzip.compress(b"no tar"), packed(files={})[:-4]])
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
