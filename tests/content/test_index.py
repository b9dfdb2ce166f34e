"""The index of a chart repository: one chart is found in it without parsing the rest, and nothing in it is believed (K1)."""

import tracemalloc
from typing import Any

import pytest

from reconciler.errors import Stalled
from reconciler.packs.content import index
from reconciler.packs.content.index import Version, versions

REPO = "https://charts.example.com/stable"
DIGEST = "1" * 64
INDEX = f"""\
apiVersion: v1
generated: "2026-11-01T00:00:00Z"
entries:
  "a.b":
  - {{version: 0.0.1, urls: [x.tgz]}}
  web:
    - version: 2.0.0
      annotations:
        web: |
          web:
          - version: 9.9.9
            urls: [evil.tgz]
      digest: sha256:{DIGEST}
      urls: [charts/web-2.0.0.tgz, other.tgz]
    - version: 1.0.0
      urls: ["https://cdn.example.com/web-1.0.0.tgz"]
    - {{version: 0.9.0}}
    - not a version
  web-extra:
  - {{version: 3.0.0, urls: [y.tgz], digest: nonsense}}
"""


def test_the_versions_of_one_chart() -> None:
    assert versions(INDEX.encode(), "web", REPO) == [
        Version("2.0.0", f"{REPO}/charts/web-2.0.0.tgz", DIGEST),
        Version("1.0.0", "https://cdn.example.com/web-1.0.0.tgz", ""),
    ]
    assert versions(INDEX.encode(), "a.b", f"{REPO}/") == [Version("0.0.1", f"{REPO}/x.tgz", "")]
    assert versions(INDEX.encode(), "web-extra", REPO) == [Version("3.0.0", f"{REPO}/y.tgz", "")]
    json = b'{"entries": {"web": [{"version": "1.0.0", "urls": ["a.tgz"]}]}}'
    assert versions(json, "web", REPO) == [Version("1.0.0", f"{REPO}/a.tgz", "")]


WRONG = (
        b"", b"entries:\n", b"entries: {}\n", b"entries:\nweb:\n- version: 1.0.0\n", b"\xff\xfe\x00", b"{", b"{}", b'{"entries": []}',
        b'{"entries": {"web": {"version": "1.0.0"}}}', b"[" * 100_000, b'{"a":' * 100_000, b"entries:\n  web: text\n",
        b"entries:\n  web:\n  - version: 1\n    urls: [a]\n", b"entries:\n  web:\n  - version: 1.0.0\n    urls: a\n",
        b"entries:\n  web:\n  - &a [*a]\n", b"entries:\n  web:\n" + b"  - [\n" * 1000, b"entries:\n  web:\n" + b"  - a\n" * 1_500_000,
        INDEX.encode().replace(b"  web:\n", b"  aXb:\n"),
)  # fmt: skip


HOSTILE = {
    "of other charts": b'{"entries": {"web": [{"version": "1.0.0", "urls": ["a.tgz"]}], "x": [%s[]]}}',
    "of many charts": b'{"entries": {%s "web": [{"version": "1.0.0", "urls": ["a.tgz"]}]}}',
    "of the chart": b'{"entries": {"web": [%s{"version": "1.0.0", "urls": ["a.tgz"]}]}}',
}


@pytest.mark.parametrize("case", HOSTILE)
def test_an_index_in_json_takes_no_more_memory_than_its_bytes(case: str) -> None:
    """Of 6 MiB of it, all of which is made into objects nobody needs."""
    many = b"".join(b'"%06d": [],' % number for number in range(500_000))
    data = HOSTILE[case] % (many if case == "of many charts" else b"[]," * (2 << 20))
    tracemalloc.start()
    try:
        if case == "of the chart":
            with pytest.raises(Stalled, match="or 500000 values of web"):
                versions(data, "web", REPO)
        else:
            assert versions(data, "web", REPO) == [Version("1.0.0", f"{REPO}/a.tgz", "")]
        assert tracemalloc.get_traced_memory()[1] < 2 * len(data)
    finally:
        tracemalloc.stop()


def test_what_an_index_in_json_says_of_one_chart_is_bounded() -> None:
    data = b'{"entries": {"web": [{"version": "1.0.0", "urls": ["a.tgz"]}%s]}}' % (b" " * (8 << 20))
    with pytest.raises(Stalled, match="more than 8 MiB of web"):
        versions(data, "web", REPO)


@pytest.mark.parametrize("url", ["http://[", "https://[::1", "//[x]/"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    data = b'{"entries": {"web": [{"version": "1.0.0", "urls": ["%s"]}]}}' % url.encode()
    with pytest.raises(Stalled, match="leads to what is no address"):
        versions(data, "web", REPO)


@pytest.mark.parametrize("data", WRONG, ids=range(len(WRONG)))
def test_an_index_without_the_chart_or_of_another_form_is_refused(data: bytes) -> None:
    with pytest.raises(Stalled):
        versions(data, "web", REPO)
    with pytest.raises(Stalled):
        versions(data, "a+b" if b"a.b" in data else "a.b", REPO)


class Searched(bytearray):
    """Bytes that note how many of them were searched at once: no other thread runs meanwhile."""

    longest = 0

    def find(self, sub: Any, start: Any = 0, end: Any = None, /) -> int:
        end = len(self) if end is None else min(end, len(self))
        self.longest = max(self.longest, end - start)
        return super().find(sub, start, end)


SLOW = {
    "spaces": b" " * (4 << 20),
    "spaces after the head": b"entries:" + b" " * (4 << 20),
    "lines like the head": b"entries: x\n" * (1 << 19),
    "lines like the name": b"entries:\n" + b"  web:    x\n" * (1 << 19),
    "words like the name": b"entries:\n" + b"  web:   \t" * (1 << 19),
    "an indent": b"entries:\n" + b" " * (4 << 20),
}


@pytest.mark.parametrize("case", SLOW)
def test_an_index_is_searched_in_steps(case: str) -> None:
    data = Searched(SLOW[case])
    with pytest.raises(Stalled, match="has no chart web"):
        versions(data, "web", REPO)
    assert 0 < data.longest <= 1 << 19


@pytest.mark.parametrize("sign", [b"\n", b"   # x\n", b"  -\n"])
def test_no_more_is_read_of_one_chart_than_counts(sign: bytes) -> None:
    data = b"entries:\n  web:\n" + sign * ((9 << 20) // len(sign)) + b"  x:\n"
    with pytest.raises(Stalled, match="more than 8 MiB of web"):
        versions(data, "web", REPO)


@pytest.mark.parametrize("indent", [b"  ", b"    "])
def test_the_versions_of_a_long_list_are_read_in_parts(indent: bytes) -> None:
    one = b"%b- version: 1.0.%d\n%b  text: |\n%b    - version: 9.9.9\n%b  urls: [%d.tgz]\n"
    block = b"".join(one % (indent, number, indent, indent, indent, number) for number in range(3000))
    found = versions(b"entries:\n  web:\n" + block + b"  x:\n  - version: 9.9.9\n    urls: [x]\n", "web", REPO)
    assert [one.version for one in found] == [f"1.0.{number}" for number in range(3000)]
    parts = list(index._parts(block, "web", REPO))
    assert len(parts) > 3 and b"".join(parts) == block and max(map(len, parts)) < 66 << 10


def test_one_version_and_an_index_in_json_are_bounded() -> None:
    with pytest.raises(Stalled, match="more than 1 MiB of one version of web"):
        versions(b"entries:\n  web:\n  - version: 1.0.0\n    urls: [" + b"a," * (1 << 20) + b"a]\n", "web", REPO)
    json = b'{"entries": {"web": [%s{"version": "1.0.0", "urls": ["a.tgz"]}]}}'
    with pytest.raises(Stalled, match="more than 50000 objects or"):
        versions(json % (b"{}," * 50_000), "web", REPO)
    with pytest.raises(Stalled, match="an index in JSON is at most 16 MiB"):
        versions(json % (b" " * (16 << 20)), "web", REPO)
